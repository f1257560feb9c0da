"""Retention of what a pool stores of its jobs: sealed blobs deleted by rule, with proof, and legal holds over them.

* `records` is the format of a retention log, `chain` reads one and has its rules; neither has I/O.
* `rules` decides what is due. `store` and `log` are Azure's side, `desk` brings all together.
"""

from cji_audit.retention.chain import Disposed, Finding, Log, RetentionLogError, compare, read_log
from cji_audit.retention.log import local_documents
from cji_audit.retention.rules import Disposal, DisposalRulesError, Keep, load_disposal

__all__ = [
    "Disposal",
    "DisposalRulesError",
    "Disposed",
    "Finding",
    "Keep",
    "Log",
    "RetentionLogError",
    "compare",
    "load_disposal",
    "local_documents",
    "read_log",
]
