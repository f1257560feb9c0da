"""When a submitter's certificate ends: shown wherever it is used, with a warning from 30 days before."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cji_client.errors import SpecError
from cji_core.certs import CertificateRefused, load_pem_chain

WARNING: Final = timedelta(days=30)
_LIMIT: Final = 1 << 20


def ends_of_certificates(file: Path, *, first: bool = False) -> datetime:
    """The end of the first certificate in a PEM file, or of the one that ends first. SpecError if it has none."""
    try:
        found = load_pem_chain(file.read_bytes(), limit=_LIMIT)
    except OSError as error:
        raise SpecError(f"{file} cannot be read ({error.strerror})") from None
    except CertificateRefused:
        raise SpecError(f"{file} contains no PEM certificate") from None
    ends = [each.not_valid_after_utc for each in found]
    return ends[0] if first else min(ends)
