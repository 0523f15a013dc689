"""The demo: a small fleet of real processes, what breaks them, and the story of how they are judged and repaired."""
