"""When to attest, to release each key, and to check the PCRs. Times in, times out; no clock, no network.

* One step at a time. An attestation is made when a key is due and no current one may release it; throttled keys are
  requested again under the same attestation while it is young, because a key lives from its evidence on.
* All keys are due at the start. Each is due again at a random time between 25 % and 45 % of its life: a fleet that
  started together does not renew together, and there is time to repeat a renewal that fails. Keys past their first
  quarter are renewed with the first one that is due, under one attestation.
* A vault that throttles is left alone, for all its keys; `pacing` has the waits. Among keys of one vault, the one with
  the least life left comes first.
* Evidence for others (`shows`) comes last: after the first release, behind every release that is due, and under an
  attestation that still releases keys. A quote may take as long as the metadata service takes to answer, half a minute
  on TDX, and holds up what becomes due meanwhile; so each failure multiplies the wait, to a quarter of an hour.
* "Attest again" is granted once per key. The second time in a row is a failure like any other, so nothing spins.

The consequences of a fault of attestation are below: keys to drop, steps to repeat, the Reason for callers.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from cji_attestation import AttestationError, Fault
from cji_core.errors import Reason
from cji_core.trail import DropCause
from cji_worker.keyholder.pacing import VAULT_SECONDS, Backoff, Pace, Uniform

_RENEW: Final = (0.25, 0.45)  # of the lifetime
_YOUNG: Final = 0.125  # of the lifetime: older attestations release nothing
MOST_LOAD: Final = 1.6
"""Load of a vault up to which no key ran out in simulations; docs/fleet.md."""
_NEVER: Final = float("-inf")
_SHOW: Final = (4.0, 4.0, 900.0)  # as `Backoff` has them
_APART: Final = 10.0
"""Least time from one attestation to another that an operator asked for."""

Failure = Literal["failed", "throttled", "denied"]

MACHINE_REFUSED: Final = frozenset(
    {Fault.NOT_CONFIDENTIAL, Fault.EVIDENCE_INVALID, Fault.UNTRUSTED_ROOT, Fault.POLICY_MISMATCH}
)
NOT_ATTESTED: Final = MACHINE_REFUSED | {Fault.TOKEN_INVALID, Fault.MAA_REFUSED, Fault.CONFIG_INVALID}
KEY_REFUSED: Final = frozenset({Fault.RELEASE_DENIED, Fault.RELEASE_INVALID, Fault.CONFIG_INVALID})
_NOT_STARTED: Final = "not-started"
_PCR_DRIFT: Final = (Fault.EVIDENCE_INVALID, "pcr-changed")
ANOTHER_START: Final = (Fault.EVIDENCE_INVALID, "E48")
"""PCR 15 shows another worker's start: no worker can attest before the next boot."""
ATTEST_AGAIN: Final = frozenset(
    {(Fault.TOKEN_INVALID, "age"), (Fault.TOKEN_INVALID, "used"), (Fault.RELEASE_DENIED, "vault-403-unverified")}
)
_REASONS: Final[Mapping[Fault, Reason]] = {
    Fault.RELEASE_DENIED: Reason.KEY_RELEASE_DENIED,
    Fault.RELEASE_INVALID: Reason.KEY_RELEASE_DENIED,
    Fault.RELEASE_THROTTLED: Reason.KEY_THROTTLED,
    Fault.RELEASE_UNAVAILABLE: Reason.NOT_READY,
    Fault.MAA_UNAVAILABLE: Reason.NOT_READY,
    Fault.IDENTITY_UNAVAILABLE: Reason.NOT_READY,
    Fault.KEYS_UNAVAILABLE: Reason.NOT_READY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that is due at `at`."""

    what: Literal["attest", "release", "check", "show"]
    at: float
    kek_id: str = ""


class _Key:
    """One key version: when it is due, and the end of its life."""

    __slots__ = ("denials", "due_at", "failures", "granted", "owed", "pace", "renew_at", "until")

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.failures, self.denials = pace.failures(), pace.denials()
        self.owed, self.due_at = True, _NEVER
        self.granted = False
        self.until = self.renew_at = _NEVER

    def at(self) -> float:
        """The time of its next request, if it is owed."""
        return max(self.due_at, self.failures.at, self.denials.at, self.pace.at)

    def rank(self) -> tuple[int, float]:
        """Its place among keys that are due together: after those that fail less, before those with more time."""
        return self.failures.count, self.until

    def owe(self, now: float) -> None:
        """Let it be requested from `now` on; what it waits for already still counts."""
        self.owed, self.due_at = True, now

    def drop(self) -> None:
        """Its life has ended."""
        self.until = _NEVER


class Schedule:
    """The next step, and the outcomes of earlier ones. `now` is in seconds of any monotonic clock."""

    def __init__(
        self,
        kek_ids: Iterable[str],
        *,
        lifetime: float,
        check_every: float,
        token_age: float = float("inf"),
        workers: int = 1,
        shows: bool = False,
        uniform: Uniform = random.uniform,
    ) -> None:
        """`lifetime` is the maximum age of a key, `check_every` the time between two checks of the PCRs; seconds.

        `token_age` is the age up to which a token releases keys, `workers` the size of the fleet.
        `shows`: evidence is made for others, once.
        """
        ids = tuple(kek_ids)
        vaults = [_vault(kek_id) for kek_id in ids]
        paces = {v: Pace(uniform, releases=workers * vaults.count(v), lifetime=lifetime) for v in vaults}
        self._keys = {kek_id: _Key(paces[vault]) for kek_id, vault in zip(ids, vaults, strict=True)}
        self._lifetime, self._check_every, self._token_age = lifetime, check_every, token_age
        self._uniform = uniform
        self._attest, self._show = Backoff(uniform), Backoff(uniform, _SHOW)
        self._shows, self._show_at = shows, _NEVER
        self._watched = self._at_hand = False
        self._began = self._young_until = self._check_at = _NEVER

    def next(self) -> Step:
        """The next step; among several that are due, releases come first, and of these the most urgent key."""
        steps = [Step(what="check", at=self._check_at)] if self._watched else []
        for kek_id, key in sorted(self._keys.items(), key=lambda item: item[1].rank()):
            at = key.at() if key.owed else key.renew_at
            if key.owed and self._at_hand and at <= self._young_until:
                steps.append(Step(what="release", at=at, kek_id=kek_id))
            else:
                steps.append(Step(what="attest", at=max(at, self._attest.at)))
        released = any(key.until > _NEVER for key in self._keys.values())
        if self._shows and released and self._at_hand and self._show_at <= self._young_until:
            steps.append(Step(what="show", at=self._show_at))
        return min(steps, key=lambda step: (step.at, _RANK[step.what]))

    def attested(self, now: float, *, began: float) -> None:
        """Record a new attestation, made from `began` to `now`: the keys that it releases live from `began` on."""
        self._attest.reset()
        self._watched = self._at_hand = True
        self._check_at = now + self._check_every
        self._began, self._show_at = began, max(now, self._show.at)
        self._young_until = max(now, min(began + self._token_age, now + _YOUNG * self._lifetime))
        if any(not key.owed and key.renew_at <= now for key in self._keys.values()):
            for key in self._keys.values():
                if not key.owed and key.until - now < (1 - _RENEW[0]) * self._lifetime:
                    key.owe(now)

    def not_attested(self, now: float, *, retry_after: float = 0.0) -> None:
        """Record a failed attestation; an earlier one stays in use."""
        self._attest.failed(now, retry_after=retry_after)

    def released(self, kek_id: str) -> float:
        """Record the release of a key; return the end of its life."""
        key = self._keys[kek_id]
        key.owed = key.granted = False
        key.failures.reset()
        key.denials.reset()
        key.until = self._began + self._lifetime
        key.renew_at = self._began + self._lifetime * self._uniform(*_RENEW)
        if all(other.until > self._began for other in self._keys.values() if other.pace is key.pace):
            key.pace.complete()
        return key.until

    def not_released(self, kek_id: str, now: float, how: Failure = "failed", *, retry_after: float = 0.0) -> None:
        """Record that a key was not released; it will be requested again. A key that is denied has ended."""
        key = self._keys[kek_id]
        key.owed = True
        match how:
            case "failed":
                key.failures.failed(now, retry_after=retry_after)
                key.pace.hold(key.failures.at)
            case "denied":
                key.drop()
                key.denials.failed(now, retry_after=retry_after)
            case "throttled":
                key.granted = False
                if key.denials.count:
                    key.denials.wait(now, retry_after=retry_after)
                    key.pace.hold(now + max(VAULT_SECONDS, retry_after))
                else:
                    key.pace.throttled(now, left=self._least_left(key.pace, now), retry_after=retry_after)

    def shown(self) -> None:
        """Record that evidence was made for others; it is not made again."""
        self._shows = False

    def not_shown(self, now: float) -> None:
        """Record that it could not be made."""
        self._show.failed(now)
        self._show_at = self._show.at

    def attest_again(self, kek_id: str) -> bool:
        """Record that the attestation no longer releases this key; return whether a new one may be made at once."""
        self._at_hand = False
        key = self._keys[kek_id]
        granted, key.granted = key.granted, True
        return not granted

    def checked(self, now: float) -> None:
        """Record a check of the PCRs, or its failure."""
        self._check_at = now + self._check_every

    def renew(self, now: float) -> None:
        """Renew keys under a new attestation before their time, and those that were denied.

        A service that throttles or fails is still waited for.
        """
        at = max(now, self._began + _APART)
        for key in self._keys.values():
            if not key.owed or key.denials.count:
                self._at_hand = False
                key.denials.at = min(key.denials.at, at)
                key.owe(at)

    def begin_again(self, now: float) -> None:
        """Discard the attestation and every key: attest, and release them again."""
        self._watched = self._at_hand = False
        for key in self._keys.values():
            key.drop()
            if not key.owed:
                key.owe(now)

    def _least_left(self, pace: Pace, now: float) -> float:
        """The rest of the most urgent life among the keys that this vault owes, without those that it denies."""
        return min(k.until for k in self._keys.values() if k.pace is pace and k.owed and not k.denials.count) - now


_RANK: Final = {"release": 0, "check": 1, "attest": 2, "show": 3}


def vault_load(*, workers: int, versions: int, lifetime: float) -> float:
    """Releases that renewals want, of those that a vault can make. Above 1, renewals wait."""
    return workers * versions * VAULT_SECONDS / (lifetime * sum(_RENEW) / 2)


def _vault(kek_id: str) -> str:
    """The address of the vault or HSM that has this key."""
    return kek_id.partition("/keys/")[0]


def reason_of(error: AttestationError) -> Reason:
    """The Reason that callers of the worker get."""
    if error.check == _NOT_STARTED:
        return Reason.NOT_READY
    return _REASONS.get(error.fault, Reason.ATTESTATION_REJECTED)


def cause_of(error: AttestationError) -> DropCause:
    """The cause of a drop, for the audit trail."""
    return "pcr-drift" if (error.fault, error.check) == _PCR_DRIFT else "evidence"


def failure_of(fault: Fault) -> Failure:
    """How a key that was not released is scheduled."""
    if fault in KEY_REFUSED:
        return "denied"
    return "throttled" if fault is Fault.RELEASE_THROTTLED else "failed"
