"""The verbs of `cji` for submitters, one module each."""
