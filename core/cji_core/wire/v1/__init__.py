"""Generated stubs of cji.worker.v1."""
