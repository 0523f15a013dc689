"""The product's own virtual loop, under the name that these tests use."""

from watchkeeper.engine.virtual import VirtualLoop, run

__all__ = ["VirtualLoop", "run"]
