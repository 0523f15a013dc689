"""A decision to a run: a pure state machine over its journal."""
