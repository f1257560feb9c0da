"""The probe: real status socket behind it, a metadata service of Azure's forms beside it, a load balancer in front."""

import asyncio
import http.client
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cji_core.boot_codes import CODE_FILE
from cji_core.command import build
from cji_core.errors import StartupError
from cji_simulator.raw import until
from cji_worker.probe import process, server
from cji_worker.probe.notice import DELIVERED, DRAIN, DRAINED, Metadata, NoticeError, notices
from cji_worker.probe.process import GONE, NOTICE, RESUME, Probe
from cji_worker.probe.server import Server
from tests.support.console_tools import FRONT, NOT_SERVING, StatusSocket, encoded, status_socket
from tests.support.paths import ROOT
from tests.support.scheduled_events import NAME, MetadataService, document, event

UNITS = ROOT / "deploy" / "systemd"


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ((), None),
        ((event(),), True),
        ((event("Preempt"),), True),
        ((event("Reboot"),), False),
        ((event("Redeploy"),), False),
        ((event("Freeze"),), None),
        ((event("Reimage"),), None),
        ((event("Freeze"), event("Terminate")), True),
        ((event("Reboot"), event("Terminate")), True),
        ((event("Terminate", "cji-vmss_4"),), None),
        ((event("Terminate", "cji-vmss_4", NAME),), True),
        ((event("Reboot", "cji-vmss_33"),), None),
        ((event(EventStatus="Started"),), True),
        # after its reboot the machine still sees the event for minutes
        ((event("Reboot", EventStatus="Started"),), None),
        ((event("Redeploy", EventStatus="Started"),), None),
    ],
)
def test_events_of_this_machine_end_or_interrupt_it(events: tuple[dict[str, Any], ...], found: bool | None) -> None:
    coming = notices(document(*events), NAME)
    assert (coming[0].final if coming else None) is found


def test_an_id_that_could_not_be_approved_is_no_event() -> None:
    with pytest.raises(NoticeError):
        notices(document(event(EventId='x"}]}')), NAME)


@given(st.binary(max_size=200))
def test_any_answer_is_a_notice_or_our_error(data: bytes) -> None:
    with suppress(NoticeError):
        notices(data, NAME)


@given(st.binary(max_size=300))
def test_any_request_has_one_small_answer(head: bytes) -> None:
    answer = Server(lambda: None).answer(head)
    assert answer.startswith(b"HTTP/1.1 ")
    assert answer.endswith(b"\r\n\r\n")
    assert len(answer) < 200


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /ready HTTP/1.1", b"200"),
        (b"GET /ready HTTP/1.0", b"200"),
        (b"GET /ready?x HTTP/1.1", b"404"),
        (b"GET /metrics HTTP/1.1", b"404"),
        (b"POST /ready HTTP/1.1", b"400"),
        (b"GET /ready HTTP/2", b"400"),
    ],
)
def test_one_path_is_answered(line: bytes, status: bytes) -> None:
    head = line + b"\r\nHost: 10.0.0.4\r\n\r\n"
    assert Server(lambda: None).answer(head).split()[1] == status
    if status == b"200":
        assert Server(lambda: "worker-away").answer(head).split()[1] == b"503"


@pytest.fixture
def azure() -> Iterator[MetadataService]:
    with MetadataService() as service:
        yield service


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[StatusSocket]:
    folder = tmp_path / "worker"
    folder.mkdir()
    with status_socket(folder) as opened:
        yield opened


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ASK_S", 0.05)
    monkeypatch.setattr(process, "LOOK_S", 0.05)


@contextmanager
def probing(worker: StatusSocket, azure: MetadataService, state: Path) -> Iterator[Probe]:
    """A probe in a loop and a thread of its own."""
    state.mkdir(exist_ok=True)
    metadata = Metadata(f"http://127.0.0.1:{azure.port}")
    probe = Probe(
        status_socket=str(worker.path),
        host="127.0.0.1",
        port=0,
        state=state,
        drain=state.with_name("drain"),
        boot_code=state.with_name("code"),
        metadata=metadata,
    )
    loop, listening = asyncio.new_event_loop(), threading.Event()
    task = loop.create_task(probe.serve())

    async def serve() -> None:
        await probe.listening.wait()
        listening.set()
        with suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        assert listening.wait(60)
        yield probe
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(60)
        loop.close()


def answered(probe: Probe, path: str = "/ready") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", probe.port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    found = response.status, response.read().decode()
    connection.close()
    return found


def answer(probe: Probe, path: str = "/ready") -> int:
    return answered(probe, path)[0]


def test_readiness_follows_the_worker(worker: StatusSocket, azure: MetadataService, tmp_path: Path) -> None:
    with probing(worker, azure, tmp_path / "state") as probe:
        until(lambda: answer(probe) == 200)
        worker.document = encoded(front=NOT_SERVING)
        until(lambda: answered(probe) == (503, "NOT_READY\n"))
        worker.document = encoded(front=FRONT)
        until(lambda: answer(probe) == 200)
        worker.document = encoded(front=FRONT, draining=True)
        until(lambda: answered(probe) == (503, "DRAINING\n"))
        worker.document = b"{}"
        until(lambda: answer(probe) == 503)
        assert answer(probe, "/") == 404


def test_a_machine_without_a_worker_shows_why(worker: StatusSocket, azure: MetadataService, tmp_path: Path) -> None:
    worker.close()
    code = tmp_path / "code"
    code.write_text("bundle-denied\n")
    with probing(worker, azure, tmp_path / "state") as probe:
        until(lambda: answered(probe) == (503, "bundle-denied\n"))
        for other in ("bundle-secret\n", "bundle-denied and more\n", "x" * 5000):  # nothing else leaves the machine
            code.write_text("bundle-away\n")
            until(lambda: answered(probe) == (503, "bundle-away\n"))
            code.write_text(other)
            until(lambda: answered(probe) == (503, "worker-away\n"))
        code.unlink()
        azure.events = document(event())
        until(lambda: answered(probe) == (503, "machine-ends\n"))


def test_a_worker_that_is_gone_is_not_ready(worker: StatusSocket, azure: MetadataService, tmp_path: Path) -> None:
    with probing(worker, azure, tmp_path / "state") as probe:
        until(lambda: answer(probe) == 200)
        worker.close()
        until(lambda: answer(probe) == 503)


def test_an_answer_that_grows_old_does_not_count(
    worker: StatusSocket, azure: MetadataService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STALE_S", -1.0)
    with probing(worker, azure, tmp_path / "state") as probe:
        until(lambda: len(azure.requests) > 3)
        assert answer(probe) == 503


def test_the_notice_takes_the_machine_out_and_starts_the_drain(
    worker: StatusSocket, azure: MetadataService, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with probing(worker, azure, state) as probe:
        until(lambda: answer(probe) == 200)
        azure.events = document(event("Freeze"), event("Terminate", "cji-vmss_4"))
        seen = len(azure.requests)
        until(lambda: len(azure.requests) > seen + 2)
        assert answer(probe) == 200
        assert not (state / NOTICE).exists()
        azure.events = document(event())
        until((state / NOTICE).exists)
        until(lambda: answer(probe) == 503)
        assert (state / NOTICE).read_text() == "C7061BAC-AFDC-4513-B24B-AA5F13A16123 final\n"
        azure.events = document()  # Azure forgets; the machine does not
        assert answer(probe) == 503
    with probing(worker, azure, state) as again:
        assert answer(again) == 503


@pytest.mark.parametrize("kind", ["Reboot", "Redeploy", "Preempt", "Terminate"])
def test_an_event_is_approved_when_the_machine_has_drained(
    worker: StatusSocket, azure: MetadataService, tmp_path: Path, kind: str
) -> None:
    state, drain = tmp_path / "state", tmp_path / "drain"
    drain.mkdir()
    with probing(worker, azure, state) as probe:
        until(lambda: answer(probe) == 200)
        other = azure.scheduled.announce(kind, "cji-vmss_4")
        mine = azure.scheduled.announce(kind, NAME)
        until((state / NOTICE).exists)
        assert (state / NOTICE).read_text().startswith(mine)
        until(lambda: answer(probe) == 503)
        _looks(azure, 3)
        assert azure.scheduled.approved == []
        (drain / DRAINED).touch()
        if kind in {"Preempt", "Terminate"}:  # the disk with the trail goes with the machine
            _looks(azure, 3)
            assert azure.scheduled.approved == []
            (drain / DELIVERED).touch()
        until(lambda: azure.scheduled.state(mine) == "Started")
        _looks(azure, 3)
        assert azure.scheduled.approved == [mine]
        assert azure.scheduled.state(other) == "Scheduled"
        azure.scheduled.remove(mine)
        if kind in {"Reboot", "Redeploy"}:  # a pause instead, or Azure thought better of it
            until((state / RESUME).exists)
        else:
            _looks(azure, GONE + 2)
            assert not (state / RESUME).exists()
        assert answer(probe) == 503
    for name, file in ((NOTICE, "cji-drain.path"), (RESUME, "cji-resume.path")):
        assert f"PathExists=/run/cji-probe/{name}\n" in (UNITS / file).read_text()
    assert f"ConditionPathExists={DRAIN / DRAINED}\n" in (UNITS / "cji-resume.service").read_text()
    drained = (UNITS / "cji-drain.service").read_text()
    assert all(f"ExecStart=/usr/bin/touch {DRAIN / name}\n" in drained for name in (DRAINED, DELIVERED))
    assert f"RuntimeDirectory={DRAIN.relative_to('/run')}\n" in drained
    folders = re.search(r"(?m)^RuntimeDirectory=(.+)$", (UNITS / "cji-bundle.service").read_text())
    assert folders is not None
    assert str(CODE_FILE.parent.relative_to("/run")) in folders[1].split()


@pytest.mark.parametrize("kind", ["Reboot", "Terminate"])
def test_an_event_of_other_machines_too_is_not_approved(
    worker: StatusSocket, azure: MetadataService, tmp_path: Path, kind: str
) -> None:
    state, drain = tmp_path / "state", tmp_path / "drain"
    drain.mkdir()
    (drain / DRAINED).touch()
    (drain / DELIVERED).touch()
    with probing(worker, azure, state) as probe:
        shared = azure.scheduled.announce(kind, NAME, "cji-vmss_4")  # which may still have jobs
        until((state / NOTICE).exists)
        until(lambda: answer(probe) == 503)
        _looks(azure, 4)
        assert (azure.scheduled.approved, azure.scheduled.state(shared)) == ([], "Scheduled")


def test_an_event_that_is_cancelled_before_the_drain_resumes(
    worker: StatusSocket, azure: MetadataService, tmp_path: Path
) -> None:
    state, drain = tmp_path / "state", tmp_path / "drain"
    drain.mkdir()
    with probing(worker, azure, state):
        event_id = azure.scheduled.announce("Reboot", NAME)
        until((state / NOTICE).exists)
        azure.scheduled.remove(event_id)
        _looks(azure, GONE + 2)
        assert not (state / RESUME).exists()  # jobs still run
    with probing(worker, azure, state):  # a probe that was started again does not forget
        (drain / DRAINED).touch()
        until((state / RESUME).exists)


def test_an_end_takes_the_place_of_an_interruption(
    worker: StatusSocket, azure: MetadataService, tmp_path: Path
) -> None:
    state, drain = tmp_path / "state", tmp_path / "drain"
    drain.mkdir()
    with probing(worker, azure, state):
        azure.scheduled.announce("Redeploy", NAME)
        until((state / NOTICE).exists)
        mine = azure.scheduled.announce("Terminate", NAME)
        until(lambda: (state / NOTICE).read_text() == f"{mine} final\n")
        (drain / DRAINED).touch()
        _looks(azure, 3)
        assert azure.scheduled.approved == []
        (drain / DELIVERED).touch()
        until(lambda: azure.scheduled.approved == [mine])


def _looks(azure: MetadataService, number: int) -> None:
    """Wait until the probe has looked so often."""
    seen = len(azure.requests)
    until(lambda: len(azure.requests) > seen + number)


def test_a_metadata_service_that_fails_takes_no_worker_away(
    worker: StatusSocket, azure: MetadataService, tmp_path: Path
) -> None:
    azure.events = None
    with probing(worker, azure, tmp_path / "state") as probe:
        until(lambda: len(azure.requests) > 3)
        until(lambda: answer(probe) == 200)
        azure.events = document(event())
        until(lambda: answer(probe) == 503)


def test_the_metadata_service_is_asked_as_it_wants_to_be(azure: MetadataService) -> None:
    metadata = Metadata(f"http://127.0.0.1:{azure.port}")
    assert metadata.look() == ((), frozenset())
    azure.events = document(event())
    assert metadata.look()[0][0].final
    assert [path.partition("?")[0] for path in azure.requests] == [
        "/metadata/instance/compute",
        "/metadata/scheduledevents",
        "/metadata/scheduledevents",
    ]
    azure.events = b" " * (1 << 20)
    with pytest.raises(NoticeError, match="bytes"):
        metadata.look()


def test_a_crowd_that_says_nothing_shuts_nobody_out(
    worker: StatusSocket, azure: MetadataService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CLIENT_S", 60.0)
    with probing(worker, azure, tmp_path / "state") as probe:
        until(lambda: answer(probe) == 200)
        silent = [socket.create_connection(("127.0.0.1", probe.port), 5) for _ in range(server.MAX_CLIENTS + 4)]
        assert answer(probe) == 200
        for each in silent:
            each.close()


def test_an_address_or_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"status_socket": "s", "host": "127.0.0.1", "metadata": Metadata("http://127.0.0.1:1")}
    settings["drain"] = settings["boot_code"] = tmp_path
    with pytest.raises(StartupError, match="cannot be written"):
        Probe(port=0, state=tmp_path / "gone", **settings)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(StartupError, match="cannot be used"):
        Probe(port=taken.getsockname()[1], state=tmp_path, **settings)


def test_the_command_teaches_and_refuses_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def typed(*arguments: str) -> tuple[int, str]:
        found = CliRunner().invoke(build(), ["probe", *arguments], catch_exceptions=False)
        return found.exit_code, found.output

    assert "curl -i http://127.0.0.1:9465/ready" in typed("--help")[1]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert typed()[0] == 2
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    status, output = typed("--state", str(tmp_path / "gone"))
    assert (status, "RuntimeDirectory=cji-probe" in output) == (2, True)
