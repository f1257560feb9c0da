"""The engine's socket at its end, and with a task that fails as nobody expects."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from cji_core.errors import Reason, Stage
from cji_engine.messages import Done, Refused, Request, framed, read_answer
from cji_worker.fleet.tasks import messages as fleet
from cji_worker.fleet.tasks.server import MAX_CONNECTIONS, WAITING, TaskServer, listen

REQUEST = Request(job="0a" * 16, header_sha384="0b" * 48, plan="none", stage="plan", task=0)


DONE = fleet.Done(attempt="", statement_sha256="", bytes_in=0, bytes_out=0, seconds=0.0)
SILENT = """
import socket, sys, time
sockets = [socket.socket(socket.AF_UNIX) for _ in range(int(sys.argv[2]))]
for each in sockets:
    each.connect(sys.argv[1])
print("connected", flush=True)
time.sleep(60)
"""


def served(path: Path, task: Callable[[], fleet.Answer], **limits: int) -> TaskServer:
    server = TaskServer(listen(path), lambda _request, _progress, _gone: task(), **{"connections": 2, **limits})
    server.start()
    return server


def asked(path: Path, request: Request = REQUEST) -> Done | Refused:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(path))
        connection.sendall(framed(request))
        return read_answer(connection.recv)


def test_a_running_task_ends_before_the_process_does(tmp_path: Path) -> None:
    running, may_end, answers = threading.Event(), threading.Event(), list[Done | Refused]()

    def task() -> fleet.Answer:
        running.set()
        may_end.wait()
        return DONE

    path = tmp_path / "s"
    server = served(path, task)
    asking = threading.Thread(target=lambda: answers.append(asked(path)))
    asking.start()
    running.wait()
    server.close()
    with pytest.raises(ConnectionRefusedError):
        asked(path)
    assert not server.join(0.0)
    may_end.set()
    asking.join()
    assert isinstance(answers[0], Done)


def test_tasks_that_have_ended_are_not_waited_for(tmp_path: Path) -> None:
    server = served(tmp_path / "s", lambda: fleet.Refused(reason=Reason.EXPIRED, stage=Stage.ADMIT, retry_after_ms=0))
    assert isinstance(asked(tmp_path / "s"), Refused)
    server.close()
    assert server.join(30.0)


def test_a_fault_is_answered_and_its_text_goes_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = list[object]()
    monkeypatch.setattr(threading, "excepthook", faults.append)

    def task() -> fleet.Answer:
        raise KeyError("a record")

    server = served(tmp_path / "s", task)
    answer = asked(tmp_path / "s")
    assert isinstance(answer, Refused)
    assert answer.reason == Reason.INTERNAL
    server.close()
    assert server.join(30.0)
    assert faults == []


@contextlib.contextmanager
def silent(path: Path, connections: int) -> Iterator[None]:
    """A process that connects, and sends nothing."""
    command = [sys.executable, "-c", SILENT, str(path), str(connections)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"connected\n"
        try:
            yield
        finally:
            process.kill()


def test_silent_connections_of_one_process_hold_up_nobody(tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = served(path, lambda: DONE, connections=MAX_CONNECTIONS)
    with silent(path, MAX_CONNECTIONS):
        until = time.monotonic() + 1
        assert isinstance(asked(path), Done)
        assert time.monotonic() < until
        assert len(server._waiting) <= WAITING
    server.close()
    assert server.join(30.0)


def test_silent_connections_of_many_processes_hold_up_nobody(tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = served(path, lambda: DONE, connections=4)
    with silent(path, 2), silent(path, 2), silent(path, 2):
        time.sleep(0.2)  # those that were closed have gone
        until = time.monotonic() + 1
        assert isinstance(asked(path), Done)
        assert time.monotonic() < until
    server.close()
    assert server.join(30.0)


def test_a_task_runs_once_at_a_time_and_so_many_tasks(tmp_path: Path) -> None:
    may_end, running, path = threading.Event(), threading.Semaphore(0), tmp_path / "s"

    def task() -> fleet.Answer:
        running.release()
        may_end.wait()
        return DONE

    server = served(path, task, connections=8, runs=2)
    answers: list[Done | Refused] = []
    other, third = (msgspec.structs.replace(REQUEST, task=number) for number in (1, 2))
    threads = [
        threading.Thread(target=lambda each=each: answers.append(asked(path, each))) for each in (REQUEST, other)
    ]
    threads[0].start()
    assert running.acquire(timeout=60)
    again = asked(path)
    assert isinstance(again, Refused)
    assert (again.reason, again.retry_after_ms > 0) == (Reason.OVERLOADED, True)
    threads[1].start()
    assert running.acquire(timeout=60)
    full = asked(path, third)
    assert isinstance(full, Refused)
    assert full.reason == Reason.OVERLOADED
    may_end.set()
    for each in threads:
        each.join()
    assert [type(each) for each in answers] == [Done, Done]
    assert isinstance(asked(path), Done), "it may run again once it has ended"
    server.close()
    assert server.join(30.0)
