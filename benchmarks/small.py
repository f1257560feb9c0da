"""`small`: jobs of a hundred rows: the whole call beside an echo, quiet and beside other load, and CPU for each job.

A call and its echo take turns, on connections of their own. Other load is one process of this benchmark that
computes without a pause, so that one of two cores is left. Then several streams send jobs that were sealed before the
clock started, each as soon as the one before it is over, and every process's CPU time is divided by the jobs.
docs/benchmarks.md defines what is inside each clock.
"""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from benchmarks.corpus import people
from benchmarks.harness import Result, percentile
from benchmarks.machine import facts
from benchmarks.pipeline import DEIDENTIFY
from benchmarks.processes import spent
from benchmarks.report import Report
from benchmarks.stand import Stand, open_stand
from benchmarks.wire import Connection, Prepared, verify

__all__ = ["CORES", "busy", "latency", "run", "streams", "turns"]

_ROWS: Final = 100
_ROOM: Final = 1 << 20
_WARM_UP: Final = 10
_CELLS: Final = 4
_STREAMS: Final = 4
_PAUSE_S: Final = 0.1
CORES: Final = 2
"""For which the rates without the client are."""


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print."""
    machine, pairs, jobs = facts(), 50 if quick else 300, 400 if quick else 2000
    report.heading("small", machine)
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    with open_stand(room=_ROOM, cells=_CELLS) as stand:
        for name, others in (("quiet", 0), ("beside_load", 1)):
            with report.doing(f"{pairs} jobs of {_ROWS} rows and their echoes, {name}"), busy(others):
                ours, echoes = turns(stand, partial(stand.prepare, people(_ROWS), DEIDENTIFY), pairs)
            figures |= latency(name, ours, echoes)
            ratios |= {
                f"p50_{name}": percentile(echoes, 50) / percentile(ours, 50),
                f"p99_{name}": percentile(echoes, 50) / percentile(ours, 99),
            }
        with report.doing(f"{jobs} jobs in {_STREAMS} streams"):
            cpu, each_s = streams(stand, partial(stand.prepare, people(_ROWS), DEIDENTIFY), jobs)
    figures |= {f"cpu_ms_{name}": milliseconds for name, milliseconds in cpu.items()}
    whole = sum(milliseconds for name, milliseconds in cpu.items() if name != "client")
    figures |= {"cpu_ms": whole, "jobs_per_s": each_s, "jobs_per_s_without_client": 1000 * CORES / whole}
    _show(report, figures)
    return Result(name="small", machine=machine, figures=figures, ratios=ratios)


@contextmanager
def busy(others: int) -> Iterator[None]:
    """Beside so many processes that compute without a pause."""
    with ExitStack() as stack:
        for _ in range(others):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def turns(stand: Stand, make: Callable[[], Prepared], pairs: int) -> tuple[list[float], list[float]]:
    """Milliseconds of calls and of their echoes."""
    found = list[tuple[float, float]]()
    for _ in range(_WARM_UP + pairs):
        prepared = make()
        seconds = stand.to_worker.call(prepared)
        with verify(stand.to_worker, prepared, stand.attested):
            pass
        found.append((1000 * seconds, 1000 * stand.to_echo.call(prepared)))
        time.sleep(_PAUSE_S)
    ours, echoes = zip(*found[_WARM_UP:], strict=True)
    return list(ours), list(echoes)


def latency(name: str, ours: Sequence[float], echoes: Sequence[float]) -> dict[str, float]:
    sides = {"": ours, "echo_": echoes}
    return {f"{side}p{rank}_{name}_ms": percentile(of, rank) for side, of in sides.items() for rank in (50, 99)}


def streams(stand: Stand, make: Callable[[], Prepared], jobs: int) -> tuple[dict[str, float], float]:
    """CPU milliseconds for each job by process, and the jobs in a second of the wall clock."""
    profile, waiting = stand.site.profile, [make() for _ in range(jobs)]
    worker = stand.site.worker
    pids = {**worker.pids, "door": worker.door.process.pid}
    failures: list[BaseException] = []
    with ExitStack() as stack:
        connections = [
            stack.enter_context(Connection(profile.target, profile.tls(), room=_ROOM)) for _ in range(_STREAMS)
        ]
        threads = [threading.Thread(target=_send, args=(stand, each, waiting, failures)) for each in connections]
        before, own, start = Counter(spent(pids)), time.process_time(), time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds, own = time.monotonic() - start, time.process_time() - own
        time.sleep(0.5)  # the last cells are wiped and waited for
        now = spent(pids)
    if failures:
        raise failures[0]
    cpu = {name: 1000 * (now[name] - before[name]) / jobs for name in now}
    return cpu | {"client": 1000 * own / jobs}, jobs / seconds


def _send(stand: Stand, connection: Connection, waiting: list[Prepared], failures: list[BaseException]) -> None:
    """Jobs one after another until none is left, or one fails."""
    try:
        while waiting and not failures:
            prepared = waiting.pop()
            connection.call(prepared)
            with verify(connection, prepared, stand.attested):
                pass
    except Exception as error:  # noqa: BLE001 - raised in the main thread
        failures.append(error)
    except IndexError:
        pass  # another stream had the last one


def _show(report: Report, figures: dict[str, float]) -> None:
    rows = []
    for name in ("quiet", "beside_load"):
        echo = figures[f"echo_p50_{name}_ms"]
        for rank in (50, 99):
            ours = figures[f"p{rank}_{name}_ms"]
            other = figures[f"echo_p{rank}_{name}_ms"]
            rows.append((f"{name.replace('_', ' ')}, p{rank}", f"{ours:.1f}", f"{other:.1f}", f"{ours / echo:.1f}"))
    report.table(f"A call of {_ROWS} rows, ms", ("", "job", "echo", "job / echo p50"), rows)
    names = [name for name in figures if name.startswith("cpu_ms_")]
    report.table(
        "CPU of each job, ms",
        ("process", "ms"),
        [(name.removeprefix("cpu_ms_"), f"{figures[name]:.2f}") for name in sorted(names, key=lambda n: -figures[n])],
    )
    report.note(
        f"the worker's processes {figures['cpu_ms']:.2f} ms for each job, which makes "
        f"{figures['jobs_per_s_without_client']:.0f} jobs a second on {CORES} cores without the client; "
        f"beside it {figures['jobs_per_s']:.0f} a second were seen"
    )
