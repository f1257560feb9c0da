"""The verbs of `cji` for auditors, one module each."""
