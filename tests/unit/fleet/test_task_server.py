"""The engine's socket at its end, and with a task that fails as nobody expects."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cji_core.errors import Reason, Stage
from cji_engine.messages import Done, Refused, Request, framed, read_answer
from cji_worker.fleet.tasks import messages as fleet
from cji_worker.fleet.tasks.server import TaskServer, listen

REQUEST = Request(job="0a" * 16, header_sha384="0b" * 48, plan="none", stage="plan", task=0)


def served(path: Path, task: Callable[[], fleet.Answer]) -> TaskServer:
    server = TaskServer(listen(path), lambda _request, _progress, _gone: task(), connections=2)
    server.start()
    return server


def asked(path: Path) -> Done | Refused:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(framed(REQUEST))
        return read_answer(connection.recv)


def test_a_running_task_ends_before_the_process_does(tmp_path: Path) -> None:
    running, may_end, answers = threading.Event(), threading.Event(), list[Done | Refused]()

    def task() -> fleet.Answer:
        running.set()
        may_end.wait()
        return fleet.Done(attempt="", statement_sha256="", bytes_in=0, bytes_out=0, seconds=0.0)

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
