"""Policy files for tests, as values that a test changes before they become TOML."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cji_core.data_classes import DataClass

__all__ = ["AGREEMENT", "ALL_CLASSES", "agency", "pem", "policy_file", "purpose", "rule", "submitter", "toml"]

ALL_CLASSES: Final = [each.value for each in DataClass if each is not DataClass.NONE]
AGREEMENT: Final = {
    "id": "MOU-17",
    "from": date(2026, 1, 1),
    "until": datetime.now(UTC).date() + timedelta(days=365),
}
"""In force today, and on the days of headers that tests give a time of their own."""


def pem(key: Any) -> str:
    """A public key as PEM."""
    text: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def rule(to: list[str], /, *operations: str, **changes: Any) -> dict[str, Any]:
    """One rule for these recipients and all classes of data, `deidentify` by default."""
    return {
        "operations": list(operations) or ["deidentify"],
        "data_classes": ALL_CLASSES,
        "recipients": to,
        "limits": {"rows": 1_000_000, "bytes": 1 << 40},
        **changes,
    }


def purpose(code: str, *rules: dict[str, Any]) -> dict[str, Any]:
    """A purpose with these rules."""
    return {"code": code, "rules": list(rules)}


def agency(ori: str, *purposes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An agency whose agreement is in force."""
    return {"ori": ori, "agreement": AGREEMENT, "jobs_per_day": 1000, "purposes": list(purposes), **changes}


def submitter(name: str, key: Any, *agencies: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A submitter with this public key."""
    return {
        "name": name,
        "san": f"spiffe://cji.example/agency/{name}",
        "signing_key": pem(key),
        "agencies": list(agencies),
        **changes,
    }


def policy_file(*submitters: dict[str, Any], **top: Any) -> bytes:
    """The file, one line a member of its top."""
    members = {"version": 2, "submitters": list(submitters), **top}
    return "".join(f"{key} = {toml(value)}\n" for key, value in members.items()).encode()


def toml(value: Any) -> str:
    """TOML inline values; enough for policies."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(toml(each) for each in value) + "]"
        case date():
            return value.isoformat()
        case _:
            return json.dumps(value)
