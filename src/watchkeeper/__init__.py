"""Watchkeeper: automation that production can trust."""

__version__ = "0.1.0"
