"""Facts to what people read."""
