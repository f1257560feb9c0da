"""The conditions that the worker requires of its machine, and whether they hold.

* `CATALOGUE` has every condition; `unmet` and `require` decide which must hold under a trust.
* `Host` reads them, `HostWatch` reports changes, `TpmClockWatch` compares the clock with the TPM's.
* `profile_gaps` and `permitted_calls` find out whether the host profile of deploy/host-profile is in force.
"""

from cji_worker.host.catalogue import CATALOGUE, ConditionId, require, unmet
from cji_worker.host.clock import TpmClockWatch
from cji_worker.host.profile import DENIED_CALLS, PROFILE, ProfileName, permitted_calls
from cji_worker.host.readings import NOTHING_HELD, Answers, Finding, Host, HostReport, HostWatch, secret_mib

__all__ = [
    "CATALOGUE",
    "DENIED_CALLS",
    "NOTHING_HELD",
    "PROFILE",
    "Answers",
    "ConditionId",
    "Finding",
    "Host",
    "HostReport",
    "HostWatch",
    "ProfileName",
    "TpmClockWatch",
    "permitted_calls",
    "require",
    "secret_mib",
    "unmet",
]
