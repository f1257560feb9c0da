"""Blob Storage with what Azurite 3.37 lacks: versions, soft delete, legal holds. In memory, over TLS on loopback.

By the published REST API of version 2020-10-02 and later, as far as retention uses it:
* Put Blob makes a version; Delete Blob makes the current version a previous one.
* Delete Blob with `versionid` deletes a version softly; of the current one it is 403 OperationNotAllowedOnRootBlob.
* Set Blob Legal Hold leaves the ETag as it is; Delete Blob of what it protects is 409 BlobImmutableDueToLegalHold.
* List Blobs has what was deleted only with `include=deleted`, with DeletedTime and RemainingRetentionDays.
The clock is the test's. Tokens are not verified. Azurite answers for all else (`test_azurite`).
"""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.asymmetric import rsa

from cji_simulator.certificates import authority, leaf

ACCOUNT: Final = "cjiexample"


@dataclass(slots=True, kw_only=True)
class Version:
    """One version of a blob, or a snapshot."""

    id: str
    data: bytes
    etag: str
    modified: datetime
    current: bool = True
    snapshot: bool = False
    held: bool = False
    deleted: datetime | None = None


@dataclass(slots=True, kw_only=True)
class BlobService:
    """The state. `before` is called with method and path of each request, and may change it."""

    now: datetime
    soft_delete_days: int = 14
    versioned: bool = True
    blobs: dict[tuple[str, str], list[Version]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    before: Callable[[str, str], None] = lambda _method, _path: None
    url: str = ""
    ca_file: Path = Path()
    numbers: Iterator[int] = field(default_factory=count)

    def put(self, container: str, name: str, data: bytes, *, at: datetime | None = None) -> Version:
        """Make a blob, or a new version of it."""
        number = next(self.numbers)
        at = at or self.now
        made = Version(id=f"{at:%Y-%m-%dT%H:%M:%S}.{number:07d}Z", data=data, etag=f"0x8D{number:012X}", modified=at)
        there = self.blobs.setdefault((container, name), [])
        for each in there:
            each.current = False
        if not self.versioned:
            there[:] = [each for each in there if each.deleted is not None]
        there.append(made)
        return made

    def snapshot(self, container: str, name: str) -> Version:
        """Make a snapshot of the current version."""
        made = self.put(container, name, self.current(container, name).data)
        made.snapshot, made.current = True, False
        self.blobs[container, name][-2].current = True
        return made

    def current(self, container: str, name: str) -> Version:
        """The current version; KeyError without one."""
        for each in self.blobs.get((container, name), ()):
            if each.current and each.deleted is None:
                return each
        raise KeyError(name)

    def names(self, container: str) -> set[str]:
        """Names of which anything is there that was not deleted."""
        self.purge()
        return {
            name
            for (of, name), versions in self.blobs.items()
            if of == container and any(v.deleted is None for v in versions)
        }

    def purge(self) -> None:
        """Erase what was deleted long enough ago."""
        keep = timedelta(days=self.soft_delete_days)
        for versions in self.blobs.values():
            versions[:] = [v for v in versions if v.deleted is None or self.now < v.deleted + keep]


class RefusedError(Exception):
    """An answer with Azure's code."""

    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: BlobService

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _any(self) -> None:
        service = self.service
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        _, account, container, *rest = unquote(url.path).split("/", 3)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service.requests.append(f"{self.command} {url.path}?{url.query}")
        service.purge()
        try:
            service.before(self.command, self.path)
            if account != ACCOUNT:
                raise RefusedError(404, "ResourceNotFound")
            if query.get("comp") == "list":
                status, headers, data = 200, {"Content-Type": "application/xml"}, self._list(container, query)
            else:
                status, headers, data = self._blob(container, rest[0], query, body)
        except RefusedError as error:
            status, headers = error.status, {"x-ms-error-code": error.code, "Content-Type": "application/xml"}
            data = f"<?xml version='1.0'?><Error><Code>{error.code}</Code><Message>no</Message></Error>".encode()
        self._answer(status, headers, data)

    do_GET = do_PUT = do_DELETE = do_HEAD = _any  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response_only(status)
        number = len(self.service.requests)
        fixed = {"x-ms-request-id": f"request-{number}", "x-ms-version": "2026-06-06"}
        length = headers.pop("Content-Length", str(len(data)))
        clock = {"Date": format_datetime(self.service.now, usegmt=True), "Content-Length": length}
        for name, value in {**fixed, **clock, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _blob(self, container: str, name: str, query: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        service, there = self.service, self.service.blobs.get((container, name), [])
        current = next((v for v in there if v.current and v.deleted is None), None)
        if self.command == "PUT" and not query:
            if self.headers.get("If-None-Match") == "*" and current is not None:
                raise RefusedError(409, "BlobAlreadyExists")
            made = service.put(container, name, body)
            return 201, _properties(made), b""
        wanted = query.get("versionid") or query.get("snapshot")
        found = current if wanted is None else next((v for v in there if v.id == wanted and v.deleted is None), None)
        if found is None:
            raise RefusedError(404, "BlobNotFound")
        if query.get("comp") == "legalhold":
            found.held = self.headers["x-ms-legal-hold"] == "true"
            return 200, {"x-ms-legal-hold": self.headers["x-ms-legal-hold"]}, b""
        if (etag := self.headers.get("If-Match")) not in {None, f'"{found.etag}"'}:
            assert etag is not None
            raise RefusedError(412, "ConditionNotMet")
        if self.command == "DELETE":
            self._delete(there, found, query)
            return 202, {"x-ms-delete-type-permanent": "false"}, b""
        return self._read(found)

    def _delete(self, there: list[Version], found: Version, query: dict[str, str]) -> None:
        if found.held:
            raise RefusedError(409, "BlobImmutableDueToLegalHold")
        if "versionid" in query and found.current:
            raise RefusedError(403, "OperationNotAllowedOnRootBlob")
        if not query and any(v.snapshot and v.deleted is None for v in there):
            raise RefusedError(409, "SnapshotsPresent")
        if not query and self.service.versioned:
            found.current = False
        else:
            found.deleted = self.service.now

    def _read(self, found: Version) -> tuple[int, dict[str, str], bytes]:
        headers = _properties(found) | {"Content-Type": "application/octet-stream", "x-ms-blob-type": "BlockBlob"}
        if self.command == "HEAD":
            return 200, headers | {"Content-Length": str(len(found.data))}, b""
        first, last = (int(each) for each in self.headers["x-ms-range"].removeprefix("bytes=").split("-"))
        data = found.data[first : last + 1]
        headers["Content-Range"] = f"bytes {first}-{first + len(data) - 1}/{len(found.data)}"
        return 206, headers, data

    def _list(self, container: str, query: dict[str, str]) -> bytes:
        include, prefix = query.get("include", "").split(","), query.get("prefix", "")
        found = [
            (name, version)
            for (of, name), versions in sorted(self.service.blobs.items())
            if of == container and name.startswith(prefix)
            for version in versions
            if _is_listed(version, include)
        ]
        start, most = int(query.get("marker") or 0), int(query.get("maxresults", "5000"))
        marker = str(start + most) if start + most < len(found) else ""
        items = "".join(self._item(*each, include=include) for each in found[start : start + most])
        return (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="{container}">'
            f"<Blobs>{items}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
        ).encode()

    def _item(self, name: str, version: Version, *, include: list[str]) -> str:
        when = format_datetime(version.modified, usegmt=True)
        hold = "<LegalHold>true</LegalHold>" if version.held and "legalhold" in include else ""
        kind = f"<Snapshot>{version.id}</Snapshot>" if version.snapshot else ""
        if self.service.versioned and not version.snapshot:
            kind = f"<VersionId>{version.id}</VersionId>"
            kind += "<IsCurrentVersion>true</IsCurrentVersion>" if version.current and version.deleted is None else ""
        gone, left = "", ""
        if version.deleted is not None:
            days = self.service.soft_delete_days - (self.service.now - version.deleted).days
            gone = "<Deleted>true</Deleted>"
            left = (
                f"<DeletedTime>{format_datetime(version.deleted, usegmt=True)}</DeletedTime>"
                f"<RemainingRetentionDays>{days}</RemainingRetentionDays>"
            )
        return (
            f"<Blob><Name>{escape(name)}</Name>{gone}{kind}<Properties><Creation-Time>{when}</Creation-Time>"
            f"<Last-Modified>{when}</Last-Modified><Etag>{version.etag}</Etag>"
            f"<Content-Length>{len(version.data)}</Content-Length><BlobType>BlockBlob</BlobType>{hold}{left}"
            "</Properties></Blob>"
        )


def _is_listed(version: Version, include: list[str]) -> bool:
    if version.deleted is not None and "deleted" not in include:
        return False
    if version.snapshot:
        return "snapshots" in include
    return version.current or "versions" in include or version.deleted is not None


def _properties(version: Version) -> dict[str, str]:
    when = format_datetime(version.modified, usegmt=True)
    return {"ETag": f'"{version.etag}"', "Last-Modified": when, "x-ms-creation-time": when}


@contextmanager
def blob_service(folder: Path, now: datetime, **options: Any) -> Iterator[BlobService]:
    """A service until the block ends; `folder` gets its certificates."""
    ca = authority("Blob Storage's authority", rsa.generate_private_key(65537, 2048))
    own = leaf("localhost", rsa.generate_private_key(65537, 2048), ca, hosts=("localhost", "127.0.0.1"))
    own.save(folder / "blobs")
    ca.save(folder / "blobs-ca")
    service = BlobService(now=now.astimezone(UTC), **options)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"service": service}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "blobs.pem", folder / "blobs.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    service.url, service.ca_file = f"https://127.0.0.1:{server.server_address[1]}/{ACCOUNT}", folder / "blobs-ca.pem"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
