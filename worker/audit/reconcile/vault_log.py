"""The diagnostic log of a Key Vault or Managed HSM, category AuditEvent, in every form in which Azure hands it out.

    storage account, Event Hubs    {"time": …, "operationName": …, "properties": {"id": …, "requestUri": …}, …}
    table AZKVAuditLogs            {"TimeGenerated": …, "OperationName": …, "Id": …, "RequestUri": …, "Identity": …}
    table AzureDiagnostics         {"TimeGenerated": …, "OperationName": …, "id_s": …, "requestUri_s": …, …}

A file has one record in each line, or is one JSON document: an array, or `{"records": […]}`. It may be compressed with
gzip. Each form is a table of names below; a member that no table has is ignored, a record without a time or an
operation is refused with its line. Delivery is at least once: a record that comes twice is one entry.

Sources: "Azure Key Vault logging" and "Managed HSM logging" (Microsoft Learn), Azure Monitor's reference of the tables.
"""

import gzip
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

MAX_LINE_BYTES: Final = 1 << 20
MAX_DOCUMENT_BYTES: Final = 64 << 20
MAX_FILE_BYTES: Final = 8 << 30
"""Of one file, after decompression."""

_CATEGORY: Final = "AuditEvent"
_GZIP: Final = b"\x1f\x8b"
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
_SUCCESS: Final = frozenset({"success", "succeeded", "ok"})


class LogError(Exception):
    """A record that cannot be read: where, and why. The text has nothing of the record."""

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
    """One operation as the vault logged it. `caller` are the object and application ids in its access token."""

    time: datetime
    operation: str
    key: Key | None
    succeeded: bool
    status: int | None
    caller: frozenset[str]
    address: str
    correlation: str
    client: str
    place: str
    digest: bytes


class LogFile:
    """One file of a vault's log, which may still grow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = self._line = 0

    def entries(self) -> Iterator[Entry]:
        """The entries of category AuditEvent that were not returned before. Raises LogError or OSError.

        A last line without its line feed may still be written: it is returned once it is whole.
        """
        with self._path.open("rb") as file:
            start = file.peek(2)[:2] if isinstance(file, io.BufferedReader) else b""
            if start == _GZIP:
                yield from self._whole(file)
                return
            if file.seek(0, io.SEEK_END) < self._offset:  # nothing after that would be seen
                raise LogError(self._path.name, "the file is shorter than before")
            file.seek(self._offset)
            yield from self._lines(file, growing=True)

    def _whole(self, file: IO[bytes]) -> Iterator[Entry]:
        if self._offset:
            return  # a compressed file does not grow
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield from self._lines(unpacked, growing=False)
        except (gzip.BadGzipFile, EOFError, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
                raise
            raise LogError(self._path.name, "not a whole gzip file") from error

    def _lines(self, file: IO[bytes] | gzip.GzipFile, *, growing: bool) -> Iterator[Entry]:
        while line := file.readline(MAX_LINE_BYTES + 1):
            place = f"{self._path.name}:{self._line + 1}"
            if self._line == 0 and _is_document(line):
                yield from self._document(line, file)
                return
            if len(line) > MAX_LINE_BYTES:
                raise LogError(place, "the line is longer than 1 MiB")
            if not line.endswith(b"\n") and growing and not _complete(line):
                return
            self._offset += len(line)
            self._line += 1
            if self._offset > MAX_FILE_BYTES:
                raise LogError(place, "the file is longer than 8 GiB")
            if line.strip() and (found := entry_of(_object(line, place), place)) is not None:
                yield found

    def _document(self, first: bytes, file: IO[bytes] | gzip.GzipFile) -> Iterator[Entry]:
        data = first + file.read(max(0, MAX_DOCUMENT_BYTES + 1 - len(first)))
        name = self._path.name
        if len(data) > MAX_DOCUMENT_BYTES:
            raise LogError(name, "a JSON document of more than 64 MiB: write one record in each line")
        self._offset, self._line = len(data), 1
        try:
            whole = json.loads(data)
        except (ValueError, RecursionError) as error:
            line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
            raise LogError(f"{name}{line}", "not JSON") from error
        records = whole.get("records") if isinstance(whole, dict) else whole
        if not isinstance(records, list):
            raise LogError(name, "neither an array nor an object with records")
        for number, record in enumerate(records, 1):
            place = f"{name}, record {number}"
            if not isinstance(record, dict):
                raise LogError(place, "not an object")
            if (found := entry_of(record, place)) is not None:
                yield found


def entry_of(record: Mapping[str, Any], place: str) -> Entry | None:
    """The entry in one record; None for a record of another category. Raises LogError, with `place` in it."""
    inner = record.get("properties", record.get("Properties"))
    members: dict[str, Any] = {**(inner if isinstance(inner, dict) else {}), **record}
    found = {what: _first(members, names) for what, names in _NAMES.items()}
    if found["category"] not in ("", _CATEGORY):
        return None
    if not found["operation"]:
        raise LogError(place, "no operation name")
    status = int(found["status"].partition(".")[0]) if re.fullmatch(r"\d{3}(\.0+)?", found["status"]) else None
    # services write "Success" for refused requests too, so the status decides where there is one
    succeeded = 200 <= status < 300 if status is not None else found["result"].lower() in _SUCCESS
    return Entry(
        time=_time(found["time"], place),
        operation=found["operation"],
        key=_key(found["id"]) if _versioned(found["id"]) else _key(found["uri"]) or _key(found["id"]),
        succeeded=succeeded,
        status=status,
        caller=_caller(members, found),
        address=found["address"],
        correlation=found["correlation"],
        client=found["client"],
        place=place,
        digest=hashlib.sha256(json.dumps(record, sort_keys=True, default=str).encode()).digest(),
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
            identity = json.loads(identity)
        except (ValueError, RecursionError):
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
    return Key(vault=parts.netloc.lower(), name=found[1].lower(), version=(found[2] or "").lower())


def _versioned(uri: str) -> bool:
    key = _key(uri)
    return key is not None and key.version != ""


def _time(text: str, place: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
    except ValueError as error:
        raise LogError(place, "no time" if not text else "a time that cannot be read") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _object(line: bytes, place: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LogError(place, "not JSON") from error
    if not isinstance(found, dict):
        raise LogError(place, "not an object")
    return found


def _complete(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_document(line: bytes) -> bool:
    """Whether a first line begins a document: an array, an object that goes on, or one with records."""
    start = line.lstrip()[:1]
    if start == b"[":
        return True
    if start != b"{":
        return False
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        return line.strip() == b"{" or len(line) > MAX_LINE_BYTES
    return isinstance(first, dict) and isinstance(first.get("records"), list)
