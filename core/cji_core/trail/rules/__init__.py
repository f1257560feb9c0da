"""The rules of a trail, each written once: `Watcher` examines its lines, `RULES` has the meaning of each finding.

Pure: events in, findings out. Every reader of a trail uses it: `cji audit verify`, `review`, `packet`, `search`,
`prove`, `prune` and `cji receipt verify`. Only auditing code imports this room; no process of a worker does.
"""

from cji_core.trail.rules import jobs, machine, receipts, trails  # noqa: F401 - they register their rules
from cji_core.trail.rules.catalogue import RULES, SEVERITIES, Finding, Severity
from cji_core.trail.rules.receipts import SequenceError, verify_sequence
from cji_core.trail.rules.state import MAX_HOLDS, State
from cji_core.trail.rules.trails import a_year_between
from cji_core.trail.rules.watcher import BrokenRuleError, CheckpointKeys, Watcher, has_rule, require

__all__ = [
    "MAX_HOLDS",
    "RULES",
    "SEVERITIES",
    "BrokenRuleError",
    "CheckpointKeys",
    "Finding",
    "SequenceError",
    "Severity",
    "State",
    "Watcher",
    "a_year_between",
    "has_rule",
    "require",
    "verify_sequence",
]
