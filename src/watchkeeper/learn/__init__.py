"""History to measures."""
