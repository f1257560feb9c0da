"""Encodings from strangers: text or bytes in, one value out, or StrictError. Each reader is written once, here.

* JSON: an object of at most `limit` bytes. Refused: nesting deeper than MAX_DEPTH, duplicate keys, NaN and Infinity
  (1e999 too), integers that no claim can hold, half of a surrogate pair, and bytes after the value.
* base64url without padding and base64 with it (RFC 4648 §4 and §5): only the one text that encodes the bytes.
"""

import base64
import json
import math
from typing import Any, Final, TypeAlias, cast

from cji_core.errors import CoreError

JsonObject: TypeAlias = dict[str, Any]
MAX_DEPTH: Final = 16  # levels; the deepest real token has 5
MAX_INTEGER_DIGITS: Final = 20  # 2^64 has 20


class StrictError(CoreError, ValueError):
    """The encoding, or its size, is not acceptable."""

    code = "encoding-refused"
    remedy = "Write the value again in the one form that its document describes."


def b64url(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """The bytes of the one text that `b64url` gives for them. StrictError for any other text."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise StrictError("not base64url") from error
    if b64url(data) != text:
        raise StrictError("not base64url in its one form")
    return data


def b64_decode(text: str) -> bytes:
    """Canonical padded standard base64. StrictError for any other text."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise StrictError("not base64") from error
    if base64.b64encode(data).decode("ascii") != text:
        raise StrictError("not base64 in its one form")
    return data


def parse_object(data: bytes, *, limit: int) -> JsonObject:
    """One JSON object of at most `limit` bytes. Raises StrictError."""
    try:
        if len(data) > limit:
            raise StrictError("too long")
        _check_depth(data)
        value = _DECODER.decode(data.decode("utf-8", "strict"))
        if not isinstance(value, dict):
            raise StrictError("not an object")
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is not text
    except StrictError:
        raise
    except (ValueError, RecursionError) as error:
        raise StrictError("not JSON") from error
    return cast("JsonObject", value)


def unique_members(pairs: list[tuple[str, Any]]) -> JsonObject:
    """The members of an object, for a decoder's `object_pairs_hook`. StrictError for one that is repeated."""
    out = dict(pairs)
    if len(out) != len(pairs):
        raise StrictError("a repeated member")
    return out


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise StrictError("a number that is too long")
    return int(text)


def _fraction(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise StrictError("a number that is too large")
    return value


def _constant(_: str) -> Any:
    raise StrictError("not a number of JSON")


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
                raise StrictError("nested too deep")
        elif byte in b"]}":
            depth -= 1


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=unique_members, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)
