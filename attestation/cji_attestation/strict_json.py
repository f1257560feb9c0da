"""JSON from strangers (`cji_core.strict`) in the faults of this package."""

from typing import cast

from cji_attestation.errors import AttestationError, Fault
from cji_core import strict
from cji_core.strict import JsonObject, StrictError


def parse_object(data: bytes, *, limit: int, fault: Fault, check: str) -> JsonObject:
    """Decode one JSON object of at most `limit` bytes; raises AttestationError(fault, check)."""
    try:
        return strict.parse_object(data, limit=limit)
    except StrictError as error:
        raise AttestationError(fault, check=check) from error


def member(parent: JsonObject, name: str, *, fault: Fault, check: str) -> JsonObject:
    """The object called `name` inside `parent`."""
    value = parent.get(name)
    if not isinstance(value, dict):
        raise AttestationError(fault, check=check)
    return cast("JsonObject", value)


def text_member(parent: JsonObject, name: str, *, fault: Fault, check: str) -> str:
    """The string called `name` inside `parent`."""
    value = parent.get(name)
    if not isinstance(value, str):
        raise AttestationError(fault, check=check)
    return value
