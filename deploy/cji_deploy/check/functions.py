"""Bicep's functions, as far as our templates use them, with the same results where these can be known offline.

`uniqueString` and `guid` give Azure's own texts, so the names of a deployment are known before it.
A function that is not in `FUNCTIONS` cannot be used in `deploy/`: the resolver refuses it with its line.
Source: the Bicep function reference.
"""

import base64
import functools
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["CLOUDS", "FUNCTIONS", "Json", "joined", "resource_id"]

Json = Any
"""A value of JSON, or one of the resolver's own objects for resources and modules."""

CLOUDS: Final[Mapping[str, Mapping[str, Json]]] = {
    "AzureCloud": {
        "name": "AzureCloud",
        "resourceManager": "https://management.azure.com/",
        "authentication": {"loginEndpoint": "https://login.microsoftonline.com/"},
        "suffixes": {"storage": "core.windows.net", "keyvaultDns": ".vault.azure.net"},
    },
    "AzureUSGovernment": {
        "name": "AzureUSGovernment",
        "resourceManager": "https://management.usgovcloudapi.net/",
        "authentication": {"loginEndpoint": "https://login.microsoftonline.us/"},
        "suffixes": {"storage": "core.usgovcloudapi.net", "keyvaultDns": ".vault.usgovcloudapi.net"},
    },
}
"""`environment()` of the two clouds."""


def joined(value: Json) -> str:
    """A value inside an interpolated string. Raises TypeError for what has no one spelling there."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"{type(value).__name__} in a string")


def _mixed(value: int) -> int:
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = (value ^ value >> shift) * factor & _WORD
    return value ^ value >> 16


def _turned(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _WORD


def _murmur(data: bytes) -> int:
    """MurmurHash3 in two lanes of 32 bits, the second one in the high half; seed 0."""
    lanes, whole = [0, 0], len(data) - len(data) % 8
    for start in range(0, len(data), 8):
        for lane, (first, turn, second, after, add) in enumerate(_LANES):
            key = int.from_bytes(data[start + 4 * lane : start + 4 * lane + 4], "little")
            lanes[lane] ^= _turned(key * first & _WORD, turn) * second & _WORD
            if start < whole:
                lanes[lane] = ((_turned(lanes[lane], after) + lanes[1 - lane]) * 5 + add) & _WORD

    def added(low: int, high: int) -> tuple[int, int]:
        low = low + high & _WORD
        return low, low + high & _WORD

    low, high = added(lanes[0] ^ len(data), lanes[1] ^ len(data))
    low, high = added(_mixed(low), _mixed(high))
    return high << 32 | low


_WORD: Final = 0xFFFFFFFF
_LANES: Final = ((0x239B961B, 15, 0xAB0E9789, 19, 0x561CCD1B), (0xAB0E9789, 17, 0x239B961B, 13, 0x0BCAA747))
_DIGITS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_GUIDS: Final = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")


def _unique_string(*arguments: Json) -> str:
    number = _murmur("-".join(map(joined, arguments)).encode()) << 1  # 65 bits, 13 digits of 5
    return "".join(_DIGITS[number >> shift & 31] for shift in range(60, -1, -5))


def _guid(*arguments: Json) -> str:
    return str(uuid.uuid5(_GUIDS, "-".join(map(joined, arguments))))


def _merged(first: Json, second: Json) -> Json:
    """Objects merge key by key, all the way down; anything else is replaced."""
    if isinstance(first, dict) and isinstance(second, dict):
        return {
            **first,
            **{key: _merged(first[key], value) if key in first else value for key, value in second.items()},
        }
    return second


def _union(*arguments: Json) -> Json:
    if all(isinstance(each, dict) for each in arguments):
        return functools.reduce(_merged, arguments)
    found: list[Json] = []
    for item in (item for each in arguments for item in each):
        if item not in found:
            found.append(item)
    return found


def _concat(*arguments: Json) -> Json:
    if all(isinstance(each, list) for each in arguments):
        return [item for each in arguments for item in each]
    return "".join(joined(each) for each in arguments)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def resource_id(scope: str, kind: str, *names: str) -> str:
    """`resourceId` and its relatives: the id of a resource of the type `kind` in a scope."""
    provider, *types = kind.split("/")
    parts = [part for pair in zip(types, names, strict=True) for part in pair]
    return "/".join([f"{scope}/providers/{provider}", *parts])


FUNCTIONS: Final[Mapping[str, Callable[..., Json]]] = {
    "array": lambda value: value if isinstance(value, list) else [value],
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "concat": _concat,
    "contains": lambda subject, item: item in subject,
    "empty": lambda value: value is None or len(value) == 0,
    "endsWith": lambda subject, end: subject.lower().endswith(end.lower()),
    "filter": lambda items, keep: [item for item in items if keep(item)],
    "guid": _guid,
    "int": int,
    "items": lambda value: [{"key": key, "value": value[key]} for key in sorted(value)],
    "join": lambda items, between: between.join(joined(item) for item in items),
    "json": json.loads,
    "last": lambda value: value[-1],
    "length": len,
    "map": lambda items, change: [change(item) for item in items],
    "max": max,
    "min": min,
    "objectKeys": sorted,
    "range": lambda start, count: list(range(start, start + count)),
    "replace": lambda subject, old, new: subject.replace(old, new),
    "split": lambda subject, between: subject.split(between),
    "startsWith": lambda subject, start: subject.lower().startswith(start.lower()),
    "string": _text,
    "take": lambda value, count: value[: max(0, count)],
    "toLower": str.lower,
    "toUpper": str.upper,
    "union": _union,
    "uniqueString": _unique_string,
}
"""By name; those that need the deployment's surroundings are in the resolver."""
