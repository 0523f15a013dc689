"""Bytes to signals: one parser for each wire format, heartbeats, staleness."""
