"""What performs: the pipeline, the runner, the outbox, the clock."""
