"""`client.toml`: the worker's address and the submitter's keys. File names are relative to its folder."""

from pathlib import Path
from typing import Annotated

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Meta

from attestation.appraisal import ReferenceValues
from worker.client.errors import SpecError
from worker.client.tokens import TokenSource, token_file
from worker.config import with_files

_Text = Annotated[str, Meta(min_length=1)]


class ClientTls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mutual TLS: the roots that the worker's certificate must chain to, and the submitter's own certificate, PEM."""

    ca_pem: bytes
    cert_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return "ClientTls(...)"


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
    signing_key: _Text
    reference: ReferenceValues
    server_name: str | None = None
    recipient_key: str | None = None
    token_file: str | None = None
    """File with an access token of Microsoft Entra, read for each call about a job."""
    job: dict[str, object] = {}
    """Default values for `JobSpec` fields that a spec leaves out."""

    def token(self) -> TokenSource | None:
        """The source of access tokens, None if there is no `token_file`."""
        return None if self.token_file is None else token_file(Path(self.token_file))

    def tls(self) -> ClientTls:
        """The TLS material, read from its files; SpecError if no handshake could use it."""
        try:
            ca, cert, key = (Path(name).read_bytes() for name in (self.ca, self.certificate, self.private_key))
        except OSError as error:
            raise SpecError(f"{error.filename} cannot be read ({error.strerror})") from None
        _first_certificate(self.ca, ca)
        if _first_certificate(self.certificate, cert).public_key() != _private_key(self.private_key, key).public_key():
            raise SpecError(f"{self.private_key} does not belong to {self.certificate}")
        return ClientTls(ca_pem=ca, cert_pem=cert, key_pem=key)


def load_profile(path: Path) -> ClientProfile:
    """The profile in this file, with absolute file names; SpecError names the invalid field."""
    try:
        table = msgspec.toml.decode(path.read_bytes())
        if isinstance(table.get("reference"), dict):
            table["reference"] = with_files(table["reference"], path.parent)
        profile = msgspec.convert(table, type=ClientProfile, str_keys=True)
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise SpecError(f"{path.name}: {error}", remedy="Compare it with docs/job.md.") from None
    files = ("ca", "certificate", "private_key", "signing_key", "recipient_key", "token_file")
    found = {name: getattr(profile, name) for name in files}
    absolute = {name: str(path.parent / value) for name, value in found.items() if value is not None}
    job = dict(profile.job)
    if isinstance(recipients := job.get("recipients"), list):
        job["recipients"] = [absolute_recipient(item, path.parent) for item in recipients]
    return msgspec.structs.replace(profile, **absolute, job=job)


def _first_certificate(name: str, pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except ValueError:
        raise SpecError(f"{name} contains no PEM certificate") from None


def _private_key(name: str, pem: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SpecError(f"{name} contains no PEM private key, or one with a passphrase, which TLS cannot use") from None


def absolute_recipient(item: object, folder: Path) -> object:
    """A recipient from a spec or profile: a JWK unchanged, a file name as a path below `folder`."""
    return str(folder / item) if isinstance(item, str) and not item.lstrip().startswith("{") else item
