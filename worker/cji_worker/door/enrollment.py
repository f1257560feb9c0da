"""The door's own key and certificate: made on this machine, in memory, and renewed before the certificate ends.

The key is made here and never leaves the folder, a tmpfs that only the door's user may enter. A machine that restarts
makes another. Each renewal makes one too: no key is older than its certificate.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cji_core.certs import CertificateRefused, load_pem_chain
from cji_core.chains import dns_names
from cji_core.errors import StartupError
from cji_core.format.configuration.door_files import check_server_files
from cji_core.format.configuration.worker import ListenSection
from cji_worker.door.approval import Channel, obtain_approved
from cji_worker.door.est import RETRY, TOTAL_SECONDS, Current, EnrollmentRefused, new_key, obtain

_RENEW_AT: Final = 2 / 3
"""Of the certificate's life: the last third is for an authority that does not answer."""
_NOT_SET: Final = "Add [listen.enrollment] to worker.toml; docs/configuration.md explains its keys."


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """The certificate in force, and whether it was obtained just now."""

    until: datetime
    renewed: bool


def enroll(
    listen: ListenSection,
    *,
    token: Callable[[], str] | None,
    channel: Channel | None = None,
    force: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    total_seconds: float = TOTAL_SECONDS,
) -> Enrolled:
    """See that certificate and key of the door are there and not near their end. Raises StartupError.

    With a `channel` to an approver the attested machine vouches for the request; without, an EST service is asked.
    A certificate in force is renewed in its own name; if the service does not take that, as for a machine that starts.
    If nothing can be obtained, what is there stays as it is.
    """
    section = listen.enrollment
    if section is None:
        raise EnrollmentRefused("worker.toml names nobody who certifies the door", _NOT_SET, status=2)
    certificate, private = Path(listen.certificate), Path(listen.private_key)
    if certificate.parent != private.parent:
        raise EnrollmentRefused(
            "certificate and private_key of [listen] are in two folders", "Name files of one folder.", status=2
        )
    current = _current(listen, now())
    if current is not None and not force and now() < _renewal(current.certificate):
        return Enrolled(until=current.certificate.not_valid_after_utc, renewed=False)
    key = new_key()
    refusals = list[EnrollmentRefused]()
    for way in (current, None) if current is not None and channel is None else (None,):
        try:
            if channel is None:
                chain = obtain(section, key, current=way, token=token, now=now, total_seconds=total_seconds)
            else:
                chain = obtain_approved(section, key, channel, now=now, total_seconds=total_seconds)
            break
        except EnrollmentRefused as error:
            refusals.append(error)
    else:
        raise next((each for each in refusals if each.status == RETRY), refusals[-1])
    _write(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    _write(certificate, b"".join(one.public_bytes(Encoding.PEM) for one in chain), mode=0o644)
    return Enrolled(until=check_server_files(listen, now=now()), renewed=True)


def _current(listen: ListenSection, now: datetime) -> Current | None:
    """The files in force; None if there are none, or if they do not belong together or are not valid now."""
    try:
        check_server_files(listen, now=now)
        found = load_pem_chain(Path(listen.certificate).read_bytes())[0]
    except (StartupError, OSError, CertificateRefused):
        return None
    if listen.enrollment is None or dns_names(found) != tuple(sorted(listen.enrollment.names)):
        return None
    return Current(found, Path(listen.certificate), Path(listen.private_key))


def _renewal(certificate: x509.Certificate) -> datetime:
    begin, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (until - begin) * _RENEW_AT


def _write(path: Path, data: bytes, *, mode: int) -> None:
    """In the place of the old file."""
    new = path.with_name(f"{path.name}.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        os.replace(new, path)
    except OSError as error:
        raise EnrollmentRefused(
            f"{path} cannot be written: {error.strerror}", "Run this as the door's user, with RuntimeDirectory=cji-tls."
        ) from error
