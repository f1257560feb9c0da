"""Hostile processes that speak the worker's own channels, run by tests inside a real worker."""
