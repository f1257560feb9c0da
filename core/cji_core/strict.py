"""Encodings from strangers: text or bytes in, one value out, or StrictError. Each reader is written once, here.

The standard library alone: runbooks run on machines that have nothing else.

* JSON: one value of at most `limit` bytes. Refused: nesting deeper than `depth`, duplicate keys, NaN and Infinity
  (1e999 too), integers that no claim can hold, bytes that are not UTF-8, half of a surrogate pair, and bytes after
  the value. `cji_core.documents` reads it as a type.
* base64url without padding and base64 with it (RFC 4648 §4 and §5): only the one text that encodes the bytes.
* Hexadecimal: digits in lower case, two for each byte; `cji_core.digests` has the types of members that are such.
"""

import base64
import json
import math
import re
from typing import Any, Final, TypeAlias, cast

from cji_core.errors import CoreError

JsonObject: TypeAlias = dict[str, Any]
MAX_DEPTH: Final = 16  # levels; the deepest real token has 5
MAX_INTEGER_DIGITS: Final = 20  # 2^64 has 20


class StrictError(CoreError, ValueError):
    """The encoding, or its size, is not acceptable."""

    code = "encoding-refused"
    remedy = "Write the value again in the one form that its document describes."


class RepeatedMember(StrictError):  # noqa: N818 - what was found
    """Two members of one object have the same name."""

    code = "json-member-repeated"


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


def hex_decode(text: str, *, size: int | None = None) -> bytes:
    """The bytes that `bytes.hex` writes as this text, `size` of them where it is given. StrictError otherwise."""
    try:
        data = bytes.fromhex(text)
    except ValueError as error:
        raise StrictError("not hexadecimal") from error
    if data.hex() != text:
        raise StrictError("not hexadecimal in lower case, two digits for each byte")
    if size is not None and len(data) != size:
        raise StrictError(f"{len(text)} hexadecimal digits, not {2 * size}")
    return data


def parse(data: bytes, *, limit: int, depth: int = MAX_DEPTH) -> Any:
    """One JSON value of at most `limit` bytes. Raises StrictError."""
    if len(data) > limit:
        raise StrictError("too long")
    _check_depth(data, depth)
    try:
        value = _DECODER.decode(data.decode("utf-8", "strict"))
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is not text
    except StrictError:
        raise
    except (ValueError, RecursionError) as error:
        raise StrictError("not JSON") from error
    return value


def parse_object(data: bytes, *, limit: int, depth: int = MAX_DEPTH) -> JsonObject:
    """One JSON object of at most `limit` bytes. Raises StrictError."""
    value = parse(data, limit=limit, depth=depth)
    if not isinstance(value, dict):
        raise StrictError("not an object")
    return cast("JsonObject", value)


def unique_members(pairs: list[tuple[str, Any]]) -> JsonObject:
    """The members of an object, for a decoder's `object_pairs_hook`. RepeatedMember for one that is repeated."""
    out = dict(pairs)
    if len(out) != len(pairs):
        raise RepeatedMember("a repeated member")
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


_STRINGS_AND_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def _check_depth(data: bytes, most: int) -> None:
    """Count brackets outside strings before the recursive decoder sees them."""
    if data.count(b"{") + data.count(b"[") <= most:
        return
    depth = 0
    for found in _STRINGS_AND_BRACKETS.finditer(data):
        if found[0] in (b"{", b"["):
            depth += 1
            if depth > most:
                raise StrictError("nested too deep")
        elif found[0] in (b"}", b"]"):
            depth -= 1


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=unique_members, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)
