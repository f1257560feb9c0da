"""Azure's metadata service as a machine asks it for scheduled events: its two documents and the approval, on loopback.

Source: learn.microsoft.com, "Scheduled Events for Linux VMs".
"""

import http.server
import json
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

from cji_core.https import Client
from cji_simulator.imds import NAME
from cji_simulator.scheduled_events import ScheduledEvents

__all__ = ["NAME", "MetadataService", "document", "event"]

_PASSED: Final = ("Metadata", "Content-Type")
_OWN: Final = ("/metadata/scheduledevents?", "/metadata/instance/compute?")


def event(kind: str = "Terminate", *resources: str, **changes: Any) -> dict[str, Any]:
    """An event as Azure documents it."""
    found = {
        "EventId": "C7061BAC-AFDC-4513-B24B-AA5F13A16123",
        "EventType": kind,
        "ResourceType": "VirtualMachine",
        "Resources": list(resources or (NAME,)),
        "EventStatus": "Scheduled",
        "NotBefore": "Mon, 19 Sep 2027 18:29:47 GMT",
        "Description": "",
        "EventSource": "Platform",
        "DurationInSeconds": -1,
    }
    return {**found, **changes}


def document(*events: dict[str, Any]) -> bytes:
    """The list of scheduled events."""
    return json.dumps({"DocumentIncarnation": 1, "Events": list(events)}).encode()


class MetadataService:
    """The service; a context manager that stops it.

    `events` is what it lists, None lets it fail; without either it lists `scheduled`, whose events may be approved.
    It waits `pause` seconds before each document.
    Requests for anything but its two documents go to the service at `others`.
    """

    def __init__(self, *, others: str = "") -> None:
        self.events: bytes | None = b""
        self.pause = 0.0
        self.scheduled = ScheduledEvents()
        self.requests: list[str] = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.requests.append(self.path)
                if others and not self.path.startswith(_OWN):
                    self._pass_on()
                    return
                time.sleep(service.pause)
                events = "/scheduledevents?" in self.path
                listed = service.scheduled.document() if service.events == b"" else service.events
                body = listed if events else json.dumps({"name": NAME, "location": "eastus2"}).encode()
                good = body is not None and self.headers["Metadata"] == "true"
                self.send_response(200 if good else 400)
                self.end_headers()
                if good and body is not None:
                    self.wfile.write(body)

            def do_POST(self) -> None:
                if others and not self.path.startswith(_OWN):
                    self._pass_on()
                    return
                good = service.scheduled.approve(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.send_response(200 if good and self.headers["Metadata"] == "true" else 400)
                self.end_headers()

            def _pass_on(self) -> None:
                with Client(None, plain=True) as client:
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    headers = {
                        name: self.headers[name] for name in ("Metadata", "Content-Type") if name in self.headers
                    }
                    found = client.exchange(self.command, others + self.path, headers=headers, body=body or None)
                self.send_response(found.status)
                self.end_headers()
                self.wfile.write(found.body)

            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
