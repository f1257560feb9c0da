"""Approval of a machine's request for the certificate of its TLS door, by its evidence.

For each machine of the list:

    a request is there             it has exactly the names of the policy, and proof that its sender has the key
    challenge                      32 random bytes, for one answer within ten minutes
    evidence for these bytes       appraised as a submitter's client does, with the reference values of the profile
    the machine                    its vmId is the one whose request this is
    the signature                  by the attested receipt key, over nonce, pool and digest of this request
    the certificate                names and lifetime of the policy, signed by the agency's authority

Contract and invariants
* A certificate is issued only after all of them, and each challenge is answered once, whatever the answer was.
* Nothing that the container has decides about names, lifetime, pool or machine.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Meta

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.bundle.signatures import Signer
from cji_attestation.vouched import verify_vouched
from cji_core.documents import toml
from cji_core.errors import ClientError, SpecError, StartupError, Unreachable
from cji_core.format.configuration.fleet import Container, StorageUrl
from cji_core.format.envelope.enrollment import NONCE_BYTES
from cji_core.format.job.identity import UNREADABLE
from cji_core.pool.enrollment import Exchange, digest_of
from cji_deploy.errors import DeploymentError

CHALLENGE_S: Final = 600.0
_MAX_FILE: Final = 64 << 10
_SKEW: Final = timedelta(minutes=5)
_CN_LENGTH: Final = 64
_REMEDY: Final = "Compare it with docs/bundle.md."
_Text = Annotated[str, Meta(min_length=1, max_length=1024)]
_VmId = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]


class ApprovalFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`approval.toml`: where requests are, and what the agency's authority certifies.

    `machines` are vmIds as your subscription lists them; `names` are those of every certificate: DNS names, since the
    door takes no certificate with others.
    """

    pool: _Text
    account: StorageUrl
    container: Container = "enroll"
    ca_file: _Text | None = None
    maa_url: _Text
    machines: Annotated[tuple[_VmId, ...], Meta(min_length=1, max_length=1024)]
    names: Annotated[tuple[_Text, ...], Meta(min_length=1, max_length=16)]
    days: Annotated[int, Meta(ge=1, le=90)] = 7
    authority: _Text
    """PEM: the certificate of the authority's key, then those above it without the root."""

    def __post_init__(self) -> None:
        if len(set(self.machines)) != len(self.machines):
            raise ValueError("machines has one twice")


def require_image(reference: ReferenceValues) -> None:
    """Raise StartupError if any image would do: a role that may replace a machine's disk could choose it.

    The vmId stays with the machine, whatever its disk.
    """
    if reference.boot_images is None and reference.releases is None and not reference.pcrs:
        raise StartupError(
            "The profile accepts every image",
            "Pin boot_images, or releases, in [reference] of the file of --profile; docs/bundle.md explains why.",
        )


class RequestRefusedError(DeploymentError):
    """A request for a certificate that is not approved."""

    code = "approval-refused"

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The state of a machine's request in one look. `state`: waits, asked, issued or refused."""

    vm_id: str
    state: Literal["waits", "asked", "issued", "refused"]
    what: str = ""
    remedy: str = ""
    until: datetime | None = None


def load_approval(path: Path) -> ApprovalFile:
    """Read approval.toml; its relative paths are relative to its folder. Raises StartupError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
        if len(data) > _MAX_FILE:
            raise ValueError("larger than 64 KiB")
        found = toml(data, ApprovalFile)
    except OSError as error:
        raise StartupError(f"{path} cannot be read: {error.strerror}", "Name a readable file.") from error
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise StartupError(f"{path} is not valid: {error}", _REMEDY) from error
    folder = path.resolve().parent
    ca_file = None if found.ca_file is None else str(folder / found.ca_file)
    return msgspec.structs.replace(found, authority=str(folder / found.authority), ca_file=ca_file)


class SignerKey(ec.EllipticCurvePrivateKey):
    """A `Signer` as the library that makes certificates takes a key: it signs, and shows nothing of itself."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-384."""
        return self._signer.public_key().curve

    @property
    def key_size(self) -> int:
        """384."""
        return self.curve.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """As in `Signer`."""
        return self._signer.public_key()

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """ECDSA with SHA-384 in DER; of no other digest."""
        if not isinstance(signature_algorithm.algorithm, SHA384):
            raise TypeError("not SHA-384")
        value = self._signer.es384(bytes(data))
        return encode_dss_signature(int.from_bytes(value[:48], "big"), int.from_bytes(value[48:], "big"))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Never."""
        raise NotImplementedError

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        """Never."""
        raise NotImplementedError

    def private_bytes(self, *_: Any) -> bytes:
        """Never."""
        raise NotImplementedError

    def __copy__(self) -> "SignerKey":
        return self

    def __deepcopy__(self, memo: Any) -> "SignerKey":
        return self


class Authority:
    """The agency's authority: its certificate, and the key that signs."""

    def __init__(self, chain: tuple[x509.Certificate, ...], signer: Signer) -> None:
        """Raises StartupError if they do not belong together, or if it may not issue now."""
        self._chain, self._key = chain, SignerKey(signer)
        if chain[0].public_key() != signer.public_key():
            raise StartupError("The first certificate of `authority` is of another key", "Name the key's certificate.")
        self._require_valid(datetime.now(UTC))
        if not _is_authority(chain[0]):
            raise StartupError("The first certificate of `authority` may issue none", "Name an authority's.")

    def _require_valid(self, now: datetime) -> None:
        begin, end = self._chain[0].not_valid_before_utc, self._chain[0].not_valid_after_utc
        if not begin <= now < end:
            what = f"The first certificate of `authority` is valid from {begin:%Y-%m-%d} until {end:%Y-%m-%d}"
            raise StartupError(what, "Renew it.")

    def issue(self, file: ApprovalFile, key: ec.EllipticCurvePublicKey, *, now: datetime) -> tuple[bytes, datetime]:
        """The certificate for this key and those above it, PEM, and its end: with the names of the policy alone.

        Raises StartupError once the authority's own has ended.
        """
        self._require_valid(now)
        end, own = min(now + timedelta(days=file.days), self._chain[0].not_valid_after_utc), self._chain[0]
        short = [name for name in file.names if len(name) <= _CN_LENGTH][:1]
        names = [x509.DNSName(name) for name in file.names]
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in short]))
            .issuer_name(own.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName(names), critical=not short)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_SIGNS, critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_above(own), critical=False)
        )
        chain = (builder.sign(self._key, SHA384()), *self._chain)
        return b"".join(each.public_bytes(Encoding.PEM) for each in chain), end


_SIGNS: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _is_authority(own: x509.Certificate) -> bool:
    try:
        return bool(own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except UNREADABLE:
        return False


def _above(own: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        known = own.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = own.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - a Signer's
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    request: bytes
    key: ec.EllipticCurvePublicKey
    nonce: bytes
    until: float


@dataclass(slots=True, kw_only=True)
class Approver:
    """Looks at the requests of the machines of its list. `exchange` returns the blobs of one."""

    file: ApprovalFile
    exchange: Callable[[str], Exchange]
    authority: Authority
    trust: Trust
    reference: ReferenceValues
    clock: Callable[[], float] = time.monotonic
    _asked: dict[str, _Asked] = field(default_factory=dict)
    _done: dict[str, bytes] = field(default_factory=dict)

    def look(self) -> Iterator[Outcome]:
        """One look at each machine. Raises StoreError, Unreachable, StartupError."""
        for vm_id in self.file.machines:
            try:
                yield self._step(vm_id, self.exchange(vm_id))
            except RequestRefusedError as error:
                yield Outcome(vm_id=vm_id, state="refused", what=str(error), remedy=error.remedy)

    def _step(self, vm_id: str, exchange: Exchange) -> Outcome:
        request = exchange.request()
        if request is None or self._done.get(vm_id) == request:
            return Outcome(vm_id=vm_id, state="waits")
        asked = self._asked.get(vm_id)
        if asked is None or asked.request != request or self.clock() > asked.until:
            return self._ask(vm_id, exchange, request)
        answer = exchange.evidence(asked.nonce)
        if answer is None:
            return Outcome(vm_id=vm_id, state="waits")
        del self._asked[vm_id]
        self._done[vm_id] = request
        self._require(vm_id, asked, answer)
        chain, until = self.authority.issue(self.file, asked.key, now=datetime.now(UTC))
        exchange.issue(request, chain)
        return Outcome(vm_id=vm_id, state="issued", until=until)

    def _ask(self, vm_id: str, exchange: Exchange, request: bytes) -> Outcome:
        try:
            key = _key_of(request, self.file.names)
        except RequestRefusedError:
            self._done[vm_id] = request
            raise
        nonce = secrets.token_bytes(NONCE_BYTES)
        self._asked[vm_id] = _Asked(request=request, key=key, nonce=nonce, until=self.clock() + CHALLENGE_S)
        exchange.challenge(request, nonce)
        return Outcome(vm_id=vm_id, state="asked")

    def _require(self, vm_id: str, asked: _Asked, answer: bytes) -> None:
        """Raise RequestRefusedError unless the machine with this id vouches for the request, in the pool."""
        try:
            attested = verify_vouched(
                answer,
                nonce=asked.nonce,
                pool=self.file.pool,
                request_sha384=digest_of(asked.request),
                trust=self.trust,
                reference=self.reference,
                maa_url=self.file.maa_url,
            )
        except (Unreachable, SpecError):
            raise
        except ClientError as error:
            raise RequestRefusedError(
                f"The evidence does not vouch for the request: {error}",
                "Compare the machine's image, bundle and pool with the profile and approval.toml; do not approve it.",
            ) from error
        found = attested.verdict.vm_unique_id.lower()
        if found != vm_id:
            raise RequestRefusedError(
                f"The evidence is of the machine {found}",
                "Look at who may write into the container; do not approve it.",
            )


def _key_of(request: bytes, names: Iterable[str]) -> ec.EllipticCurvePublicKey:
    """The key of a request for exactly these names, which its sender has. Raises RequestRefusedError."""
    try:
        found = x509.load_der_x509_csr(request)
        key = found.public_key()
        if not found.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey) or key.key_size != 384:
            raise ValueError("not signed by a key of P-384")
        wanted = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if list(wanted) != [x509.DNSName(name) for name in names]:
            raise RequestRefusedError(
                "The request is for other names than `names`",
                "Make `names` of [listen.enrollment] and of approval.toml the same, in one order.",
            )
    except (*UNREADABLE, InvalidSignature) as error:
        raise RequestRefusedError(
            "This is not a machine's request", "Look at who may write into the container."
        ) from error
    return key
