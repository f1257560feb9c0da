"""The diagnostic log of a vault, as a storage account has it: one record in each line, category AuditEvent.

Members as in "Azure Key Vault logging" (Microsoft Learn). As the service does, a record has the status in
`httpStatusCode` and "Success" in `resultType` for every request that was answered.
"""

import json
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aiohttp import web

from cji_simulator.http_faults import Handler
from cji_simulator.identity import CLIENT_ID

__all__ = ["DiagnosticLog"]

_ACTIONS: Final = {
    "create": "KeyCreate",
    "rotate": "KeyRotate",
    "versions": "KeyListVersions",
    "release": "KeyRelease",
    "backup": "KeyBackup",
    "restore": "KeyRestore",
}
_METHODS: Final = {"GET": "KeyGet", "PATCH": "KeyUpdate", "DELETE": "KeyDelete"}
_OBJECT_ID: Final = "http://schemas.microsoft.com/identity/claims/objectidentifier"


class DiagnosticLog:
    """The log of one vault, appended to a file that several may share."""

    def __init__(self, path: Path, *, url: str) -> None:
        self._path, self._url = path, url

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Write a record once the request is answered, or cut off."""
        began, status = time.monotonic(), 0
        try:
            answer = await handler(request)
            status = answer.status
            return answer
        finally:
            if status:
                self._write(request, status, int(1000 * (time.monotonic() - began)))

    def _write(self, request: web.Request, status: int, duration_ms: int) -> None:
        action = _ACTIONS.get(request.path.rpartition("/")[2], _METHODS.get(request.method, "Unknown"))
        key = request.path.partition("/release")[0] if action == "KeyRelease" else request.path
        has_token = request.headers.get("Authorization", "").startswith("Bearer ")
        record = {
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z"),
            "resourceId": "/SUBSCRIPTIONS/SIMULATED/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/SIMULATED",
            "operationName": "Authentication" if status == 401 else action,
            "operationVersion": request.query.get("api-version", ""),
            "category": "AuditEvent",
            "resultType": "Success",
            "resultSignature": {200: "OK", 401: "Unauthorized", 403: "Forbidden"}.get(status, str(status)),
            "resultDescription": "",
            "durationMs": str(duration_ms),
            "callerIpAddress": request.remote or "",
            "correlationId": request.headers.get("x-ms-client-request-id") or str(uuid.uuid4()),
            "identity": {"claim": {_OBJECT_ID: CLIENT_ID, "appid": CLIENT_ID}} if has_token else {},
            "properties": {
                "clientInfo": request.headers.get("User-Agent", ""),
                "requestUri": f"{self._url}{request.path_qs}",
                "id": f"{self._url}{key}",
                "httpStatusCode": status,
            },
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
