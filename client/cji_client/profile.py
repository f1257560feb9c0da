"""`client.toml`: the worker's address and the submitter's keys. File names are relative to its folder."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from msgspec import Meta

from cji_attestation.appraisal import ReferenceValues
from cji_client.errors import SpecError
from cji_client.retry import RetryPolicy
from cji_client.tokens import TokenSource, token_file
from cji_core.certs import CertificateRefused, load_pem_chain, load_private_key, require_in_force
from cji_core.documents import convert
from cji_core.format.configuration.fleet import Container, StorageUrl
from cji_core.format.configuration.pool_file import over_pool
from cji_core.format.configuration.worker import with_files
from cji_core.format.job import UNREADABLE, certificate_uri
from cji_core.format.keys import PinnedKey, read_private
from cji_core.format.paths import FileName

if TYPE_CHECKING:
    from cji_attestation import Trust
    from cji_attestation.attested import AttestedWorker
    from cji_client.result import Archive

_Text = Annotated[str, Meta(min_length=1)]
_COMPARE: Final = "Compare it with docs/job.md."
_FILES: Final = (
    *("ca", "certificate", "private_key", "signing_key", "recipient_key", "token_file"),
    *("kek_jwk", "ml_kem_jwk"),
)
_DEVICE_FILES: Final = ("ca_file", "pkcs11", "pin_file")
_FILES_OF: Final = {"signer": _DEVICE_FILES, "decrypter": _DEVICE_FILES, "storage": ("ca_file",)}
"""The names of files in a profile, and in its sections."""
_EITHER: Final = (("signing_key", "signer"), ("recipient_key", "decrypter"))
"""A key is a file or on a device."""


class ClientTls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mutual TLS: the roots that the worker's certificate must chain to, and the submitter's own certificate, PEM."""

    ca_pem: bytes
    cert_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return "ClientTls(...)"


class ClientStorage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The storage of a pool of workers, for jobs by reference."""

    blob_url: StorageUrl
    queue_url: StorageUrl
    jobs: Container = "jobs"
    results: Container = "results"
    queue: Container = "jobs"
    ca_file: _Text | None = None
    """PEM file of the authorities of these services. Default: the system's."""


class DeviceKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A private key that is not a file: in a vault, or in a PKCS#11 token."""

    vault: Annotated[str, Meta(pattern="^https://")] | None = None
    """The id of one version of a key in Azure Key Vault or a Managed HSM."""
    ca_file: _Text | None = None
    """PEM file of the authorities of the vault. Default: those of Microsoft's client."""
    pkcs11: _Text | None = None
    """The library of a token's maker."""
    token: _Text | None = None
    label: _Text | None = None
    pin_file: _Text | None = None
    """File whose first line is the PIN of the token's user."""

    def __post_init__(self) -> None:
        of_token = (self.token, self.label, self.pin_file)
        if (self.vault is None) is (self.pkcs11 is None):
            raise ValueError("a key has either vault or pkcs11")
        if self.vault is not None and any(of_token):
            raise ValueError("token, label and pin_file are for pkcs11")
        if self.pkcs11 is not None and not all(of_token):
            raise ValueError("pkcs11 needs token, label and pin_file")

    def below(self, folder: Path) -> Self:
        """The same with file names below `folder`."""
        names = {name: getattr(self, name) for name in _DEVICE_FILES}
        found = {name: str(folder / value) for name, value in names.items() if value is not None}
        return msgspec.structs.replace(self, **found)


class EvidenceSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The completion of evidence.json when it is written: what a verifier in ten years cannot fetch."""

    timestamp: _Text | None = None
    """URL of an RFC 3161 timestamp authority, below one of `timestamp_roots` of the reference values."""
    amd_crl: bool = True
    """Whether AMD's revocation list is fetched where the reference values have none."""


class ClientProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker's address, the cloud whose roots its evidence must chain to, and the submitter's key files.

    `cloud` names a set of compiled-in pins, for example "azure-us". The worker's evidence is appraised against
    `reference`, the submitter's own reference values.
    """

    target: _Text
    cloud: _Text
    maa_url: _Text
    ca: _Text
    certificate: _Text
    private_key: _Text
    reference: ReferenceValues
    server_name: str | None = None
    signing_key: str = ""
    """File with the key that signs job headers. Who only opens results or sends sealed jobs needs none."""
    signer: DeviceKey | None = None
    """The same key, if it is not a file."""
    recipient_key: str | None = None
    """File with the key that opens results."""
    decrypter: DeviceKey | None = None
    """The same key, if it is not a file."""
    token_file: str | None = None
    """File with an access token of Microsoft Entra, read for each call about a job."""
    kek_jwk: str | None = None
    """File with the public key that jobs are sealed to, as a JWK: jobs by reference then need no worker at hand."""
    ml_kem_jwk: str | None = None
    """File with the ML-KEM half of that key."""
    storage: ClientStorage | None = None
    """Without this section, no job is submitted by reference."""
    evidence: EvidenceSection = EvidenceSection()
    retry: RetryPolicy = RetryPolicy()
    job: dict[str, object] = {}
    """Default values for `JobSpec` fields that a spec leaves out."""

    def __post_init__(self) -> None:
        if self.signing_key and self.signer is not None:
            raise ValueError("signing_key and signer exclude each other")
        if self.evidence.timestamp is not None and not self.reference.timestamp_roots:
            raise ValueError("evidence.timestamp needs timestamp_roots in the reference values")
        if self.recipient_key is not None and self.decrypter is not None:
            raise ValueError("recipient_key and decrypter exclude each other")

    def token(self) -> TokenSource | None:
        """The source of access tokens, None if there is no `token_file`."""
        return None if self.token_file is None else token_file(Path(self.token_file))

    def archive(self, trust: "Trust") -> "Archive":
        """Completes evidence before it is written, as the section `evidence` states."""
        section = self.evidence

        def archive(attested: "AttestedWorker") -> "tuple[AttestedWorker, tuple[str, ...]]":
            from cji_attestation.archive import completed  # noqa: PLC0415 - most results are not saved

            return completed(
                attested,
                trust=trust,
                reference=self.reference,
                authority=section.timestamp,
                amd_crl=section.amd_crl,
            )

        return archive

    def pool_storage(self) -> ClientStorage:
        """The section `storage`; SpecError if there is none."""
        if self.storage is None:
            raise SpecError(
                "the profile names no storage", remedy="Add [storage] with the addresses of the pool; see docs/job.md."
            )
        return self.storage

    def submitter(self) -> str:
        """The URI in the client certificate, by which a worker's policy knows the submitter."""
        try:
            return certificate_uri(_first_certificate(self.certificate, Path(self.certificate).read_bytes()))
        except OSError as error:
            raise SpecError(f"{error.filename} cannot be read ({error.strerror})") from None
        except UNREADABLE:
            raise SpecError(f"{self.certificate} does not name one URI") from None

    def pinned_key(self, kek_id: str, *, thumbprint: str, ml_kem_thumbprint: str | None = None) -> PinnedKey | None:
        """The public key in `kek_jwk` if its thumbprint matches, as `Description.pin`; None without such a file."""
        if self.kek_jwk is None:
            return None
        jwks = ["" if name is None else _text(name) for name in (self.kek_jwk, self.ml_kem_jwk)]
        return PinnedKey.check(
            kek_id, jwks[0], expected=thumbprint, ml_kem_jwk=jwks[1], expected_ml_kem=ml_kem_thumbprint
        )

    def tls(self) -> ClientTls:
        """The TLS material, read from its files; SpecError if no handshake could use it."""
        try:
            ca, cert = (Path(name).read_bytes() for name in (self.ca, self.certificate))
        except OSError as error:
            raise SpecError(f"{error.filename} cannot be read ({error.strerror})") from None
        key = read_private(Path(self.private_key))
        _first_certificate(self.ca, ca)
        own = _first_certificate(self.certificate, cert)
        if own.public_key() != _private_key(self.private_key, key).public_key():
            raise SpecError(f"{self.private_key} does not belong to {self.certificate}")
        try:
            require_in_force(own, now := datetime.now(UTC))
        except CertificateRefused:
            begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
            if ends < now:
                expired = f"{self.certificate} expired on {ends:%Y-%m-%d}"
                raise SpecError(expired, remedy="Have it renewed.") from None
            early = f"{self.certificate} is not valid before {begins:%Y-%m-%d %H:%M} UTC"
            raise SpecError(early, remedy="Set this machine's clock, or wait.") from None
        return ClientTls(ca_pem=ca, cert_pem=cert, key_pem=key)


def load_profile(file: FileName) -> ClientProfile:
    """The profile in this file, with absolute file names; SpecError names the invalid field.

    `pool` names a file of the same form, from the worker's operator: what this one states comes before what that has,
    in each section.
    """
    path = Path(file)
    try:
        return convert(over_pool(path, _read, either=_EITHER), ClientProfile, str_keys=True)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise SpecError(f"{path.name}: {error}", remedy=_COMPARE) from None


def read_pool(path: Path) -> dict[str, Any]:
    """The operator's file, a profile or part of one, with absolute file names."""
    return _read(path)


def _read(path: Path) -> dict[str, Any]:
    """A profile as it stands, its file names made absolute by the folder it lies in."""
    try:
        table = _absolute(msgspec.toml.decode(path.read_bytes()), _FILES, path.parent)
        if isinstance(table.get("reference"), dict):
            table["reference"] = with_files(table["reference"], path.parent)
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path.name}: {error}", remedy=_COMPARE) from None
    for section, names in _FILES_OF.items():
        if isinstance(table.get(section), dict):
            table[section] = _absolute(table[section], names, path.parent)
    if isinstance(job := table.get("job"), dict):
        keys = {name: job[name] for name in ("recipients", "escrow") if isinstance(job.get(name), list)}
        made = {name: [absolute_recipient(item, path.parent) for item in value] for name, value in keys.items()}
        table["job"] = job | made
    return table


def _absolute(table: dict[str, Any], names: tuple[str, ...], folder: Path) -> dict[str, Any]:
    found = {name: str(folder / value) for name in names if isinstance(value := table.get(name), str) and value}
    return table | found


def _text(name: str) -> str:
    try:
        return Path(name).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{name} cannot be read ({type(error).__name__})") from None


def _first_certificate(name: str, pem: bytes) -> x509.Certificate:
    try:
        return load_pem_chain(pem, limit=1 << 20)[0]
    except CertificateRefused:
        raise SpecError(f"{name} contains no PEM certificate") from None


def _private_key(name: str, pem: bytes) -> PrivateKeyTypes:
    try:
        return load_private_key(pem)
    except CertificateRefused:
        raise SpecError(f"{name} contains no PEM private key, or one with a passphrase, which TLS cannot use") from None


def absolute_recipient(item: object, folder: Path) -> object:
    """A recipient from a spec or profile: a JWK unchanged, a file name as a path below `folder`."""
    return str(folder / item) if isinstance(item, str) and not item.lstrip().startswith("{") else item
