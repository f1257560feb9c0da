"""Functions of stages: the task that each is given, streams as columns, and operations by shard."""
