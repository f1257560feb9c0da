"""Evidence and keys: attest, release, renew before half of the time is over, drop at the end of it or before.

One thread does what takes long (TPM, IMDS, MAA, Key Vault) in the order of a `Schedule`; the main thread looks at the
latest `Holdings` and never waits. What comes of a step:

* A verdict against the machine (evidence refused, PCRs moved) drops every key at once.
* A verdict on one key (release denied, wrong statement) drops that key at once; the others stay.
* "Cannot be verified" is how Key Vault denies and also how it fails to reach the issuer: one more attestation decides
  (azure-sdk-for-net issue 27957).
* Anything else is a failure to renew: a key stays until its own time ends, and no longer.
"""

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from attestation import AttestationError, Fault, Trust
from attestation.appraisal import ReferenceValues
from attestation.evidence import Evidence
from attestation.release import Attestation, Attester, KeySpec, ReleasedKey
from worker.audit import DropCause
from worker.config import Config
from worker.errors import Reason, Refusal, Stage
from worker.keyholder.schedule import Failure, Schedule
from worker.log import log
from worker.memory import SecretHeap

__all__ = ["Custody", "CustodyEvent", "Dropped", "HeldKey", "Holdings", "reason_of"]

_KEY_BUFFER_BYTES: Final = 16 << 10
_UNREAD: Final = 2  # looks at the PCRs that may fail in a row before that is a refusal

_MACHINE_REFUSED: Final = frozenset(
    {Fault.NOT_CONFIDENTIAL, Fault.EVIDENCE_INVALID, Fault.UNTRUSTED_ROOT, Fault.POLICY_MISMATCH}
)
_NOT_ATTESTED: Final = _MACHINE_REFUSED | {Fault.TOKEN_INVALID, Fault.MAA_REFUSED, Fault.CONFIG_INVALID}
_KEY_REFUSED: Final = frozenset({Fault.RELEASE_DENIED, Fault.RELEASE_INVALID, Fault.CONFIG_INVALID})
_PCR_DRIFT: Final = (Fault.EVIDENCE_INVALID, "pcr-changed")
_ATTEST_AGAIN: Final = frozenset(
    {(Fault.TOKEN_INVALID, "age"), (Fault.TOKEN_INVALID, "used"), (Fault.RELEASE_DENIED, "vault-403-unverified")}
)
_REASONS: Final[Mapping[Fault, Reason]] = {
    Fault.RELEASE_DENIED: Reason.KEY_RELEASE_DENIED,
    Fault.RELEASE_INVALID: Reason.KEY_RELEASE_DENIED,
    Fault.RELEASE_THROTTLED: Reason.KEY_THROTTLED,
    Fault.RELEASE_UNAVAILABLE: Reason.NOT_READY,
    Fault.MAA_UNAVAILABLE: Reason.NOT_READY,
    Fault.IDENTITY_UNAVAILABLE: Reason.NOT_READY,
}


def reason_of(error: AttestationError) -> Reason:
    """The Reason that callers of the worker are told."""
    return _REASONS.get(error.fault, Reason.ATTESTATION_REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """One released key version, until `until` (time.monotonic)."""

    released: ReleasedKey
    private: rsa.RSAPrivateKey = field(repr=False)
    attestation: Attestation = field(repr=False)
    """Under which it was released."""
    until: float

    def fresh(self) -> bool:
        """Whether it may still be used."""
        return time.monotonic() < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A key that is held no more. `reason` is what its jobs are told where they end with it."""

    kek_id: str
    cause: DropCause
    reason: Reason


CustodyEvent = Attestation | HeldKey | Dropped
"""One thing that happened to the holdings, for the audit trail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What the worker may use: evidence until `until` (time.monotonic), each key until its own time. Or why not."""

    attestation: Attestation | None = None
    until: float = 0.0
    keys: Mapping[str, HeldKey] = field(default_factory=dict)
    missing: Mapping[str, Reason] = field(default_factory=dict)
    """Why a configured key is not held."""
    reason: Reason = Reason.NOT_READY
    """Why there is no fresh evidence."""

    def evidence(self) -> Attestation | None:
        """The evidence while it is fresh."""
        return self.attestation if time.monotonic() < self.until else None

    def why(self) -> Reason:
        """What to tell those who find nothing usable."""
        return self.reason if self.evidence() is None else next(iter(self.missing.values()), Reason.NOT_READY)

    def usable(self) -> Mapping[str, HeldKey]:
        """The keys that may be used now."""
        return {kek_id: key for kek_id, key in self.keys.items() if key.fresh()}

    def key(self, kek_id: str) -> HeldKey:
        """The key of this id; UNKNOWN_KEY for one that is not configured, or the reason why it is not held."""
        usable = self.usable()
        if not usable:
            raise Refusal(self.why(), stage=Stage.ADMIT)
        if kek_id not in usable:
            reason = Reason.NOT_READY if kek_id in self.keys else self.missing.get(kek_id, Reason.UNKNOWN_KEY)
            raise Refusal(reason, stage=Stage.ADMIT)
        return usable[kek_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quote:
    nonce: bytes
    answer: Callable[[Evidence | Refusal], None]


class Custody:
    """Runs the custody thread; `holdings` is replaced as a whole and may be read from the main thread at any time."""

    def __init__(self, *, config: Config, trust: Trust, receipt_key: bytes) -> None:
        """`receipt_key` is the 32-byte thumbprint of the key that signs receipts."""
        section = config.attestation
        reference = msgspec.convert(section.reference_values, ReferenceValues, str_keys=True)
        self._attester = Attester(
            trust=trust,
            maa_url=section.maa_url,
            reference=reference,
            client_id=section.client_id,
            region=config.worker.region,
        )
        self._specs = {
            k.kek_id: KeySpec(
                kek_id=k.kek_id,
                public_thumbprint=k.public_thumbprint,
                policy_sha256=k.policy_sha256,
                accept_findings=k.accept_findings,
            )
            for k in config.keys
        }
        self._lifetime = section.key_lifetime_s
        self._schedule = Schedule(self._specs, lifetime=self._lifetime, check_every=section.pcr_check_s)
        self._receipt_key = receipt_key
        self._attestation: Attestation | None = None
        self._attested_at = 0.0
        self._unread = 0
        self._quotes: queue.Queue[_Quote] = queue.Queue(maxsize=16)
        self._lock = threading.Lock()
        self._events: deque[CustodyEvent] = deque()
        self.holdings = Holdings(missing=dict.fromkeys(self._specs, Reason.NOT_READY))

    def start(self, heap: SecretHeap, changed: Callable[[], None]) -> None:
        """Begin to attest; `changed` is called in the custody thread after each step.

        A fault of this program in that thread ends the process: a keyholder that renews nothing is none.
        """

        def run() -> None:
            try:
                heap.enter()
                while True:
                    self.step()
                    changed()
            except BaseException as fault:  # noqa: BLE001 - a thread that ends takes nobody with it by itself
                log("fault", error=type(fault).__name__)
                os._exit(1)

        threading.Thread(target=self._attester.preload, name="preload", daemon=True).start()
        threading.Thread(target=run, name="custody", daemon=True).start()

    def quote(self, nonce: bytes, answer: Callable[[Evidence | Refusal], None]) -> None:
        """Ask for fresh evidence over a caller's nonce; `answer` is called in the custody thread."""
        try:
            self._quotes.put_nowait(_Quote(nonce=nonce, answer=answer))
        except queue.Full:
            answer(Refusal(Reason.OVERLOADED, stage=Stage.START))

    def events(self) -> list[CustodyEvent]:
        """What happened since the last call, in order, with keys whose time is over dropped. For the main thread."""
        with self._lock:
            over = [kek_id for kek_id, key in self.holdings.keys.items() if not key.fresh()]
            self._drop(over, cause="expired", reason=Reason.NOT_READY)
            events, self._events = list(self._events), deque()
            return events

    def stop(self) -> list[CustodyEvent]:
        """Let go of every key; returns what happened up to here."""
        with self._lock:
            self._drop(list(self.holdings.keys), cause="stopped", reason=Reason.DRAINING)
        return self.events()

    def step(self) -> None:
        """Wait for the next thing to do, answering quotes meanwhile, and do it."""
        step = self._schedule.next()
        self._answer_quotes(step.at)
        match step.what:
            case "attest":
                self._attest()
            case "release":
                self._release(self._specs[step.kek_id])
            case "check":
                self._check()

    # ---- below: the custody thread ----

    def _attest(self) -> None:
        started = time.monotonic()
        try:
            attestation = self._attester.attest(receipt_key=self._receipt_key)
        except AttestationError as error:
            self._schedule.not_attested(time.monotonic(), retry_after=error.retry_after or 0.0)
            self._log("not attested", error)
            if error.fault in _NOT_ATTESTED:
                self._drop_all(_cause_of(error), reason_of(error))
            else:
                with self._lock:
                    self.holdings = replace(self.holdings, reason=reason_of(error))
            return
        if self._attestation is not None and attestation.evidence.pcrs != self._attestation.evidence.pcrs:
            # since the last look; what was released to the machine as it was is not for the machine as it is
            self._drop_all("pcr-drift", Reason.ATTESTATION_REJECTED)
        self._attestation, self._attested_at, self._unread = attestation, started, 0
        self._schedule.attested(time.monotonic())
        until = started + self._lifetime
        with self._lock:
            self.holdings = replace(self.holdings, attestation=attestation, until=until, reason=Reason.NOT_READY)
            self._events.append(attestation)
        log("attested", ms=int((time.monotonic() - started) * 1000))

    def _release(self, spec: KeySpec) -> None:
        attestation = self._attestation
        assert attestation is not None  # noqa: S101 - the schedule releases with an attestation at hand
        started = time.monotonic()
        try:
            released, private = self._released(attestation, spec)
        except AttestationError as error:
            self._not_released(spec.kek_id, error)
            return
        self._schedule.released(spec.kek_id)
        until = self._attested_at + self._lifetime
        key = HeldKey(released=released, private=private, attestation=attestation, until=until)
        with self._lock:
            keys = {**self.holdings.keys, spec.kek_id: key}
            missing = {k: v for k, v in self.holdings.missing.items() if k != spec.kek_id}
            self.holdings = replace(self.holdings, keys=keys, missing=missing)
            self._events.append(key)
        log("released", kek_id=spec.kek_id, ms=int((time.monotonic() - started) * 1000))

    def _released(self, attestation: Attestation, spec: KeySpec) -> tuple[ReleasedKey, rsa.RSAPrivateKey]:
        buffer = bytearray(_KEY_BUFFER_BYTES)
        try:
            released = self._attester.release_into(attestation, spec, memoryview(buffer))
            # these bytes were loaded and proven to be the pinned key a moment ago; OpenSSL takes long to prove it again
            private = serialization.load_der_private_key(
                memoryview(buffer)[: released.length], password=None, unsafe_skip_rsa_key_validation=True
            )
        except ValueError as error:
            raise AttestationError(Fault.RELEASE_INVALID, check="custody") from error
        finally:
            buffer[:] = bytes(len(buffer))
        if not isinstance(private, rsa.RSAPrivateKey):
            raise AttestationError(Fault.RELEASE_INVALID, check="custody")
        return released, private

    def _not_released(self, kek_id: str, error: AttestationError) -> None:
        reason, denied, retry_after = reason_of(error), error.fault in _KEY_REFUSED, error.retry_after or 0.0
        if (error.fault, error.check) in _ATTEST_AGAIN and self._schedule.attest_again(kek_id):
            self._log("not released", error, kek_id=kek_id)
            return
        how: Failure = "denied" if denied else "throttled" if error.fault is Fault.RELEASE_THROTTLED else "failed"
        self._schedule.not_released(kek_id, time.monotonic(), how, retry_after=retry_after)
        self._log("not released", error, kek_id=kek_id)
        if error.fault in _MACHINE_REFUSED:
            self._drop_all(_cause_of(error), reason)
            return
        with self._lock:
            if denied:
                self._drop([kek_id], cause="revoked", reason=reason)
            elif kek_id not in self.holdings.keys:
                self.holdings = replace(self.holdings, missing={**self.holdings.missing, kek_id: reason})

    def _check(self) -> None:
        assert self._attestation is not None  # noqa: S101 - the schedule looks where there is something to compare
        self._schedule.checked(time.monotonic())
        try:
            self._attester.check_pcrs(self._attestation)
            self._unread = 0
        except AttestationError as error:
            self._log("not as attested", error)
            self._unread += 1
            if error.fault in _MACHINE_REFUSED or self._unread == _UNREAD:
                self._drop_all(_cause_of(error), reason_of(error))

    def _drop_all(self, cause: DropCause, reason: Reason) -> None:
        """Nothing that was said of this machine holds any more."""
        self._attestation, self._unread = None, 0
        self._schedule.begin_again(time.monotonic())
        with self._lock:
            self._drop(list(self.holdings.keys), cause=cause, reason=reason)
            self.holdings = Holdings(missing=dict.fromkeys(self._specs, reason), reason=reason)

    def _drop(self, kek_ids: list[str], *, cause: DropCause, reason: Reason) -> None:
        """With the lock held."""
        held = self.holdings.keys
        self._events.extend(Dropped(kek_id=k, cause=cause, reason=reason) for k in kek_ids if k in held)
        self.holdings = replace(
            self.holdings,
            keys={k: v for k, v in held.items() if k not in kek_ids},
            missing={**self.holdings.missing, **dict.fromkeys(kek_ids, reason)},
        )

    def _log(self, event: str, error: AttestationError, **fields: str) -> None:
        wait = max(0.0, self._schedule.next().at - time.monotonic())
        reason = reason_of(error).value
        log(event, fault=error.fault.value, check=error.check, reason=reason, retry_ms=int(wait * 1000), **fields)

    def _answer_quotes(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            try:
                request = self._quotes.get(timeout=left)
            except queue.Empty:
                return
            try:
                request.answer(self._attester.quote(receipt_key=self._receipt_key, nonce=request.nonce))
            except AttestationError as error:
                log("quote failed", fault=error.fault.value, check=error.check)
                request.answer(Refusal(reason_of(error), stage=Stage.START))


def _cause_of(error: AttestationError) -> DropCause:
    return "pcr-drift" if (error.fault, error.check) == _PCR_DRIFT else "evidence"
