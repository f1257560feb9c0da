"""Verbs of `cji` on evidence, and what other verbs need of it."""
