"""The verbs of `cji audit` that need the worker's machine."""
