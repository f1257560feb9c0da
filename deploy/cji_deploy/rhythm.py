"""How long Azure takes to replace every machine of a scale set, from the numbers of its template.

For each batch the new machines start, the old ones have their notice, and Azure pauses. The batches come one after the
other, and each is at least one machine.
Source: learn.microsoft.com, "Rolling upgrades with MaxSurge on Virtual Machine Scale Sets" and "Terminate notification
for Azure Virtual Machine Scale Set instances".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

NOTICE_S: Final = 900
"""From the announcement that a machine is deleted until it is: the most that Azure gives, as scaleset.bicep has it."""
DRAIN_S: Final = 240
"""Of a notice, what is not for jobs: 25 until the probe has seen it, 120 until the fleet process stopped, 60 for the
last result and its receipt, 35 for the last lines of the trail. `max_job_seconds` is by default the rest."""
BOOT_S: Final = 300
"""From the order of a machine until its probe is good, at the most: measured boot, attestation, release of the key."""
_ISO: Final = re.compile(r"PT(?:(\d{1,3})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Of one scale set, in machines and seconds."""

    machines: int
    batch_percent: int
    pause_s: int
    notice_s: int

    @classmethod
    def of(cls, scale_set: Mapping[str, Any]) -> Self:
        """From the resource, as Azure shows it. Raises ValueError if a number is missing."""
        try:
            properties = scale_set["properties"]
            policy = properties["upgradePolicy"]["rollingUpgradePolicy"]
            events = properties["virtualMachineProfile"]["scheduledEventsProfile"]
            return cls(
                machines=max(1, int(scale_set["sku"]["capacity"])),
                batch_percent=int(policy["maxBatchInstancePercent"]),
                pause_s=seconds(policy["pauseTimeBetweenBatches"]),
                notice_s=seconds(events["terminateNotificationProfile"]["notBeforeTimeout"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"the scale set has no {error}") from error

    @property
    def batch(self) -> int:
        """Machines of a batch."""
        return max(1, self.machines * self.batch_percent // 100)

    @property
    def batches(self) -> int:
        """Their number."""
        return -(-self.machines // self.batch)

    @property
    def job_s(self) -> int:
        """Longest job that ends before its machine, when that is deleted: what the drain leaves of the notice."""
        return max(0, self.notice_s - DRAIN_S)

    @property
    def upgrade_s(self) -> int:
        """Longest time of an upgrade that meets no unhealthy machine."""
        return self.batches * (BOOT_S + self.notice_s + self.pause_s)


def seconds(duration: object) -> int:
    """A duration of ISO 8601 without days, such as PT15M. Raises ValueError."""
    found = _ISO.fullmatch(duration) if isinstance(duration, str) else None
    if found is None or duration == "PT":
        raise ValueError(f"{duration!r} is not a duration")
    hours, minutes, rest = (int(each or 0) for each in found.groups())
    return 3600 * hours + 60 * minutes + rest
