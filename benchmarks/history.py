"""A worker's start after a long history, and what the replay ledger adds to a job's two audit lines.

The history is an audit trail of finished jobs, one every six seconds: five million in a year. Measured in a process of
its own each time: seconds to open the trail and look one job up, and the peak of its resident memory.
"""

import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks.harness import Result
from benchmarks.machine import facts
from benchmarks.quiet import Measured, quietest
from benchmarks.report import Report
from cji_core.errors import Reason, Stage
from cji_core.strict import b64url
from cji_core.suites import Suite
from cji_core.trail import Attributed, Event, JobAdmitted, JobCompleted, JobRefused, Volumes, utc_hundredths
from cji_worker.trail.file import AuditFile

__all__ = ["NOW", "job_id", "measure_start", "run", "write_history"]

NOW: Final = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
_NOT_AFTER: Final = "2026-11-27T12:00:00.00Z"
_GAP: Final = timedelta(seconds=6.3)
_JOBS, _QUICK_JOBS = 5_000_000, 200_000
_APPENDED: Final = 2000
_STARTS: Final = 5
_WHO: Final[dict[str, Any]] = {"submitter": "metro-pd", "requesting_ori": "WI0130000", "purpose_code": "C"}
_SLOT: Final = "0" * 32
_HEADER: Final = "ab" * 48


def job_id(number: int) -> bytes:
    """The id of one job of a history: spread like random ones."""
    return hashlib.sha256(number.to_bytes(8, "big")).digest()[:16]


def write_history(path: Path, *, jobs: int, refusals: int = 0) -> None:
    """Write a trail of finished jobs, the last one now, and refusals of other job ids before them; 1.7 KB per job."""
    templates = [_template(event) for event in (_refused(), _admitted(), _completed())]
    head = b"A" * 64
    with path.open("wb", buffering=1 << 20) as file:
        path.chmod(0o600)
        for seq, (kind, number) in enumerate(_events(jobs, refusals), 1):
            moment = NOW - max(0, jobs - 1 - number) * _GAP
            before, after = templates[kind]
            event = (before + job_id(number).hex().encode() + after).replace(
                _NOT_AFTER.encode(), utc_hundredths(moment + timedelta(days=1)).encode()
            )
            time_of = utc_hundredths(moment if kind else NOW - jobs * _GAP).encode()
            body = b'{"seq":%d,"time":"%s","worker":"worker-1","prev":"%s","event":%s' % (seq, time_of, head, event)
            head = b64url(hashlib.sha384(b"cji-audit/1\0" + body).digest()).encode()
            file.write(b'%s,"hash":"%s"}\n' % (body, head))


def _events(jobs: int, refusals: int) -> Iterator[tuple[int, int]]:
    yield from ((0, jobs + number) for number in range(refusals))
    for number in range(jobs):
        yield 1, number
        yield 2, number


def _template(event: Event) -> tuple[bytes, bytes]:
    before, _, after = msgspec.json.encode(event).partition(_SLOT.encode())
    return before, after


def _refused() -> JobRefused:
    return JobRefused(
        source="ipv4:127.0.0.1:50000",
        stage=Stage.ADMIT,
        reason=Reason.POLICY_DENIED,
        correlation_id="c0ffee",
        job_id=_SLOT,
        header_sha384=_HEADER,
    )


def _admitted(job: str = _SLOT) -> JobAdmitted:
    return JobAdmitted(
        job_id=job,
        header_sha384=_HEADER,
        not_after=_NOT_AFTER,
        source="ipv4:127.0.0.1:50000",
        originating_ori="WI0130000",
        attribution=Attributed(operator_id="op-17", requestor="Det. Smith", secondary_recipient=""),
        suite=Suite.CLASSICAL_1,
        operations=("deidentify",),
        recipients=("A" * 43,),
        kek_id="https://v.vault.azure.net/keys/cmk/" + "ab" * 16,
        policy_sha384="09" * 48,
        **_WHO,
    )


def _completed(job: str = _SLOT) -> JobCompleted:
    none = Volumes(rows_in=1, rows_out=1, bytes_in=1000, bytes_out=900, chri_rows_out=0, subjects_out=1)
    return JobCompleted(
        job_id=job, header_sha384=_HEADER, duration_ms=1250, volumes=none, receipt="head.receipt.sig", **_WHO
    )


def measure_start(path: Path) -> dict[str, float]:
    """Seconds to open this trail, milliseconds to find a job, peak MiB: of a new process."""
    command = [sys.executable, "-m", "benchmarks.history", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _start(path: Path) -> dict[str, float]:
    read, began = _bytes_read(), time.perf_counter()
    with AuditFile(path, worker="worker-1", clock=lambda: NOW) as audit:
        opened, read = time.perf_counter(), _bytes_read() - read
        last = audit.last_completion()
        found = last and audit.entry(bytes.fromhex(last.job_id))
        looked = time.perf_counter()
        lines = audit.head.seq
    return {
        "start_s": opened - began,
        "find_ms": (looked - opened) * 1e3,
        "found": float(found is not None),
        "lines": float(lines),
        "read_mib": read / (1 << 20),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _bytes_read() -> int:
    """Bytes that this process has read, from the cache or from the disk."""
    return int(Path("/proc/self/io").read_text().split()[1])


def _job_ms(path: Path) -> dict[str, float]:
    """Medians of a job's two appends, of that the replay ledger's part, and of the commit of a second."""
    appends, commits = list[float](), list[float]()
    with AuditFile(path, worker="worker-1", clock=lambda: NOW) as audit:
        for number in range(_APPENDED):
            job = hashlib.sha256(b"new" + number.to_bytes(8, "big")).hexdigest()[:32]
            began = time.perf_counter()
            audit.append(_admitted(job))
            audit.append(_completed(job))
            appends.append((time.perf_counter() - began) * 1e3)
            if number % 100 == 99:
                began = time.perf_counter()
                audit.maintain()
                commits.append((time.perf_counter() - began) * 1e3)
    return {"job_ms": median(appends), "commit_ms": median(commits), "commit_max_ms": max(commits)}


def run(report: Report, *, quick: bool) -> Result:
    """Write a history, open it without and with its replay ledger, and append to it."""
    machine, jobs = facts(), _QUICK_JOBS if quick else _JOBS
    report.heading("history", machine)
    with tempfile.TemporaryDirectory() as name:
        empty, path = Path(name) / "empty.jsonl", Path(name) / "audit.jsonl"
        first = measure_start(empty)
        with report.doing(f"{jobs} jobs"):
            write_history(path, jobs=jobs)
        with report.doing("first start, which builds the replay ledger"):
            built = measure_start(path)
        window = quietest(lambda: [measure_start(path) for _ in range(_STARTS)])
        starts = window.value
        figures = {
            "jobs": float(jobs),
            "rebuild_s": built["start_s"],
            "start_s": Measured.of(median(start["start_s"] for start in starts), window.load),
            "find_ms": Measured.of(median(start["find_ms"] for start in starts), window.load),
            "read_mib": max(start["read_mib"] for start in starts),
            "peak_mib": max(start["peak_mib"] for start in starts),
            "peak_empty_mib": first["peak_mib"],
            **{f"empty_{name}": value for name, value in _job_ms(empty).items()},
            **_job_ms(path),
        }
    report.table("a start after this history, and one job's audit lines", ["", ""], _lines(figures))
    report.note("start_s must stay below 2; rebuild_s is the start after the replay ledger was lost")
    return Result(name="history", machine=machine, figures=figures, ratios={})


def _lines(figures: dict[str, float]) -> list[Sequence[str]]:
    return [(name, f"{figure:.3f}") for name, figure in figures.items()]


if __name__ == "__main__":
    print(json.dumps(_start(Path(sys.argv[1]))))
