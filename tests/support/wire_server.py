"""Azure's wire server as a machine reports to it that it is provisioned, on loopback.

Source: learn.microsoft.com, "Creating generalized images without a provisioning agent".
"""

import http.server
import threading
import xml.etree.ElementTree as ElementTree
from types import TracebackType
from typing import Final, Self

__all__ = ["CONTAINER", "ROLE", "WireServer"]

CONTAINER: Final = "a1a7b0c2-0000-4a4b-8c8c-000000000001"
ROLE: Final = "f00dbeef.cji_vmss_3"
_GOAL: Final = f"""\
<?xml version="1.0" encoding="utf-8"?>
<GoalState xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="goalstate10.xsd">
  <Version>2012-11-30</Version>
  <Incarnation>1</Incarnation>
  <Machine><ExpectedState>Started</ExpectedState><StopRolesDeadlineHint>300000</StopRolesDeadlineHint></Machine>
  <Container>
    <ContainerId>{CONTAINER}</ContainerId>
    <RoleInstanceList>
      <RoleInstance>
        <InstanceId>{ROLE}</InstanceId>
        <State>Started</State>
        <Configuration><HostingEnvironmentConfig>http://168.63.129.16:80/machine/x</HostingEnvironmentConfig></Configuration>
      </RoleInstance>
    </RoleInstanceList>
  </Container>
</GoalState>
"""


class WireServer:
    """The server; a context manager that stops it. `ready` has (container, role, incarnation) of each report."""

    def __init__(self, *, goal: str = _GOAL, status: int = 200) -> None:
        self.ready: list[tuple[str, str, str]] = []
        self.requests: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self, body: bytes, *, good: bool) -> None:
                server.requests.append(f"{self.command} {self.path}")
                self.send_response(status if good and self.headers["x-ms-version"] == "2012-11-30" else 400)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self._answer(goal.encode(), good=self.path == "/machine/?comp=goalstate")

            def do_POST(self) -> None:
                health = ElementTree.fromstring(self.rfile.read(int(self.headers["Content-Length"])))
                if health.findtext("Container/RoleInstanceList/Role/Health/State") == "Ready":
                    places = ("ContainerId", "RoleInstanceList/Role/InstanceId")
                    container, role = (health.findtext(f"Container/{one}") or "" for one in places)
                    server.ready.append((container, role, health.findtext("GoalStateIncarnation") or ""))
                self._answer(b"", good=self.path == "/machine/?comp=health")

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
