"""The verbs of `cji policy`. Those of a worker's policy use no network."""
