"""Ways to break bytes: blindly, or along the structure that a reader expects.

A `Mutator` is a pure function of a random generator, the input and a donor, another input of the same corpus. The
structured ones fall back to blind damage where the input does not have their structure.
"""

import base64
import copy
import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from cji_core.strict import b64url

__all__ = [
    "BYTES",
    "DER",
    "IN_PLACE",
    "JSON",
    "JWS",
    "MSGPACK",
    "SIZED",
    "TEXT",
    "WORDS",
    "Mutator",
    "damaged_tree",
    "dump",
    "of_packets",
    "packets",
    "split",
]

Mutator: TypeAlias = Callable[[random.Random, bytes, bytes], bytes]

_EDGES: Final = tuple(
    sorted({(1 << n) + d for n in (0, 7, 8, 15, 16, 24, 31, 32, 63, 64) for d in (-1, 0, 1)} | {4, 0xB, 32, 48, 64})
)
_LENGTHS: Final = (1, 1, 1, 2, 3, 4, 8, 16, 32, 33, 64, 256)


def _span(rng: random.Random, size: int) -> tuple[int, int]:
    start = rng.randrange(size + 1)
    return start, min(size, start + rng.choice(_LENGTHS))


def _flip(rng: random.Random, data: bytes, _: bytes) -> bytes:
    out = bytearray(data or b"\0")
    for _bit in range(rng.choice((1, 1, 1, 2, 8))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _set(rng: random.Random, data: bytes, _: bytes) -> bytes:
    out = bytearray(data or b"\0")
    out[rng.randrange(len(out))] = rng.choice((0, 1, 0x20, 0x22, 0x2E, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(out)


def _insert(rng: random.Random, data: bytes, _: bytes) -> bytes:
    at, size = rng.randrange(len(data) + 1), rng.choice(_LENGTHS)
    piece = bytes(size) if rng.random() < 0.3 else rng.randbytes(size)
    return data[:at] + piece + data[at:]


def _delete(rng: random.Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(rng, len(data))
    return data[:start] + data[end:]


def _duplicate(rng: random.Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(rng, len(data))
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 64)) + data[end:]


def _splice(rng: random.Random, data: bytes, donor: bytes) -> bytes:
    at = rng.randrange(min(len(data), len(donor)) + 1)
    return data[:at] + donor[at if rng.random() < 0.7 else rng.randrange(len(donor) + 1) :]


def _transplant(rng: random.Random, data: bytes, donor: bytes) -> bytes:
    start, end = _span(rng, len(data))
    at = rng.randrange(len(donor) + 1)
    return data[:start] + donor[at : at + end - start] + data[end:]


def _truncate(rng: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _integer(rng: random.Random, data: bytes, _: bytes) -> bytes:
    """An edge value, or the value that was there and a little, as an integer of 1 to 8 bytes of either order."""
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("big", "little"))
    if len(data) < size:
        return data + rng.randbytes(size)
    at = rng.randrange(len(data) - size + 1)
    there = int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]
    value = rng.choice(_EDGES) if rng.random() < 0.6 else there + rng.choice((-16, -8, -2, -1, 1, 2, 8, 16))
    return data[:at] + (value % (1 << 8 * size)).to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]


def _resize(rng: random.Random, data: bytes, donor: bytes) -> bytes:
    """Change the number of bytes behind a length field, and the field with it: 2 bytes big or 2, 4 little endian."""
    size, order = rng.choice(((2, "big"), (4, "little"), (2, "little")))
    for _ in range(64):
        at = rng.randrange(max(1, len(data) - size))
        length = int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]
        if 0 < length <= len(data) - at - size:
            body = data[at + size : at + size + length]
            changed = rng.choice((_insert, _delete, _duplicate))(rng, body, donor)
            field = (len(changed) % (1 << 8 * size)).to_bytes(size, order)  # type: ignore[arg-type]
            return data[:at] + field + changed + data[at + size + length :]
    return _flip(rng, data, donor)


def _nest(rng: random.Random, data: bytes, _: bytes) -> bytes:
    """Levels upon levels of arrays, as JSON, TOML and MessagePack write them, or of DER sequences."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((b"[", b'{"a":', b"\x91", b"\x30\x80")) * rng.choice((17, 2000)) + data[at:]


BYTES: Final[tuple[Mutator, ...]] = (
    _flip,
    _flip,
    _set,
    _insert,
    _delete,
    _duplicate,
    _splice,
    _transplant,
    _truncate,
    _integer,
    _nest,
)
SIZED: Final[tuple[Mutator, ...]] = (*BYTES, _resize, _resize, _resize)
IN_PLACE: Final[tuple[Mutator, ...]] = (_flip, _set, _integer)


# ---------------------------------------------------------------- DER (X.690): a tree of tag, length, value


def _nodes(data: bytes, start: int, end: int, depth: int, out: list[tuple[int, int, int]]) -> None:
    """Every (start, content, end) of the values in data[start:end], parents first."""
    while start + 2 <= end and len(out) < 400:
        first, content = data[start + 1], start + 2
        if first >= 0x80:
            content += first & 0x7F
            first = int.from_bytes(data[start + 2 : content], "big")
        if content + first > end:
            return
        out.append((start, content, content + first))
        nested = data[start] == 4 and first > 2 and data[content] == 0x30  # DER inside an OCTET STRING
        if (data[start] & 0x20 or nested) and depth < 12:
            _nodes(data, content, content + first, depth + 1, out)
        start = content + first


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    raw = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(raw)]) + raw


def _der(rng: random.Random, data: bytes, donor: bytes) -> bytes:
    """Replace, drop, double, swap or retag one value, and make the lengths around it true again."""
    nodes: list[tuple[int, int, int]] = []
    _nodes(data, 0, len(data), 0, nodes)
    if not nodes:
        return _flip(rng, data, donor)
    start, content, end = rng.choice(nodes)
    body = data[content:end]
    match rng.randrange(6):
        case 0:
            new = b""
        case 1:
            new = data[start:end] * 2
        case 2:
            new = bytes([rng.choice((1, 2, 3, 4, 5, 6, 0x0C, 0x13, 0x17, 0x30, 0x31, 0xA0))]) + data[start + 1 : end]
        case 3:
            other = rng.choice(nodes)
            new = data[other[0] : other[2]]
        case 4:
            foreign: list[tuple[int, int, int]] = []
            _nodes(donor, 0, len(donor), 0, foreign)
            other = rng.choice(foreign or nodes)
            new = (donor if foreign else data)[other[0] : other[2]]
        case _:
            body = rng.choice((_flip, _insert, _delete, _integer))(rng, body, donor)
            new = data[start : start + 1] + _length(len(body)) + body
    out, (low, high) = new, (start, end)
    for outer in reversed([one for one in nodes if one[0] <= start and one[2] >= end and one[0] != start]):
        inner = data[outer[1] : low] + out + data[high : outer[2]]
        out, (low, high) = data[outer[0] : outer[0] + 1] + _length(len(inner)) + inner, (outer[0], outer[2])
    return data[:low] + out + data[high:]


DER: Final[tuple[Mutator, ...]] = (*BYTES, _der, _der, _der, _der, _der)


# ---------------------------------------------------------------- JSON: objects as lists of pairs, so names may repeat


class Members(list[tuple[str, Any]]):
    """An object whose members keep their order and may have one name twice."""


_ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 1.0, 1e400, -0.0, 2**31, 2**53 + 1, 2**63, 2**64, 10**19, 10**40),
    *("", "0", "false", "true", "\0", "\ud800", "é", "A" * 5000, "..", "None", "RS256", "none", "2", "="),
    *([], [[]], Members(), [None], Members([("", None)]), Members([("a", 1), ("a", 2)])),
)
_WRAPPINGS: Final = 40  # more levels than a reader allows


def _slots(tree: Any, out: list[tuple[Any, int]]) -> None:
    """Every (container, index) inside `tree`."""
    if isinstance(tree, list):
        for index, item in enumerate(tree):
            out.append((tree, index))
            _slots(item[1] if isinstance(tree, Members) else item, out)


def damaged_tree(rng: random.Random, tree: Any) -> Any:
    """One change somewhere in a tree of `Members`, lists and scalars; the tree itself is used up."""
    slots: list[tuple[Any, int]] = []
    _slots(tree, slots)
    if not slots:
        return copy.copy(rng.choice(_ODD))
    container, index = rng.choice(slots)
    name, value = container[index] if isinstance(container, Members) else ("", container[index])

    def put(new: Any) -> None:
        container[index] = (name, new) if isinstance(container, Members) else new

    match rng.randrange(10):
        case 0:
            del container[index]
        case 1:
            container.insert(rng.randrange(len(container) + 1), copy.deepcopy(container[index]))
        case 2:
            other, at = rng.choice(slots)
            put(copy.deepcopy(other[at][1] if isinstance(other, Members) else other[at]))
        case 3 if isinstance(container, Members):
            renamed = rng.choice((name.upper(), name + "\0", name + " ", name[:-1], "", rng.choice(slots)[0][0]))
            container[index] = (renamed if isinstance(renamed, str) else name * 2, value)
        case 4 if isinstance(container, Members):
            container.insert(rng.randrange(len(container) + 1), (name, copy.copy(rng.choice(_ODD))))
        case 5:
            put([value] if rng.random() < 0.5 else Members([(name, value)]))
        case 6:
            rng.shuffle(container)
        case 7 if isinstance(value, str) and value:
            put(_text(rng, value))
        case 8 if type(value) is int:
            put(value + rng.choice((-1, 1, -60, 61, 86400, -(2**32), 2**32)))
        case 9 if rng.random() < 0.1:
            for _ in range(_WRAPPINGS):
                value = [value]
            put(value)
        case _:
            put(copy.copy(rng.choice(_ODD)))
    return tree


def _text(rng: random.Random, value: str) -> str:
    """Another string: damaged as what it may encode, hexadecimal or base64, or as characters."""
    if rng.random() < 0.4:
        try:
            raw = base64.b64decode(value, validate=True)
            return base64.b64encode(rng.choice(BYTES)(rng, raw, raw)).decode()
        except ValueError:
            pass
    at = rng.randrange(len(value))
    piece = rng.choice(("", value[at] * 2, "0", "f", "A", "=", "\n", value[at].swapcase(), "é"))
    return value[:at] + piece + value[at + 1 :]


def dump(tree: Any) -> str:
    """The compact JSON of a tree, odd numbers and doubled names included."""
    if isinstance(tree, Members):
        return "{" + ",".join(f"{json.dumps(name)}:{dump(value)}" for name, value in tree) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(dump, tree)) + "]"
    return json.dumps(tree)


def _json(rng: random.Random, data: bytes, donor: bytes) -> bytes:
    try:
        tree = json.loads(data, object_pairs_hook=Members)
    except (ValueError, RecursionError):
        return rng.choice(BYTES)(rng, data, donor)
    return dump(damaged_tree(rng, tree)).encode("utf-8", "surrogatepass")


JSON: Final[tuple[Mutator, ...]] = (*BYTES, *(_json,) * 30)


# ---------------------------------------------------------------- MessagePack: the same trees


def _members(value: Any) -> Any:
    if isinstance(value, dict):
        return Members((str(name), _members(inner)) for name, inner in value.items())
    return [_members(inner) for inner in value] if isinstance(value, list) else value


def _plain(tree: Any) -> Any:
    if isinstance(tree, Members):
        return {name: _plain(value) for name, value in tree}
    return [_plain(value) for value in tree] if isinstance(tree, list) else tree


def _msgpack(rng: random.Random, data: bytes, donor: bytes) -> bytes:
    try:
        return msgspec.msgpack.encode(_plain(damaged_tree(rng, _members(msgspec.msgpack.decode(data)))))
    except (ValueError, OverflowError, RecursionError, TypeError):  # msgspec's errors are ValueErrors
        return rng.choice(BYTES)(rng, data, donor)


MSGPACK: Final[tuple[Mutator, ...]] = (*SIZED, *(_msgpack,) * 30)


# ---------------------------------------------------------------- packets, each behind its length in two bytes


def packets(*contents: bytes) -> bytes:
    """One input of these packets."""
    return b"".join(len(content).to_bytes(2, "big") + content for content in contents)


def split(data: bytes) -> list[bytes]:
    """The packets of an input; the last one is shorter than its length if the input ends."""
    found, at = [], 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        found.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return found


def of_packets(mutators: Sequence[Mutator]) -> tuple[Mutator, ...]:
    """Drop, double, swap or borrow one packet, or damage it with one of these."""

    def mutate(rng: random.Random, data: bytes, donor: bytes) -> bytes:
        found, others = split(data) or [b""], split(donor) or [b""]
        at, other = rng.randrange(len(found)), rng.randrange(len(found))
        match rng.randrange(8):
            case 0:
                del found[at]
            case 1:
                found.insert(at, found[other])
            case 2:
                found[at], found[other] = found[other], found[at]
            case 3:
                found.insert(at, rng.choice(others))
            case _:
                found[at] = rng.choice(mutators)(rng, found[at], rng.choice(others))[:0xFFFF]
        return packets(*found)

    return (*BYTES, *(mutate,) * 30)


# ---------------------------------------------------------------- JWS: three segments


def _segment(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def _jws(rng: random.Random, data: bytes, donor: bytes) -> bytes:
    parts, others = data.split(b"."), donor.split(b".")
    if len(parts) != 3 or len(others) != 3:
        return rng.choice(BYTES)(rng, data, donor)
    at = rng.randrange(3)
    kind = rng.randrange(6)
    if kind == 0:
        parts[at] = others[at]
    elif kind == 1:
        rng.shuffle(parts)
    elif kind == 2:
        parts[at] = rng.choice((b"", parts[at] + b"=", parts[at] + b"\n", parts[at] + b"."))
    else:
        try:
            raw = _segment(parts[at])
        except ValueError:
            return rng.choice(BYTES)(rng, data, donor)
        changed = (_json if at < 2 and kind < 5 else rng.choice(BYTES))(rng, raw, raw)
        parts[at] = b64url(changed).encode()
    return b".".join(parts)


JWS: Final[tuple[Mutator, ...]] = (*BYTES, *(_jws,) * 20)


# ---------------------------------------------------------------- lines of text: TOML, PEM, HTTP


def _lines(rng: random.Random, data: bytes, donor: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return donor
    at, foreign = rng.randrange(len(lines)), donor.splitlines(keepends=True) or [b"\n"]
    match rng.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case 2:
            lines.insert(at, rng.choice(foreign))
        case 3:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            head, sep, _ = lines[at].partition(rng.choice((b"=", b":")))
            lines[at] = (
                head + sep + rng.choice((b" ", b' ""', b" 0", b" []", b" -1", b" true", b" {}", b" 1e9")) + b"\n"
            )
    return b"".join(lines)


def _words(rng: random.Random, data: bytes, donor: bytes) -> bytes:
    """Drop, double, swap or borrow one word, string or sign."""
    words, others = (re.findall(rb'\w+|"[^"]*"|\s+|.', one, re.DOTALL) or [b" "] for one in (data, donor))
    at, other = rng.randrange(len(words)), rng.randrange(len(words))
    match rng.randrange(4):
        case 0:
            del words[at]
        case 1:
            words.insert(at, words[other])
        case 2:
            words[at], words[other] = words[other], words[at]
        case _:
            words[at] = rng.choice(others)
    return b"".join(words)


TEXT: Final[tuple[Mutator, ...]] = (*BYTES, *(_lines,) * 8)
WORDS: Final[tuple[Mutator, ...]] = (*BYTES, *(_words,) * 30)
