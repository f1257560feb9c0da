"""Formats: job headers and policies, envelopes, records, configuration. A module loads no more than it uses."""
