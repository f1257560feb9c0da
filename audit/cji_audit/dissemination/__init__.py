"""An agency's own dissemination ledgers: who received records about a subject, and how long results are kept.

`disseminate` writes a dissemination ledger into the result of every job, and only the agency can open it. These are
tools for the opened results on the agency's disk; no worker sees them.
"""

from cji_audit.dissemination.ledgers import (
    Disclosures,
    DisseminationLedgerError,
    LedgerCountError,
    Subject,
    dissemination_ledgers,
    find_disclosures,
)
from cji_audit.dissemination.retention import RulesError, delete, load_rules, review

__all__ = [
    "Disclosures",
    "DisseminationLedgerError",
    "LedgerCountError",
    "RulesError",
    "Subject",
    "delete",
    "dissemination_ledgers",
    "find_disclosures",
    "load_rules",
    "review",
]
