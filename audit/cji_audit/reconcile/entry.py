"""One record of a vault's diagnostic log, in every form in which Azure hands it out.

    storage account, Event Hubs    {"time": …, "operationName": …, "properties": {"id": …, "requestUri": …}, …}
    table AZKVAuditLogs            {"TimeGenerated": …, "OperationName": …, "Id": …, "RequestUri": …, "Identity": …}
    table AzureDiagnostics         {"TimeGenerated": …, "OperationName": …, "id_s": …, "requestUri_s": …, …}

Each form is a table of names below; a member that no table has is ignored, a record without a time or an operation is
refused. Whatever a record leaves open about a release counts against it: an operation by any name that requests
`/release` is one, in any category, and one whose outcome is not stated took place.

Sources: "Azure Key Vault logging" and "Managed HSM logging" (Microsoft Learn), Azure Monitor's reference of the tables.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from cji_audit.errors import AuditError
from cji_core.strict import parse

_CATEGORY: Final = "auditevent"
_RELEASE: Final = "keyrelease"
_RELEASE_PATH: Final = re.compile(r"/keys/[^/]+/(?:[^/]*/)?release/?\Z", re.IGNORECASE)
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("time", "TimeGenerated"),
    "operation": ("operationName", "OperationName"),
    "category": ("category", "Category"),
    "result": ("resultType", "ResultType"),
    "status": ("httpStatusCode", "HttpStatusCode", "httpStatusCode_d"),
    "id": ("id", "Id", "id_s"),
    "uri": ("requestUri", "RequestUri", "requestUri_s"),
    "address": ("callerIpAddress", "CallerIpAddress", "CallerIPAddress"),
    "correlation": ("correlationId", "CorrelationId"),
    "client": ("clientInfo", "ClientInfo", "clientInfo_s"),
    "object_id": (
        "identity_claim_oid_g",
        "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g",
    ),
    "app_id": ("identity_claim_appid_g",),
}
_OBJECT_ID: Final = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_KEY: Final = re.compile(r"/keys/([A-Za-z0-9-]{1,127})(?:/([0-9A-Fa-f]{32}))?(?:/|\Z)")
_FRACTION: Final = re.compile(r"(\.\d{6})\d+")
_FAILURE: Final = frozenset({"failure", "failed", "error", "unauthorized", "forbidden"})


class LogError(AuditError):
    """A record that cannot be read: where, and why. The text has nothing of the record."""

    code = "log-unreadable"
    remedy = "Export the vault's log again."

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place}: {why}")
        self.place, self.why = place, why


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key in a vault; `version` is empty for an operation on the key as a whole."""

    vault: str
    name: str
    version: str

    def __str__(self) -> str:
        return f"https://{self.vault}/keys/{self.name}" + (f"/{self.version}" if self.version else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One operation as the vault logged it. `caller` are the object and application ids in its access token.

    `release` is whether it requested a key, whatever the vault answered. `digest` is the same in every form in which
    an entry may come: of time, operation, key, status, correlation id and address, or of the whole record if it has no
    correlation id. The caller chooses that id, but not also the microsecond in which the vault answers.
    """

    time: datetime
    operation: str
    release: bool
    key: Key | None
    succeeded: bool
    status: int | None
    caller: frozenset[str]
    address: str
    correlation: str
    client: str
    place: str
    digest: bytes


def entry_of(record: Mapping[str, Any], place: str) -> Entry | None:
    """The entry in one record; None for a record of another category. Raises LogError, with `place` in it."""
    inner = record.get("properties", record.get("Properties"))
    members: dict[str, Any] = {**(inner if isinstance(inner, dict) else {}), **record}
    found = {what: _first(members, names) for what, names in _NAMES.items()}
    release = found["operation"].lower() == _RELEASE or _RELEASE_PATH.search(_path(found["uri"])) is not None
    if found["category"].lower() not in ("", _CATEGORY) and not release:
        return None
    if not found["operation"]:
        raise LogError(place, "no operation name")
    status = int(found["status"].partition(".")[0]) if re.fullmatch(r"\d{3}(\.0+)?", found["status"]) else None
    # services write "Success" for refused requests too, so the status decides where there is one
    succeeded = 200 <= status < 300 if status is not None else found["result"].lower() not in _FAILURE
    moment = _time(found["time"], place)
    key = _key(found["id"]) if _versioned(found["id"]) else _key(found["uri"]) or _key(found["id"])
    same = [moment.isoformat(), found["operation"], str(key), status, found["correlation"], found["address"]]
    return Entry(
        time=moment,
        operation=found["operation"],
        release=release,
        key=key,
        succeeded=succeeded,
        status=status,
        caller=_caller(members, found),
        address=found["address"],
        correlation=found["correlation"],
        client=found["client"],
        place=place,
        digest=_digest(same if found["correlation"] else record),
    )


def _first(members: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = members.get(name)
        if isinstance(value, str | int | float | datetime) and not isinstance(value, bool) and value != "":
            return value.isoformat() if isinstance(value, datetime) else str(value)
    return ""


def _caller(members: Mapping[str, Any], found: Mapping[str, str]) -> frozenset[str]:
    identity = members.get("identity", members.get("Identity"))
    if isinstance(identity, str):
        try:
            identity = parse(identity.encode(), limit=len(identity) * 4)
        except ValueError:
            identity = None
    claim = identity.get("claim") if isinstance(identity, dict) else None
    ids = {found["object_id"], found["app_id"]}
    if isinstance(claim, dict):
        ids |= {str(claim[name]) for name in (_OBJECT_ID, "oid", "appid") if isinstance(claim.get(name), str)}
        ids |= set(_nested(claim))
    return frozenset(each.lower() for each in ids if each)


def _nested(claim: Mapping[str, Any]) -> Iterator[str]:
    """The object id as a Managed HSM writes it: one object for each part of the claim's name."""
    part = claim.get("http_schemas_microsoft_com_identity")
    claims = part.get("claims") if isinstance(part, dict) else None
    if isinstance(claims, dict) and isinstance(claims.get("objectidentifier"), str):
        yield claims["objectidentifier"]


def _key(uri: str) -> Key | None:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    found = _KEY.search(parts.path)
    if not parts.netloc or found is None:
        return None
    vault = parts.netloc.lower().removesuffix(":443")
    return Key(vault=vault, name=found[1].lower(), version=(found[2] or "").lower())


def _path(uri: str) -> str:
    try:
        return urlsplit(uri).path
    except ValueError:
        return ""


def _versioned(uri: str) -> bool:
    key = _key(uri)
    return key is not None and key.version != ""


def _time(text: str, place: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise LogError(place, "no time" if not text else "a time that cannot be read") from error


def _digest(content: object) -> bytes:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).digest()
