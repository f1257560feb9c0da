"""Evidence and keys: attest, release, renew before half of the time is over, drop at the end of it.

One thread does what takes long (TPM, IMDS, MAA, Key Vault); the main thread looks at the latest `Holdings` and never
waits. A failure to renew leaves the old keys in place until their own time ends, unless the failure is a verdict
(evidence refused, release denied): a verdict drops them at once.
"""

import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from attestation import AttestationError, Fault, Trust
from attestation.appraisal import ReferenceValues
from attestation.evidence import Evidence
from attestation.release import Attestation, Attester, KeySpec, ReleasedKey
from worker.config import Config
from worker.errors import Reason, Refusal, Stage
from worker.log import log
from worker.memory import SecretHeap

__all__ = ["Custody", "HeldKey", "Holdings", "reason_of"]

_KEY_BUFFER_BYTES: Final = 16 << 10
_FIRST_BACKOFF_S: Final = 1.0
_LAST_BACKOFF_S: Final = 60.0
_RENEW_AT: Final = 0.4
"""Part of the lifetime after which evidence is renewed; a renewal that fails has time to be tried again."""

_VERDICTS: Final = frozenset(
    {Fault.NOT_CONFIDENTIAL, Fault.EVIDENCE_INVALID, Fault.UNTRUSTED_ROOT, Fault.POLICY_MISMATCH, Fault.TOKEN_INVALID}
    | {Fault.MAA_REFUSED, Fault.RELEASE_DENIED, Fault.RELEASE_INVALID, Fault.CONFIG_INVALID}
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
    """One released key version."""

    released: ReleasedKey
    private: rsa.RSAPrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What the worker may use until `until` (time.monotonic), or why it has nothing."""

    attestation: Attestation | None = None
    keys: Mapping[str, HeldKey] = field(default_factory=dict)
    until: float = 0.0
    reason: Reason = Reason.NOT_READY

    def fresh(self) -> bool:
        """Whether evidence and keys may still be used."""
        return bool(self.keys) and time.monotonic() < self.until

    def key(self, kek_id: str) -> HeldKey:
        """The key of this id; UNKNOWN_KEY when the worker does not hold it, NOT_READY when it holds none."""
        if not self.fresh():
            raise Refusal(self.reason, stage=Stage.ADMIT)
        try:
            return self.keys[kek_id]
        except KeyError:
            raise Refusal(Reason.UNKNOWN_KEY, stage=Stage.ADMIT) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quote:
    nonce: bytes
    answer: Callable[[Evidence | Refusal], None]


class Custody:
    """Runs the custody thread; `holdings` is replaced as a whole and may be read from the main thread at any time."""

    def __init__(self, *, config: Config, trust: Trust, heap: SecretHeap, receipt_key: bytes) -> None:
        """`receipt_key` is the 32-byte thumbprint of the key that signs receipts."""
        section = config.attestation
        reference = msgspec.convert(section.reference_values, ReferenceValues)
        self._attester = Attester(
            trust=trust, maa_url=section.maa_url, reference=reference, client_id=section.client_id
        )
        self._specs = [
            KeySpec(kek_id=k.kek_id, public_thumbprint=k.public_thumbprint, policy_sha256=k.policy_sha256)
            for k in config.keys
        ]
        self._lifetime = section.key_lifetime_s
        self._heap, self._receipt_key = heap, receipt_key
        self._quotes: queue.Queue[_Quote] = queue.Queue(maxsize=16)
        self._lock = threading.Lock()
        self.holdings = Holdings()

    def start(self, changed: Callable[[], None]) -> None:
        """Begin to attest; `changed` is called in the custody thread whenever there are new holdings."""
        threading.Thread(target=self._run, args=(changed,), name="custody", daemon=True).start()

    def quote(self, nonce: bytes, answer: Callable[[Evidence | Refusal], None]) -> None:
        """Ask for fresh evidence over a caller's nonce; `answer` is called in the custody thread."""
        try:
            self._quotes.put_nowait(_Quote(nonce=nonce, answer=answer))
        except queue.Full:
            answer(Refusal(Reason.OVERLOADED, stage=Stage.START))

    def drop_if_stale(self, seen: Holdings) -> None:
        """Let go of keys whose time is over, unless they were renewed meanwhile. For the main thread."""
        with self._lock:
            if self.holdings is seen:
                self.holdings = Holdings(reason=Reason.NOT_READY)

    def _run(self, changed: Callable[[], None]) -> None:
        self._heap.enter()
        backoff = _FIRST_BACKOFF_S
        while True:
            try:
                self._renew()
                wait = self._lifetime * _RENEW_AT * random.uniform(0.8, 1.0)  # noqa: S311 - spreads a fleet
                backoff = _FIRST_BACKOFF_S
            except AttestationError as error:
                wait = max(backoff, error.retry_after or 0.0) * random.uniform(1.0, 1.5)  # noqa: S311
                backoff = min(2 * backoff, _LAST_BACKOFF_S)
                self._failed(error, wait)
            changed()
            self._answer_quotes(time.monotonic() + wait)

    def _renew(self) -> None:
        started = time.monotonic()
        attestation = self._attester.attest(receipt_key=self._receipt_key)
        keys = {spec.kek_id: self._release(attestation, spec) for spec in self._specs}
        with self._lock:
            self.holdings = Holdings(attestation=attestation, keys=keys, until=started + self._lifetime)
        log("attested", ms=int((time.monotonic() - started) * 1000))

    def _release(self, attestation: Attestation, spec: KeySpec) -> HeldKey:
        buffer = bytearray(_KEY_BUFFER_BYTES)
        try:
            released = self._attester.release_into(attestation, spec, memoryview(buffer))
            private = serialization.load_der_private_key(memoryview(buffer)[: released.length], password=None)
        except ValueError as error:
            raise AttestationError(Fault.RELEASE_INVALID, check="custody") from error
        finally:
            buffer[:] = bytes(len(buffer))
        if not isinstance(private, rsa.RSAPrivateKey):
            raise AttestationError(Fault.RELEASE_INVALID, check="custody")
        return HeldKey(released=released, private=private)

    def _failed(self, error: AttestationError, wait: float) -> None:
        reason = reason_of(error)
        log("not attested", fault=error.fault.value, check=error.check, reason=reason.value, retry_ms=int(wait * 1000))
        with self._lock:
            if error.fault in _VERDICTS or not self.holdings.fresh():
                self.holdings = Holdings(reason=reason)

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
