"""Files of facts that an agency may hand to others, without records, secrets or free text.

* `bundle` has the facts of a support bundle.
* `first_day` has those of a first deployment, with a worker's evidence.
"""

from cji_worker.support.bundle import deployment_facts, encoded, made, status_facts, trail_facts
from cji_worker.support.first_day import FirstDay, FirstDayError, Trails, encode_first_day, evidence_of, vault_key

__all__ = [
    "FirstDay",
    "FirstDayError",
    "Trails",
    "deployment_facts",
    "encode_first_day",
    "encoded",
    "evidence_of",
    "made",
    "status_facts",
    "trail_facts",
    "vault_key",
]
