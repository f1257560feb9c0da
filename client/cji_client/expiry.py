"""The last days of a submitter's keys and certificates: shown wherever they are, with a warning from 30 days before.

A key that has ended still opens what was sealed to it, and is refused nowhere here: what it signs is for the worker's
policy to accept. The warning is what makes somebody rotate it in time.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.x509 import Certificate

from cji_client.errors import SpecError
from cji_client.profile import ClientProfile
from cji_core.certs import CertificateRefused, load_pem_chain
from cji_core.format.keys import last_day_of

WARNING: Final = timedelta(days=30)
USUAL: Final = timedelta(days=730)
"""How long a new key is used: two years, within the one to three of NIST SP 800-57 part 1, table 1."""
ROTATE: Final = "Make the next one now: docs/how-to/keys.md."
_LIMIT: Final = 1 << 20


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


def ends_of_certificates(file: Path, *, first: bool = False) -> date:
    """The last day of the first certificate in a PEM file, or of the one that ends first. SpecError if it has none."""
    ends = [each.not_valid_after_utc.date() for each in _certificates(file)]
    return ends[0] if first else min(ends)


def _certificates(file: Path) -> Sequence[Certificate]:
    try:
        return load_pem_chain(file.read_bytes(), limit=_LIMIT)
    except OSError as error:
        raise SpecError(f"{file} cannot be read ({error.strerror})") from None
    except CertificateRefused:
        raise SpecError(f"{file} contains no PEM certificate") from None


def described(last: date | None) -> str:
    """A last day in words: `until 2028-11-30`, `until 2026-12-20, in 19 days`, `ended on 2026-11-30`, `no last day`."""
    if last is None:
        return "no last day"
    left = (last - today()).days
    if left < 0:
        return f"ended on {last}"
    return f"until {last}, in {left} days" if left < WARNING.days else f"until {last}"


def is_due(last: date | None) -> bool:
    """Whether the warning is due."""
    return last is not None and last - today() < WARNING


def notices(profile: ClientProfile) -> Iterator[str]:
    """One line for each key file that ends soon or has ended, and for the certificate if it ends soon.

    A certificate of less than three months has one in the last third of its life: a program may renew it.
    A file that cannot be read has none, nor has a certificate that has ended: the verb that needs it reports that.
    """
    for name in ("signing_key", "recipient_key"):
        with suppress(SpecError):
            if (file := getattr(profile, name)) and is_due(last := last_day_of(file)):
                yield f"{name} {Path(file).name} {described(last)}. {ROTATE}"
    with suppress(SpecError):
        own, *_ = _certificates(Path(profile.certificate))
        last, life = own.not_valid_after_utc.date(), own.not_valid_after_utc - own.not_valid_before_utc
        if timedelta(0) <= last - today() < min(WARNING, life / 3):
            yield f"certificate {Path(profile.certificate).name} {described(last)}. Have it renewed."
