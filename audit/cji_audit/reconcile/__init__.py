"""Reconciliation: every release in a vault's diagnostic log is matched with a release in a worker's trail.

A worker writes `key_released` for every key it gets, and a vault logs every key that it releases. A release that no
trail knows is an *orphan*: somebody outside the workers holds the key. Nothing else detects that, because anyone who
took a key with valid evidence needs no worker from then on.

    entry       one entry of a vault's log, from any of the forms in which Azure writes it
    vault_log   the entries in a file
    releases    the releases in trails, each with its boot, its attestation and its receipt key
    matching    which entry belongs to which release
    findings    what a person must know, by severity

No process of a worker imports this room.
"""

from cji_audit.reconcile.entry import Entry, LogError, entry_of
from cji_audit.reconcile.findings import Finding, Severity, find
from cji_audit.reconcile.matching import Matched, Tolerance, match
from cji_audit.reconcile.releases import Release, Releases
from cji_audit.reconcile.vault_log import LogFile

__all__ = [
    "Entry",
    "Finding",
    "LogError",
    "LogFile",
    "Matched",
    "Release",
    "Releases",
    "Severity",
    "Tolerance",
    "entry_of",
    "find",
    "match",
]
