"""Signals to alerts to incidents."""
