"""Nodes of an engine without cells: they answer on sockets for tasks, and remember what was published."""

import json
import threading
from collections import Counter
from pathlib import Path

from cji_core.errors import Reason, Refusal, Stage
from cji_worker.fleet.tasks.messages import FINISH, START, Answer, Done, Request
from cji_worker.fleet.tasks.server import Cancellation, Progressed, TaskServer, listen
from tests.support.engine_tools import EngineProcess, wait

__all__ = ["AFTER", "DIGEST", "JOB", "TASKS", "Pool", "outcome"]

JOB, DIGEST, PLAN = "0a" * 16, "0b" * 48, "0c" * 16
BEFORE = {"count": 4, "plan": 1}
AFTER = {"count": 4, "plan": 1, "split": 4, "pairs": 4}
TASKS = {(stage, number) for stage, tasks in {**AFTER, FINISH: 1}.items() for number in range(tasks)}


class Pool:
    """What several nodes have published, and how often each task ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds = 0.0
        self.published: set[tuple[str, int]] = set()
        self.ran: Counter[tuple[str, int]] = Counter()
        self.running: Counter[str] = Counter()
        self.broken: set[str] = set()
        self._lock = threading.Lock()
        self._servers: list[TaskServer] = []

    def node(self, name: str) -> Path:
        path = self.folder / f"{name}.sock"
        server = TaskServer(listen(path), lambda *arguments: self._answer(name, *arguments))
        server.start()
        self._servers.append(server)
        return path

    def close(self) -> None:
        for server in self._servers:
            server.close()

    def _answer(self, node: str, request: Request, progress: Progressed, gone: Cancellation) -> Answer:
        assert (request.job, request.header_sha384) == (JOB, DIGEST)
        if node in self.broken:
            raise Refusal(Reason.UNKNOWN_KEY, stage=Stage.ADMIT)
        key = (request.stage, request.task)
        if request.stage != START and key not in self.published:
            with self._lock:
                self.running[request.stage] += 1
            progress("compare", 50)
            if gone.wait(self.seconds):
                raise Refusal(Reason.INCOMPLETE, stage=Stage.COMPUTE)
            with self._lock:
                self.ran[key] += 1
                self.published.add(key)
        tasks = {START: BEFORE, "plan": AFTER}.get(request.stage)
        return Done(
            attempt="0d" * 16,
            statement_sha256="0e" * 32,
            bytes_in=3,
            bytes_out=2,
            seconds=self.seconds,
            tasks=tasks,
            plan=PLAN if request.stage == "plan" else None,
            rows=1000 if request.stage == START else None,
            shards=4 if request.stage == START else None,
        )


def outcome(conductor: EngineProcess) -> dict[str, object]:
    printed = wait(conductor)
    last = printed.strip().splitlines()[-1]
    found: dict[str, object] = json.loads(last)
    return found
