"""CBOR from strangers (RFC 8949): bytes in, one value out, or our error.

Refused: more than `limit` bytes, nesting deeper than MAX_DEPTH, tags that the caller does not name, floating point
numbers, simple values other than false, true and null, keys other than integers and text, duplicate keys, and whatever
is not in the one form that RFC 8949 §4.1 prefers: open lengths, longer heads, bytes after the value.
"""

from collections.abc import Callable
from typing import Any, Final

import cbor2

from cji_attestation.errors import AttestationError, Fault

MAX_DEPTH: Final = 16  # levels
_PLAIN: Final = (int, bytes, str, bool, type(None))


class _Tags(dict[int, Callable[[Any, bool], Any]]):
    """Has `cbor2` keep every tag as it is. By itself it would make objects of many kinds."""

    def __missing__(self, number: int) -> Callable[[Any, bool], Any]:
        return lambda value, _: cbor2.CBORTag(number, value)


def parse_cbor(data: bytes, *, limit: int, tags: frozenset[int], fault: Fault, check: str) -> Any:
    """Decode one item; raises AttestationError(fault, check). Tags are `cbor2.CBORTag`, arrays are lists."""
    try:
        if len(data) > limit:
            raise ValueError
        value = cbor2.loads(
            data,
            semantic_decoders=_Tags(),
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
        _check_kinds(value, tags)
        if cbor2.dumps(value) != data:
            raise ValueError
    except (cbor2.CBORError, ValueError) as error:
        raise AttestationError(fault, check=check) from error
    return value


def _check_kinds(value: Any, tags: frozenset[int]) -> None:
    if type(value) in _PLAIN:
        return
    if isinstance(value, cbor2.CBORTag) and value.tag in tags:
        _check_kinds(value.value, tags)
    elif type(value) is list:
        for one in value:
            _check_kinds(one, tags)
    elif type(value) is dict:
        for key, one in value.items():
            if type(key) not in (int, str):
                raise ValueError
            _check_kinds(one, tags)
    else:
        raise ValueError
