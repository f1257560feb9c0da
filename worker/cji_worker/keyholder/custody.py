"""Evidence and keys: attest, release, renew within half of their lifetime, drop when they expire or earlier.

One thread performs the slow steps (TPM, IMDS, MAA, Key Vault) in the order of a `Schedule`; the main thread reads the
latest `Holdings` and never waits. Consequences of a step that fails:

* A verdict against the machine (evidence refused, PCRs changed) drops every key at once. If another worker has started
  in this boot, the process ends with a status of its own, on which the unit reboots the machine.
* A verdict against one key (release denied, wrong statement) drops that key at once; the others stay. It is an event,
  and ends jobs under the key, also if the key expired before: a vault that was away may deny once it is back.
* "Cannot be verified" is Key Vault's answer both when it denies and when it fails to reach the issuer: one more
  attestation decides (azure-sdk-for-net issue 27957).
* Anything else is a failure to renew: a key stays until it expires, and no longer. It is an event, once until the key
  is released again; a vault that throttles is not.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import mlkem, rsa

from cji_attestation import AttestationError, Fault, Trust
from cji_attestation.appraisal import ReferenceValues, check_reference, review_of
from cji_attestation.checks import NAMED
from cji_attestation.evidence import Evidence
from cji_attestation.evidence.boot_logs import BootLogs
from cji_attestation.evidence.event_log import AppliedBundle
from cji_attestation.release import Attestation, Attester, KeySpec, ReleasedKey
from cji_core.documents import convert
from cji_core.errors import Reason, RebootError, Refusal, StartupError
from cji_core.format.configuration.worker import AttestationSection, Config, KeySection
from cji_core.format.envelope import UnwrappingKey, unwrap_seed
from cji_core.jose import key_id
from cji_core.log import log
from cji_core.manifest import Code
from cji_core.strict import b64url_decode
from cji_core.trail import DropCause, ReleaseFailure
from cji_worker.host import TpmClockWatch
from cji_worker.keyholder.holdings import CustodyEvent, Dropped, HeldKey, Holdings, NotReleased
from cji_worker.keyholder.key_specs import key_specs
from cji_worker.keyholder.own_evidence import OwnEvidence
from cji_worker.keyholder.quotes import Quotes
from cji_worker.keyholder.schedule import (
    ANOTHER_START,
    ATTEST_AGAIN,
    KEY_REFUSED,
    MACHINE_REFUSED,
    NOT_ATTESTED,
    Schedule,
    cause_of,
    failure_of,
    reason_of,
)
from cji_worker.keyholder.start_value import keep_start
from cji_worker.memory import SecretHeap

_KEY_BUFFER_BYTES: Final = 16 << 10
_UNREAD: Final = 2  # checks of the PCRs in a row that cannot be made before they count as a refusal

_MAX_SEED_BYTES: Final = 2 << 10
"""Of the file of a wrapped seed, base64url."""


class Custody:
    """Runs the custody thread; `holdings` is replaced as a whole, so the main thread may read it at any time."""

    def __init__(
        self,
        *,
        config: Config,
        code: Code,
        trust: Trust,
        receipt_key: bytes,
        tpm: TpmClockWatch,
        logs: BootLogs | None = None,
        own: OwnEvidence | None = None,
    ) -> None:
        """`receipt_key` is a thumbprint of 32 bytes. A process that maps a file outside `code` obtains no key.

        `logs` are inherited event logs, see `Attester`. `own` takes evidence of this start, once.
        """
        section = config.attestation
        reference = reference_values(section)
        self._attester = _attester(config, trust, reference, logs)
        self._specs = key_specs(config)
        self._seeds = {k.kek_id: _wrapped_seed(k) for k in config.keys}
        self.review = review_of(reference)
        """The table of advisories and the risk acceptances in force."""
        self._required: ReferenceValues | None = None
        """Reference values that the custody thread has still to take."""
        self._lifetime = section.key_lifetime_s
        self._schedule = Schedule(
            self._specs,
            lifetime=self._lifetime,
            check_every=section.pcr_check_s,
            token_age=reference.token_max_age,
            workers=section.workers_per_vault,
            shows=own is not None,
        )
        self._code, self._receipt_key, self._tpm, self._named_after = code, receipt_key, tpm, config.vm_id
        self._own, self._unread = own, 0
        self._attestation: Attestation | None = None
        self._failures: dict[str, ReleaseFailure] = {}
        """By key: why it was last not released, until it is."""
        self.quotes = Quotes(self._quote, reason_of=reason_of)
        self.bundle: AppliedBundle | None = None
        """The bundle whose configuration is in force; a change is in every quote that begins after it."""
        self._renewal = threading.Event()
        self._lock = threading.Lock()
        self._events: deque[CustodyEvent] = deque()
        self.holdings = Holdings(missing=dict.fromkeys(self._specs, Reason.NOT_READY))

    def start(self, heap: SecretHeap, changed: Callable[[], None]) -> None:
        """Begin to attest; `changed` is called in the custody thread after each step.

        A fault of this program in that thread ends the process: without it no key would ever be renewed or dropped.
        """

        def run() -> None:
            try:
                heap.enter()
                while True:
                    self.step()
                    changed()
            except StartupError as error:
                log("error", what=error.what, remedy=error.remedy)
                os._exit(error.status)
            except BaseException as fault:  # noqa: BLE001 - a thread that ends does not end its process
                log("fault", error=type(fault).__name__)
                os._exit(1)

        threading.Thread(target=self._attester.preload, name="preload", daemon=True).start()
        threading.Thread(target=run, name="custody", daemon=True).start()

    def confirm(self) -> None:
        """Use no key until the PCRs have been compared again. For a process that stood still."""
        with self._lock:
            self.holdings = replace(self.holdings, confirmed=False)
        self.quotes.interrupt()

    def renew(self) -> None:
        """Attest and have every key released again, soon. Keys that are held stay until then, and if it fails."""
        self._renewal.set()
        self.quotes.interrupt()

    def require(self, reference: ReferenceValues) -> None:
        """Appraise by other reference values from now on, what was attested before as well.

        If the evidence in use does not meet them, every key is dropped.
        """
        with self._lock:
            self._required, self.review = reference, review_of(reference)
        self.renew()

    def events(self) -> list[CustodyEvent]:
        """Drop expired keys; return what happened since the last call, in order. For the main thread."""
        with self._lock:
            over = [kek_id for kek_id, key in self.holdings.keys.items() if not key.fresh()]
            self._drop(over, cause="expired", reason=Reason.NOT_READY)
            events, self._events = list(self._events), deque()
            return events

    def is_held(self, kek_id: str) -> bool:
        """Whether the key with this id may be used now."""
        return kek_id in self.holdings.usable()

    def stop(self) -> list[CustodyEvent]:
        """Drop every key; return what happened since the last call."""
        with self._lock:
            self._drop(list(self.holdings.keys), cause="stopped", reason=Reason.DRAINING)
        return self.events()

    def step(self) -> None:
        """Wait for the next thing to do, answering quotes meanwhile, and do it."""
        self._take_values()
        if self._renewal.is_set():
            self._renewal.clear()
            self._schedule.renew(time.monotonic())
        step = self._schedule.next()
        self.quotes.serve(step.at)
        if self._renewal.is_set():
            return
        match step.what if self.holdings.confirmed else "check":
            case "attest":
                self._attest()
            case "release":
                self._release(self._specs[step.kek_id])
            case "check":
                self._check()
            case "show":
                self._leave_evidence()

    # ---- below: the custody thread ----

    def _take_values(self) -> None:
        with self._lock:
            reference, self._required = self._required, None
        if reference is None:
            return
        try:
            self._attester.require(reference, self._attestation)
        except AttestationError as error:
            self._drop_all(cause_of(error), reason_of(error))
            self._log("not as required", error)

    def _quote(self, root: bytes) -> tuple[Evidence, AppliedBundle | None]:
        update = self._attester.hot_update(self.bundle)
        self._take_values()  # those of this bundle, if it is a new one: they came first
        return self._attester.quote(receipt_key=self._receipt_key, root=root, update=update), update

    def _attest(self) -> None:
        started, utc = time.monotonic(), time.time()
        try:
            attestation = self._attester.attest(receipt_key=self._receipt_key)
        except AttestationError as error:
            self._schedule.not_attested(time.monotonic(), retry_after=error.retry_after or 0.0)
            self._log("not attested", error)
            if (error.fault, error.check) == ANOTHER_START:
                raise RebootError("A worker has started in this boot before", error.remedy) from error
            if error.fault in NOT_ATTESTED:
                self._drop_all(cause_of(error), reason_of(error))
            else:
                with self._lock:
                    self.holdings = replace(self.holdings, reason=reason_of(error))
            return
        self._require_own_name(attestation.verdict.vm_unique_id)
        if self._attestation is not None and attestation.booted != self._attestation.booted:
            # the machine changed: keys released to its earlier state are not for this one
            self._drop_all("pcr-drift", Reason.ATTESTATION_REJECTED)
        self._attestation, self._unread = attestation, 0
        self._schedule.attested(time.monotonic(), began=started)
        self._tpm.note(utc=utc, tpm=attestation.verdict.clock)
        until = started + self._lifetime
        with self._lock:
            self.holdings = replace(self.holdings, attestation=attestation, until=until, reason=Reason.NOT_READY)
            self._events.append(attestation)
        log("attested", ms=int((time.monotonic() - started) * 1000))
        if above := attestation.verdict.above_floor:
            log("floors-trail", what=", ".join(above), remedy=NAMED["floors-trail"])
        if early := attestation.verdict.early:
            log("tcb-early", what="; ".join(f"{one.id}: {one.detail}" for one in early), remedy=NAMED["tcb-early"])

    def _require_own_name(self, vm_id: str) -> None:
        """Raise StartupError if `worker.id` has the id of another machine than the evidence."""
        if self._named_after and self._named_after != vm_id.lower():
            raise StartupError(
                f"worker.id is of machine {self._named_after}, the evidence of {vm_id.lower()}",
                "Restart the machine: cji-bundle.service writes its id again. If it is wrong again, redeploy it.",
            )

    def _release(self, spec: KeySpec) -> None:
        attestation = self._attestation
        assert attestation is not None  # noqa: S101 - the schedule releases only after an attestation
        started = time.monotonic()
        self._code.check_mapped()
        try:
            released, private = self._released(attestation, spec)
        except AttestationError as error:
            self._not_released(spec.kek_id, error)
            return
        until = self._schedule.released(spec.kek_id)
        self._failures.pop(spec.kek_id, None)
        key = HeldKey(released=released, private=private, attestation=attestation, until=until)
        with self._lock:
            keys = {**self.holdings.keys, spec.kek_id: key}
            missing = {k: v for k, v in self.holdings.missing.items() if k != spec.kek_id}
            self.holdings = replace(self.holdings, keys=keys, missing=missing)
            self._events.append(key)
        log("released", kek_id=spec.kek_id, ms=int((time.monotonic() - started) * 1000))

    def _leave_evidence(self) -> None:
        own, attestation = self._own, self._attestation
        assert own is not None  # noqa: S101 - the schedule has this step
        assert attestation is not None  # noqa: S101 - only with both
        try:
            if own.write(self._attester.shown(attestation, receipt_jwk=own.receipt_jwk, in_force=self.bundle)):
                self._schedule.shown()
            else:
                self._schedule.not_shown(time.monotonic())
        except AttestationError as error:
            self._schedule.not_shown(time.monotonic())
            self._log("no evidence left", error)

    def _released(self, attestation: Attestation, spec: KeySpec) -> tuple[ReleasedKey, UnwrappingKey]:
        buffer = bytearray(_KEY_BUFFER_BYTES)
        try:
            released = self._attester.release_into(attestation, spec, memoryview(buffer))
            # these bytes have just been proven to be the pinned key, and OpenSSL's own proof is slow
            private = serialization.load_der_private_key(
                memoryview(buffer)[: released.length], password=None, unsafe_skip_rsa_key_validation=True
            )
        except ValueError as error:
            raise AttestationError(Fault.RELEASE_INVALID, check="custody") from error
        finally:
            buffer[:] = bytes(len(buffer))
        if not isinstance(private, rsa.RSAPrivateKey):
            raise AttestationError(Fault.RELEASE_INVALID, check="custody")
        return released, UnwrappingKey(private, _open_seed(private, spec.kek_id, *self._seeds[spec.kek_id]))

    def _not_released(self, kek_id: str, error: AttestationError) -> None:
        reason, denied, retry_after = reason_of(error), error.fault in KEY_REFUSED, error.retry_after or 0.0
        if (error.fault, error.check) in ATTEST_AGAIN and self._schedule.attest_again(kek_id):
            self._log("not released", error, kek_id=kek_id)
            return
        self._schedule.not_released(kek_id, time.monotonic(), failure_of(error.fault), retry_after=retry_after)
        self._log("not released", error, kek_id=kek_id)
        if error.fault in MACHINE_REFUSED:
            self._drop_all(cause_of(error), reason)
            return
        with self._lock:
            self._fail(kek_id, error)
            if denied:
                self._drop([kek_id], cause="revoked", reason=reason)
            elif kek_id not in self.holdings.keys:
                self.holdings = replace(self.holdings, missing={**self.holdings.missing, kek_id: reason})

    def _fail(self, kek_id: str, error: AttestationError) -> None:
        """With the lock held: report why a key is not released, if that changed."""
        if error.fault is Fault.RELEASE_THROTTLED:
            return
        cause: ReleaseFailure = "denied" if error.fault in KEY_REFUSED else "unavailable"
        if self._failures.get(kek_id) != cause:
            self._failures[kek_id] = cause
            self._events.append(NotReleased(kek_id=kek_id, cause=cause, reason=reason_of(error)))

    def _check(self) -> None:
        self._schedule.checked(time.monotonic())
        try:
            if self._attestation is not None:
                self._attester.check_pcrs(self._attestation)
            with self._lock:
                self._unread, self.holdings = 0, replace(self.holdings, confirmed=True)
        except AttestationError as error:
            self._log("not as attested", error)
            self._unread += 1
            if error.fault in MACHINE_REFUSED or self._unread == _UNREAD:
                self._drop_all(cause_of(error), reason_of(error))

    def _drop_all(self, cause: DropCause, reason: Reason) -> None:
        """Drop the attestation and every key, and begin again."""
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


def _wrapped_seed(key: KeySection) -> tuple[bytes, str]:
    """The wrapped seed of the key's ML-KEM half and the thumbprint of its public part; both empty if it has none."""
    name = key.ml_kem_seed_file
    if name is None or key.ml_kem_thumbprint is None:
        return b"", ""
    try:
        with open(name, "rb") as file:
            others, data = os.fstat(file.fileno()).st_mode & 0o077, file.read(_MAX_SEED_BYTES + 1)
        if others:
            raise StartupError(f"ml_kem_seed_file: others than its owner may use {name}", f"chmod 0400 {name}")
        if len(data) > _MAX_SEED_BYTES:
            raise ValueError
        return b64url_decode(data.decode("ascii").strip()), key.ml_kem_thumbprint
    except OSError as error:
        what = f"ml_kem_seed_file: {name} cannot be read"
        raise StartupError(what, "Give it to the worker's user, mode 0400.") from error
    except ValueError as error:
        raise StartupError(
            f"ml_kem_seed_file: {name} is not a wrapped seed", "Use the file that `cji key new-ml-kem-seed` wrote."
        ) from error


def _open_seed(
    private: rsa.RSAPrivateKey, kek_id: str, wrapped: bytes, thumbprint: str
) -> mlkem.MLKEM1024PrivateKey | None:
    """The ML-KEM half, which exists only from here on. One fault for a seed that does not open or is another key's."""
    if not wrapped:
        return None
    try:
        key = mlkem.MLKEM1024PrivateKey.from_seed_bytes(unwrap_seed(private, kek_id, wrapped))
    except (Refusal, UnsupportedAlgorithm) as error:
        raise AttestationError(Fault.RELEASE_INVALID, check="ml-kem-seed") from error
    if key_id(key.public_key()) != thumbprint:
        raise AttestationError(Fault.RELEASE_INVALID, check="ml-kem-seed")
    return key


def _attester(config: Config, trust: Trust, reference: ReferenceValues, logs: BootLogs | None) -> Attester:
    section = config.attestation
    return Attester(
        trust=trust,
        maa_url=section.maa_url,
        reference=reference,
        ak_issuers=_ak_issuers(section),
        client_id=section.client_id,
        region=config.worker.region,
        logs=logs,
        announce=keep_start,
    )


def reference_values(section: AttestationSection) -> ReferenceValues:
    """The reference values of `[attestation]`, which an appraisal can use. Raises StartupError."""
    try:
        reference = convert(section.values(), ReferenceValues, str_keys=True)
        check_reference(reference)
        review_of(reference)
    except msgspec.ValidationError as error:
        what = f"attestation.reference_values: {error}"
        raise StartupError(what, "docs/configuration.md lists their keys.") from error
    except AttestationError as error:
        raise StartupError(f"attestation.reference_values: {error}", error.remedy) from error
    return reference


def _ak_issuers(section: AttestationSection) -> bytes:
    """Certificates of vTPM authorities in PEM, none if none are named. Raises StartupError."""
    if section.ak_issuers is None:
        return b""
    try:
        return Path(section.ak_issuers).read_bytes()
    except OSError as error:
        what = f"attestation.ak_issuers: {section.ak_issuers} cannot be read"
        raise StartupError(
            what, "Name a readable PEM file with the certificates of Azure's vTPM authorities."
        ) from error
