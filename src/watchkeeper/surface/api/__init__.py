"""The HTTP side of a node: hooks, the API, events, health, metrics."""
