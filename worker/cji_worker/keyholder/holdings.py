"""The evidence and released keys that the keyholder holds, as values; `custody` replaces them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from cji_attestation.release import Attestation, ReleasedKey
from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.envelope import UnwrappingKey
from cji_core.trail import DropCause, ReleaseFailure


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class HeldKey:
    """One released key version, until `until` (time.monotonic)."""

    released: ReleasedKey
    private: UnwrappingKey = field(repr=False)
    attestation: Attestation = field(repr=False)
    """The attestation under which it was released."""
    until: float

    def fresh(self) -> bool:
        """Whether it may still be used."""
        return time.monotonic() < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A key that is no longer held. `reason` is the Reason for jobs that end with it."""

    kek_id: str
    cause: DropCause
    reason: Reason

    @property
    def ends_jobs(self) -> bool:
        """Whether jobs under the key end. Those of an expired key may finish, if their receipts find fresh evidence."""
        return self.cause != "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReleased:
    """A key that was requested and not released, held or not. `reason` is the Reason for jobs that end with it."""

    kek_id: str
    cause: ReleaseFailure
    reason: Reason

    @property
    def ends_jobs(self) -> bool:
        """Whether jobs under the key end, also those that began before it expired."""
        return self.cause == "denied"


CustodyEvent = Attestation | HeldKey | Dropped | NotReleased
"""One change of the holdings, for the audit trail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """Evidence and keys, each usable until its `until` (time.monotonic), and the reasons for what is missing."""

    attestation: Attestation | None = None
    until: float = 0.0
    keys: Mapping[str, HeldKey] = field(default_factory=dict)
    missing: Mapping[str, Reason] = field(default_factory=dict)
    """The reason for each configured key that is not held."""
    reason: Reason = Reason.NOT_READY
    """The reason if there is no fresh evidence."""
    confirmed: bool = True
    """Whether the machine is still as it was attested, as far as is known; nothing is usable until it is."""

    def evidence(self) -> Attestation | None:
        """The evidence while it is fresh."""
        return self.attestation if self.confirmed and time.monotonic() < self.until else None

    def why(self) -> Reason:
        """The Reason for callers when nothing is usable."""
        return self.reason if self.evidence() is None else next(iter(self.missing.values()), Reason.NOT_READY)

    def usable(self) -> Mapping[str, HeldKey]:
        """The keys that may be used now."""
        return {kek_id: key for kek_id, key in self.keys.items() if self.confirmed and key.fresh()}

    def key(self, kek_id: str) -> HeldKey:
        """The key with this id. Raises UNKNOWN_KEY if it is not configured, else the reason why it is not held."""
        usable = self.usable()
        if not usable:
            raise Refusal(self.why(), stage=Stage.ADMIT)
        if kek_id not in usable:
            reason = Reason.NOT_READY if kek_id in self.keys else self.missing.get(kek_id, Reason.UNKNOWN_KEY)
            raise Refusal(reason, stage=Stage.ADMIT)
        return usable[kek_id]
