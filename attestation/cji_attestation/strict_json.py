"""JSON from strangers: bytes in, an object out, or our error.

Refused: more than `limit` bytes, nesting deeper than MAX_DEPTH, duplicate keys, NaN and Infinity (1e999 too), integers
that no claim can hold, half of a surrogate pair, bytes after the value, and anything that is not an object at the top.
"""

import json
import math
from typing import Any, Final, TypeAlias, cast

from cji_attestation.errors import AttestationError, Fault

JsonObject: TypeAlias = dict[str, Any]
MAX_DEPTH: Final = 16  # levels; the deepest real token has 5
MAX_INTEGER_DIGITS: Final = 20  # 2^64 has 20


class _RefusedError(ValueError):
    """Raised inside the decoder only."""


def _pairs(pairs: list[tuple[str, Any]]) -> JsonObject:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise _RefusedError
    return out


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise _RefusedError
    return int(text)


def _fraction(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _RefusedError
    return value


def _constant(_: str) -> Any:
    raise _RefusedError


def _check_depth(data: bytes) -> None:
    """Count brackets outside strings before the recursive decoder sees them."""
    depth, inside, skip = 0, False, False
    for byte in data:
        if skip:
            skip = False
        elif inside:
            skip = byte == 0x5C
            inside = byte != 0x22
        elif byte == 0x22:
            inside = True
        elif byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise _RefusedError
        elif byte in b"]}":
            depth -= 1


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


def parse_object(data: bytes, *, limit: int, fault: Fault, check: str) -> JsonObject:
    """Decode one JSON object of at most `limit` bytes; raises AttestationError(fault, check)."""
    try:
        if len(data) > limit:
            raise _RefusedError
        _check_depth(data)
        value = _DECODER.decode(data.decode("utf-8", "strict"))
        if not isinstance(value, dict):
            raise _RefusedError
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is not text
    except (ValueError, RecursionError) as error:
        raise AttestationError(fault, check=check) from error
    return cast("JsonObject", value)


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
