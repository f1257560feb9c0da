"""The appraisal of a worker by itself: reference values and authorities of vTPMs from its configuration."""

from pathlib import Path

import msgspec

from cji_attestation.appraisal import ReferenceValues
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import AttestationSection


def reference_values(section: AttestationSection) -> ReferenceValues:
    """The reference values of `[attestation]`. Raises StartupError."""
    try:
        return msgspec.convert(section.reference_values, ReferenceValues, str_keys=True)
    except msgspec.ValidationError as error:
        what = f"attestation.reference_values: {error}"
        raise StartupError(what, "docs/configuration.md lists their keys.") from error


def ak_issuers(section: AttestationSection) -> bytes:
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
