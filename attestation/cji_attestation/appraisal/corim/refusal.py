"""The one error of this reader, and the few shapes that all parts of a CoRIM are made of."""

from collections.abc import Mapping
from typing import Any, Final

import cbor2

from cji_attestation.errors import AttestationError, Fault

CHECK: Final = "corim"
SHA384: Final = (7, "sha-384")  # IANA "Named Information Hash Algorithm Registry"
_OID: Final = 111


def refused(found: str) -> AttestationError:
    """CONFIG_INVALID "corim" with what was found."""
    return AttestationError(Fault.CONFIG_INVALID, check=CHECK, found=found, expected="a CoRIM that is understood whole")


def mapping(value: Any, name: str, known: Mapping[Any, str]) -> Mapping[Any, Any]:
    """A map whose keys all have a name here."""
    if not isinstance(value, dict) or not value:
        raise refused(f"no {name}, or an empty one")
    for key in value:
        if key not in known:
            raise refused(f"key {key} of {name}")
    return value


def array(value: Any, name: str) -> list[Any]:
    """An array with at least one item."""
    if not isinstance(value, list) or not value:
        raise refused(f"no array of {name}, or an empty one")
    return value


def tagged(value: Any, number: int, name: str) -> Any:
    """The content of a tag."""
    if not isinstance(value, cbor2.CBORTag) or value.tag != number:
        raise refused(f"a {name} that is not tagged {number}")
    return value.value


def whole(value: Any, name: str, *, bits: int) -> int:
    """An unsigned integer of at most so many bits."""
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise refused(f"a {name} that is not a number of {bits} bits")
    return value


def octets(value: Any, size: int, name: str) -> bytes:
    """A byte string of exactly so many bytes."""
    if not isinstance(value, bytes) or len(value) != size:
        raise refused(f"a {name} that has not {size} bytes")
    return value


def text(value: Any, name: str) -> str:
    """A text string."""
    if not isinstance(value, str):
        raise refused(f"a {name} that is not text")
    return value


def oid(value: Any, name: str) -> str:
    """The dotted form of a tagged object identifier (RFC 9090: the content of its BER encoding)."""
    data = tagged(value, _OID, name)
    if not isinstance(data, bytes) or not 0 < len(data) <= 64 or data[-1] & 0x80:
        raise refused(f"a {name} that is not an object identifier")
    numbers, number = [], 0
    for byte in data:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def sha384_of(value: Any, name: str) -> str:
    """The hexadecimal of one digest, [algorithm, bytes]; no other algorithm measures these machines."""
    if not isinstance(value, list) or len(value) != 2 or value[0] not in SHA384:
        raise refused(f"a {name} that is not a SHA-384 digest")
    return digest(octets(value[1], 48, name), name).hex()


def digest(value: bytes, name: str) -> bytes:
    """The same bytes, unless all of them are zero: that stands for nothing, and would allow what has none."""
    if not any(value):
        raise refused(f"a {name} of zeros")
    return value
