"""The verbs of `cji` for operators at their desk, one module each."""
