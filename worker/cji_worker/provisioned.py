"""`python -m cji_worker.provisioned`: reports to Azure that the machine is provisioned.

Azure waits for this of a machine from a generalized image, and stops a deployment that does not hear it within forty
minutes. The image has no provisioning agent: this asks the wire server for the goal state, and answers that the role in
it is ready. Nothing that the wire server says is used for anything else, and nothing of this machine is sent.

Documented at learn.microsoft.com, "Creating generalized images without a provisioning agent".
"""

import re
import sys
import time
from typing import Final

from cji_core.errors import CjiError
from cji_core.hosts import WIRE_SERVER
from cji_core.https import Client, ExchangeError
from cji_core.log import events_only, log
from cji_worker.errors import WorkerError

_SERVICE: Final = f"http://{WIRE_SERVER}"
_VERSION: Final = {"x-ms-version": "2012-11-30"}
_POSTED: Final = {**_VERSION, "x-ms-agent-name": "cji-worker", "Content-Type": "text/xml;charset=utf-8"}
_SECONDS: Final = 20.0
_MOST: Final = 64 << 10
_PAUSES: Final = (1, 2, 4, 8, 16, 30)
_NAMES: Final = ("Incarnation", "ContainerId", "InstanceId")
_READY: Final = """\
<?xml version="1.0" encoding="utf-8"?>
<Health xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
  <GoalStateIncarnation>{Incarnation}</GoalStateIncarnation>
  <Container>
    <ContainerId>{ContainerId}</ContainerId>
    <RoleInstanceList>
      <Role>
        <InstanceId>{InstanceId}</InstanceId>
        <Health>
          <State>Ready</State>
        </Health>
      </Role>
    </RoleInstanceList>
  </Container>
</Health>
"""


class NotReportedError(WorkerError):
    """The wire server did not take the report, or its goal state names no role."""

    code = "not-reported"
    remedy = "Check that the rules of the image let cji-provisioned reach 168.63.129.16, port 80."


def report_ready(service: str = _SERVICE) -> None:
    """One exchange: the goal state, and the report about its role. Raises NotReportedError."""
    try:
        with Client(None, seconds=_SECONDS, limit=_MOST, plain=True) as client:
            reply = client.exchange("GET", f"{service}/machine/?comp=goalstate", headers=_VERSION)
            body = _READY.format(**_goal(reply.status, reply.body)).encode()
            reply = client.exchange("POST", f"{service}/machine/?comp=health", headers=_POSTED, body=body)
    except ExchangeError as error:
        raise NotReportedError(str(error)) from error
    if reply.status not in {200, 202}:
        raise NotReportedError(f"the report was answered with status {reply.status}")


def _goal(status: int, body: bytes) -> dict[str, str]:
    """Identifiers of the goal state. It is read without a parser: three elements, each once, of plain characters."""
    if status != 200:
        raise NotReportedError(f"the goal state was answered with status {status}")
    found = {}
    for name in _NAMES:
        values = re.findall(rb"<%s>([0-9A-Za-z._-]{1,128})</%s>" % (name.encode(), name.encode()), body)
        if len(values) != 1:
            raise NotReportedError(f"the goal state has {len(values)} elements {name}")
        found[name] = values[0].decode()
    return found


def main() -> int:
    """Report, with pauses between tries; 1 if no try succeeds, for the unit to start again."""
    events_only()
    for pause in (*_PAUSES, 0):
        try:
            report_ready()
        except CjiError as error:
            log("machine not reported", what=str(error))
            time.sleep(pause)
        else:
            log("machine reported as provisioned")
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
