"""From evidence to key: `Attester` attests this machine and releases pinned keys to it.

No step is skipped: evidence → our verdict → Microsoft's token, checked against our verdict → Key Vault → release
statement → the key's release policy, checked → unwrap inside the TPM's policy → the caller's buffer. Every host is
looked up in the trust before the first socket is opened. Nonces are 32 fresh random bytes, used once.
"""

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Final

import msgspec

from cji_attestation.appraisal import ReferenceValues, Verdict, appraise, check_reference
from cji_attestation.errors import AttestationError, Fault, invalid
from cji_attestation.evidence import NONCE_BYTES, Evidence, bind, gather, maa_nonce, qualifying_data
from cji_attestation.evidence.boot_logs import BootLogs
from cji_attestation.evidence.collect import collect, ephemeral_salt
from cji_attestation.evidence.event_log import START_PCR, AppliedBundle, after_start, start_event
from cji_attestation.evidence.imds import imds_endpoint
from cji_attestation.evidence.imds import region as imds_region
from cji_attestation.evidence.pcs import IntelPcs
from cji_attestation.evidence.tpm import Tpm
from cji_attestation.evidence.tpm_structures import PCRS, SYSTEM_PCRS
from cji_attestation.evidence.tpm_templates import Padding
from cji_attestation.evidence_file import EvidenceFile, crl_of, encoded_values, written_update
from cji_attestation.maa import SigningKeys, VerifiedToken, guest_request, open_reply, send_request, verify_token
from cji_attestation.release.keyspec import KeySpec, locate
from cji_attestation.release.policy import PolicyVerdict, check_release_policy
from cji_attestation.release.statement import verify_statement
from cji_attestation.release.unwrap import unwrap_into
from cji_attestation.strict import load_pem_chain
from cji_attestation.trust import Trust, provider_endpoint, require_region
from cji_core.jose import canonical_jwk
from cji_core.strict import b64url

if TYPE_CHECKING:
    from cji_attestation.release.vault import Vault

MAA_ATTEMPTS: Final = 3
MAA_PAUSE: Final = 1.0  # seconds, doubled; the same address again, which the service fails over behind
MAA_LONGEST_PAUSE: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """Both verdicts on this machine, for one receipt key and one nonce."""

    evidence: Evidence = field(repr=False)
    verdict: Verdict
    token: VerifiedToken
    receipt_key: bytes
    nonce: bytes
    region: str

    @property
    def booted(self) -> tuple[bytes, ...]:
        """PCRs 0 to 15 as they were before the worker's start."""
        assert self.verdict.boot is not None  # noqa: S101 - `attest` requires a second quote
        return self.verdict.boot.pcrs


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedKey:
    """The public facts about a key that was written into the caller's buffer. Nothing in it is secret."""

    kek_id: str
    length: int  # bytes of PKCS#8 DER in the buffer
    public_jwk: str  # canonical JSON of RFC 7638
    policy: PolicyVerdict
    policy_before: str | None  # SHA-256 of the policy at this process's last release of this key, where it was another
    statement_sha384: bytes
    request_id: str  # UUID of the request that the vault answered


class Attester:
    """The one object of a key-holding process that talks to TPM, IMDS, Azure Attestation and Key Vault.

    It is used by one thread at a time. `clock` is wall time in seconds since 1970, `region` the one that the operator
    states; a machine elsewhere is refused. `logs` are inherited event logs, else those that the trust names.
    `ak_issuers` is PEM: who issues certificates of attestation keys, up to the root (E44).

    The first key that is released ends a phase: PCR 15 is extended by the receipt key, before the caller obtains the
    key. Evidence before that must show no worker's start in this boot, and evidence after it exactly this one. PCR 15
    stays as it is until the next boot, so whatever starts later in this one cannot attest as a worker, this program
    after a crash included: nothing on this machine could tell the two apart.
    Raises CONFIG_INVALID at once for a provider or region that the trust does not name, for impossible reference values
    and for issuers that cannot be read.
    """

    def __init__(
        self,
        *,
        trust: Trust,
        maa_url: str,
        reference: ReferenceValues,
        ak_issuers: bytes = b"",
        client_id: str | None = None,
        region: str | None = None,
        logs: BootLogs | None = None,
        announce: Callable[[bytes], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_reference(reference)
        if region is not None and region not in trust.regions:
            raise AttestationError(Fault.CONFIG_INVALID, check="region")
        self._provider = provider_endpoint(trust, maa_url)
        imds_endpoint(trust)
        self._trust = trust
        self._region = region
        self._reference = reference
        self._clock = clock
        self._keys = SigningKeys(issuer=self._provider, trust=trust)
        self._client_id = client_id
        self._pcs = IntelPcs(trust, clock=clock)
        self._ak_issuers = (
            load_pem_chain(ak_issuers, fault=Fault.CONFIG_INVALID, check="ak-issuers") if ak_issuers else ()
        )
        self._logs, self._announce = logs, announce
        self._started = b""  # the receipt key, once it is measured
        self._known: Evidence | None = None
        self._earlier: Verdict | None = None
        self._latest: str | None = None  # jti of the latest attestation; the first one given, if none was made here
        self._answered: set[str] = set()  # kek_ids for which it has had an answer
        self._policies: dict[str, str] = {}  # by kek_id: SHA-256 of the policy of the last release

    @cached_property
    def _vault(self) -> "Vault":
        from cji_attestation.release.vault import Vault  # noqa: PLC0415 - Microsoft's clients take longer than an attestation

        return Vault(trust=self._trust, client_id=self._client_id)

    @staticmethod
    def preload() -> None:
        """Import what a release needs, in any thread: by the time there is an attestation it is at hand."""
        import_module("cji_attestation.release.vault")

    def attest(self, *, receipt_key: bytes) -> Attestation:
        """Attest this machine for a receipt key (32 bytes, RFC 7638 SHA-256 thumbprint); takes seconds.

        Faults: NOT_CONFIDENTIAL, EVIDENCE_*, UNTRUSTED_ROOT, POLICY_MISMATCH, MAA_*, TOKEN_INVALID.
        """
        where = require_region(self._trust, imds_region(self._trust), stated=self._region)
        nonce = secrets.token_bytes(NONCE_BYTES)
        bound = qualifying_data(receipt_key, nonce)
        evidence = self._collect(bound, None)
        verdict = self._appraise(evidence, bound)
        request = guest_request(evidence, nonce=maa_nonce(bound), log=evidence.firmware_log)
        raw = open_reply(self._request_token(request), decrypt=self._decrypter(evidence, bound, padding="rsaes"))
        token = verify_token(
            raw,
            keys=self._keys,
            verdict=verdict,
            nonce=maa_nonce(bound),
            reference=self._reference,
            max_age=self._reference.token_max_age,
            now=self._clock(),
        )
        self._known = evidence
        self._latest, self._answered = token.jti, set()
        return Attestation(
            evidence=evidence,
            verdict=verdict,
            token=token,
            receipt_key=receipt_key,
            nonce=nonce,
            region=where,
        )

    def require(self, reference: ReferenceValues, attestation: Attestation | None) -> None:
        """Use other reference values from now on, and appraise by them the evidence of an attestation that is in use.

        Faults: CONFIG_INVALID, and those of an appraisal.
        """
        check_reference(reference)
        self._reference = reference
        if attestation is not None:
            appraise(
                attestation.evidence,
                trust=self._trust,
                reference=reference,
                expected_qualifying_data=qualifying_data(attestation.receipt_key, attestation.nonce),
                start=(b"", self._started),  # it may be the one under which the first key was released
                now=datetime.fromtimestamp(self._clock(), UTC),
            )

    def hot_update(self, in_force: AppliedBundle | None) -> AppliedBundle | None:
        """The bundle in force, if it is another than the one that PCR 15 has: quotes have to commit to it."""
        boot = None if self._earlier is None else self._earlier.boot
        return None if boot is not None and in_force == boot.bundle else in_force

    def quote(self, *, receipt_key: bytes, root: bytes, update: AppliedBundle | None = None) -> Evidence:
        """Fresh evidence for the nonces under this root (`cji_attestation.evidence.gather`), and for a hot update.

        It is appraised here too, so nothing unsound is handed out. EVIDENCE_UNAVAILABLE "not-started" before the first
        release: nobody could accept it.
        """
        if not self._started:
            raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="not-started")
        bound = bind(receipt_key, root, update)
        evidence = self._collect(bound, self._known)
        self._appraise(evidence, bound, update)
        return evidence

    def shown(
        self, attestation: Attestation, *, receipt_jwk: str, in_force: AppliedBundle | None = None
    ) -> EvidenceFile:
        """Fresh evidence of this start for a nonce of its own, as a submitter keeps it. Raises as `quote`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        root, (path,) = gather([nonce])
        update = self.hot_update(in_force)
        evidence = self.quote(receipt_key=attestation.receipt_key, root=root, update=update)
        return EvidenceFile(
            version=6,
            cloud=self._trust.name,
            attested_at=datetime.fromtimestamp(self._clock(), UTC),
            nonce=nonce,
            nonce_path=path,
            receipt_jwk=receipt_jwk,
            evidence=evidence.to_json(),
            maa_token=attestation.token.raw,
            token_nonce=attestation.nonce,
            token_evidence=attestation.evidence.to_json(),
            maa_url=self._keys.issuer,
            jwks=self._keys.document,
            reference=encoded_values(self._reference),
            amd_crl=crl_of(attestation.verdict, self._reference),
            bundle_update=written_update(update) or msgspec.UNSET,
        )

    def check_pcrs(self, attestation: Attestation) -> None:
        """Compare PCRs 0-15 with those attested, in milliseconds: EVIDENCE_INVALID "pcr-changed", EVIDENCE_UNAVAILABLE.

        The answer is not signed: it comes through the kernel that the evidence describes, and is not evidence itself.
        """
        expected = attestation.booted
        if self._started:
            expected = (*expected[:START_PCR], after_start(expected[START_PCR], self._started))
        with Tpm(self._trust.tcti) as tpm:
            if (*tpm.pcr_values(PCRS), *tpm.pcr_values(SYSTEM_PCRS)) != expected:
                raise invalid("pcr-changed")

    def release_into(self, attestation: Attestation, key: KeySpec, buffer: memoryview) -> ReleasedKey:
        """Have Key Vault release one pinned key and write its PKCS#8 DER into `buffer` (4 KiB is enough for RSA-4096).

        The latest attestation takes one answer for each key, good or bad: its ephemeral key opens no second one, and no
        earlier attestation takes any. A release that was denied, throttled or not answered may be asked for again.
        Faults: CONFIG_INVALID (before any connection), TOKEN_INVALID "age" or "used", IDENTITY_UNAVAILABLE,
        RELEASE_DENIED ("vault-403-unverified": attest once more), RELEASE_THROTTLED, RELEASE_UNAVAILABLE,
        RELEASE_INVALID (S01 to S11; RP01 to RP47: the key's own release policy is weak; "unwrap"), EVIDENCE_INVALID
        ("pcr-changed": attest once more).
        """
        located = locate(key, trust=self._trust)
        attestation.token.require_fresh(now=self._clock(), max_age=self._reference.token_max_age)
        self._latest = self._latest or attestation.token.jti
        if attestation.token.jti != self._latest or key.kek_id in self._answered:
            raise AttestationError(Fault.TOKEN_INVALID, check="used")
        self.check_pcrs(attestation)  # the TPM itself compares PCRs 0 to 7 with those attested, and no others
        nonce = b64url(secrets.token_bytes(NONCE_BYTES))
        request_id = str(uuid.uuid4())
        raw = self._vault.release(located, token=attestation.token.raw, nonce=nonce, request_id=request_id)
        self._answered.add(key.kek_id)
        statement = verify_statement(raw, key=key, located=located, nonce=nonce, trust=self._trust, now=self._clock())
        policy = check_release_policy(
            statement.policy,
            immutable=statement.policy_immutable,
            trust=self._trust,
            authority=self._provider.base,
            accept=located.accept,
        )
        bound = qualifying_data(attestation.receipt_key, attestation.nonce)
        length = unwrap_into(
            statement.ciphertext,
            buffer,
            decrypt=self._decrypter(attestation.evidence, bound, padding="oaep-sha256"),
            public_key=statement.public_key,
        )
        self._measure_start(attestation)
        before = self._policies.get(key.kek_id)
        self._policies[key.kek_id] = policy.sha256
        return ReleasedKey(
            kek_id=key.kek_id,
            length=length,
            public_jwk=canonical_jwk(statement.public_key),
            policy=policy,
            policy_before=None if before == policy.sha256 else before,
            statement_sha384=statement.sha384,
            request_id=request_id,
        )

    def _collect(self, bound: bytes, known: Evidence | None) -> Evidence:
        return collect(
            trust=self._trust,
            qualifying_data=bound,
            pcs=self._pcs,
            ak_issuers=self._ak_issuers,
            logs=self._logs,
            started=self._started,
            known=known,
        )

    def _measure_start(self, attestation: Attestation) -> None:
        receipt_key = attestation.receipt_key
        if not self._started:
            self._announce(after_start(attestation.booted[START_PCR], receipt_key))
            with Tpm(self._trust.tcti) as tpm:
                tpm.measure(START_PCR, start_event(receipt_key))
            self._started = receipt_key

    def _appraise(self, evidence: Evidence, bound: bytes, update: AppliedBundle | None = None) -> Verdict:
        try:
            verdict = appraise(
                evidence,
                trust=self._trust,
                reference=self._reference,
                expected_qualifying_data=bound,
                start=(self._started,),
                update=update,
                now=datetime.fromtimestamp(self._clock(), UTC),
                earlier=self._earlier,
            )
        except AttestationError:
            self._pcs.forget()
            raise
        self._earlier = verdict  # the next one is of the same boot: the vTPM's clock goes on (E35)
        return verdict

    def _request_token(self, request: bytes) -> bytes:
        attempt, pause = 1, MAA_PAUSE
        while True:
            try:
                return send_request(request, provider=self._provider, trust=self._trust)
            except AttestationError as error:
                if error.fault is not Fault.MAA_UNAVAILABLE or attempt == MAA_ATTEMPTS:
                    raise
                time.sleep(min(max(error.retry_after or 0.0, pause), MAA_LONGEST_PAUSE))
            attempt, pause = attempt + 1, 2 * pause

    def _decrypter(self, evidence: Evidence, bound: bytes, *, padding: Padding) -> Callable[[bytes], bytearray]:
        def decrypt(ciphertext: bytes) -> bytearray:
            with Tpm(self._trust.tcti) as tpm:
                return tpm.rsa_decrypt(
                    ciphertext,
                    padding=padding,
                    salt=ephemeral_salt(bound),
                    pcrs=evidence.pcrs,
                    public=evidence.ephemeral,
                )

        return decrypt
