"""Samples to a result: healthy, unhealthy, inconclusive."""
