"""The verbs of `cji` that run, inspect or continue this machine, one module each."""
