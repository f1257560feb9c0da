"""The verbs of `cji bundle` for a desk."""
