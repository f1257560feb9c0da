"""What a case of the conformance kit changed in the valid one that it was made from: the one place where both differ.

Signatures, proofs and boxes are made again over what was changed, so they count as the change only where nothing else
differs. A message or document is compared field by field, and as bytes where it is in no form.
"""

import json
from base64 import urlsafe_b64decode
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from cji_core.wire.v1 import worker_pb2 as pb

SEAL: Final = "(seal)"
_MESSAGES: Final[dict[str, type[Message]]] = {
    "header": pb.JobHeader,
    "result_header": pb.ResultHeader,
    "plan": pb.JobPlan,
    "column_keys.statement": pb.ColumnKeyStatement,
}
_SEALS: Final = {
    "": {"signature"},
    "plan": {"sealed_result_key"},
    "header.column_keys": {"sealed_keys", "signature"},
    "document.claims": {"proof"},
}


_FOLLOWS: Final = {
    ".outputs": (".receipt.claims.outputs", ".receipt.claims.volumes.bytes_out"),
    ".result_header": (".outputs", ".receipt.claims.outputs", ".receipt.claims.result_header_sha384"),
    ".confirmation.claims.suite": (".confirmation.header",),
    ".receipt.claims.suite": (".receipt.header.alg",),
    ".header.recipients[0].jwk": (".header.recipients[0].key_id",),
}
"""Where the first is changed, what is made from it is too."""


def one_change(valid: dict[str, Any], broken: dict[str, Any]) -> list[str]:
    """The paths at which two cases differ: one, if there is one change."""
    found = _differences(_tree("", valid), _tree("", broken), "")
    real = [path for path in found if SEAL not in path]
    for first, then in _FOLLOWS.items():
        if any(path.startswith(first) for path in real):
            real = [path for path in real if not path.startswith(then)]
    return real or found[:1]


def _differences(one: Any, other: Any, path: str) -> list[str]:
    if one == other:
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for name in {**one, **other}
            for found in (
                _differences(one[name], other[name], f"{path}.{name}")
                if name in one and name in other
                else [f"{path}.{name}"]
            )
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        if sorted(map(repr, one)) == sorted(map(repr, other)):
            return [path]  # in another order
        return [
            found
            for at, pair in enumerate(zip(one, other, strict=True))
            for found in _differences(*pair, f"{path}[{at}]")
        ]
    return [path]


def _tree(path: str, value: Any) -> Any:
    """A value with what is encoded in it, as far as it is in its form."""
    name = path.rpartition(".")[2]
    if isinstance(value, dict):
        return {_sealed(path, each): _tree(f"{path}.{each}".lstrip("."), one) for each, one in value.items()}
    if isinstance(value, list):
        return [_tree(path, each) for each in value]
    if name in _MESSAGES and isinstance(value, str):
        return _message(_MESSAGES[name], bytes.fromhex(value), value)
    if name in {"document", "receipt", "confirmation", "statements"} and isinstance(value, str):
        return _document(value)
    return value


def _sealed(path: str, name: str) -> str:
    return f"{name} {SEAL}" if name in _SEALS.get(path, ()) else name


def _message(kind: type[Message], data: bytes, otherwise: str) -> Any:
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return otherwise
    message.DiscardUnknownFields()
    return _fields(message) if data and message.SerializeToString(deterministic=True) == data else otherwise


def _fields(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        values = list(value) if field.is_repeated else [value]
        name = f"{field.name} {SEAL}" if field.name in _MADE else field.name
        parts = [_fields(each) if isinstance(each, Message) else each for each in values]
        if field.name == "statement":
            parts = [_message(pb.ColumnKeyStatement, each, each.hex()) for each in values]
        found[name] = parts
    return found


_MADE: Final = {"sealed_result_key", "sealed_keys", "signature"}


def _document(text: str) -> Any:
    parts = text.split(".")
    if len(parts) != 3:
        return text
    head, payload, signature = parts
    return {"header": _json(head), "claims": _json(payload), f"signature {SEAL}": signature}


def _json(part: str) -> Any:
    data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    found = json.loads(data)
    again = json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode()
    if again != data:
        return data.hex()
    return {f"{name} {SEAL}" if name == "proof" else name: each for name, each in found.items()}
