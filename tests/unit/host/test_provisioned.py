"""The report that a machine is provisioned, to a server that speaks the wire server's protocol."""

import pytest

from cji_worker.provisioned import NotReportedError, report_ready
from tests.support.wire_server import CONTAINER, ROLE, WireServer


def _report(server: WireServer) -> None:
    report_ready(f"http://127.0.0.1:{server.port}")


def test_the_role_of_the_goal_state_is_reported_ready() -> None:
    with WireServer() as server:
        _report(server)
    assert server.ready == [(CONTAINER, ROLE, "1")]
    assert server.requests == ["GET /machine/?comp=goalstate", "POST /machine/?comp=health"]


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("", "0 elements Incarnation"),
        ("<Incarnation>1</Incarnation><ContainerId>a</ContainerId>", "0 elements InstanceId"),
        ("<Incarnation>1</Incarnation><ContainerId>a</ContainerId><InstanceId>b</x></InstanceId>", "InstanceId"),
        ("<Incarnation>1</Incarnation>" * 2, "2 elements Incarnation"),
    ],
)
def test_a_goal_state_of_another_form_is_not_answered(goal: str, said: str) -> None:
    with WireServer(goal=goal) as server, pytest.raises(NotReportedError, match=said):
        _report(server)
    assert server.ready == []


def test_an_answer_that_is_no_success_is_an_error() -> None:
    with WireServer(status=503) as server, pytest.raises(NotReportedError, match="status 503"):
        _report(server)


def test_no_server_is_an_error() -> None:
    with WireServer() as server:
        port = server.port
    with pytest.raises(NotReportedError):
        report_ready(f"http://127.0.0.1:{port}")
