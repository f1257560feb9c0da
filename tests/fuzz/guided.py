"""`python -m tests.fuzz.guided`: inputs that grow along the coverage of our own code, found by libFuzzer (atheris).

Every target starts from its sound inputs and from those in `tests/fuzz/corpus`, is mutated blindly and along its
structure, and runs in a process of its own. A failing input is kept in `build/fuzz`, whatever ended its process; the
last lines name each target that failed, why, and the command that reads its input again. An input may take
STUCK_SECONDS of a processor, however busy the machine is. `--keep` adds what takes new paths to the corpus.
"""

import argparse
import contextlib
import ctypes
import hashlib
import io
import mmap
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import atheris

from tests.support.paths import PACKAGES

with (
    contextlib.redirect_stderr(io.StringIO()),  # a line for each module
    atheris.instrument_imports(include=[path.name for path in PACKAGES.values()], exclude=["cji_core.wire"]),
):
    from tests.fuzz import corpus
    from tests.fuzz.engine import STUCK_SECONDS, Target, outcome
    from tests.fuzz.targets import TARGETS

FOLDER: Final = Path("build/fuzz")
_LONGEST: Final = 1 << 16
_MEMORY_MIB: Final = 4096
_FAILED: Final = 77
_LAST_LINES: Final = 12
_AT: Final = 8
_WAITING_SECONDS: Final = 10 * STUCK_SECONDS
"""An input that only waits is stuck, too."""
_ENDED: Final = {
    _FAILED: "an input failed",
    70: f"an input took more than {_WAITING_SECONDS:.0f} s",
    71: f"an input took more than {_MEMORY_MIB} MiB",
    -signal.SIGPROF: "an input took more than {:.0f} s of a processor",
}
"""Statuses of libFuzzer (its `-timeout_exitcode` and `-oom_exitcode`) and of ours."""


@dataclass(slots=True, kw_only=True)
class _Run:
    """A target at work in a child: its log, the folder of its inputs, and a copy of the input that it reads."""

    target: Target
    pid: int
    folder: Path
    began: float
    reading: "_Reading"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


class _Reading:
    """The input that a child reads, in memory that outlives it: whatever ends the child, its input is known."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _AT + _LONGEST)

    def set(self, data: bytes) -> None:
        self._shared[_AT : _AT + len(data)] = data
        self._shared[:_AT] = (len(data) + 1).to_bytes(_AT, "little")

    def clear(self) -> None:
        self._shared[:_AT] = bytes(_AT)

    def get(self) -> bytes | None:
        """None between two inputs."""
        length = int.from_bytes(self._shared[:_AT], "little")
        return self._shared[_AT : _AT + length - 1] if length else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the targets, as many at once as there are cores; 1 if one failed."""
    options = _options().parse_args(arguments)
    targets = [one for one in TARGETS if options.target is None or one.name in options.target]
    seconds = max(1.0, options.seconds * options.processes / len(targets))
    for target in targets:
        target.corpus()  # once, before the fork
    print(f"{len(targets)} targets, {seconds:.1f} s each, seed {options.seed}", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    failures, waiting, running = list[str](), list(targets), dict[int, _Run]()
    with tempfile.TemporaryDirectory(prefix="cji-guided-") as name:
        while waiting or running:
            while waiting and len(running) < options.processes:
                run = _start(waiting.pop(0), Path(name), seconds=seconds, runs=options.runs, seed=options.seed)
                running[run.pid] = run
            pid, status = os.waitpid(-1, 0)
            run = running.pop(pid)
            failures += _report(run, os.waitstatus_to_exitcode(status))
            if options.keep:
                found = [path.read_bytes() for path in (run.folder / "inputs").iterdir()]
                corpus.write(run.target.name, corpus.smallest(run.target, [*found, *corpus.read(run.target.name)]))
    if options.keep:
        subprocess.run([sys.executable, "-m", "tests.fuzz.corpus"], check=True)  # under other keys
    if failures:
        print("\n".join(["These targets failed:", *failures]), flush=True)
    return 1 if failures else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=80.0, help="for all targets together")
    parser.add_argument("--runs", type=int, default=-1, help="inputs of a target at most, the same on every machine")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of libFuzzer; the time if absent")
    parser.add_argument("--target", action="append", choices=[one.name for one in TARGETS], help="may be repeated")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--keep", action="store_true", help="add what takes new paths to the corpus, without CJI_VECTORS"
    )
    return parser


def _start(target: Target, place: Path, *, seconds: float, runs: int, seed: int) -> _Run:
    folder = place / target.name
    (folder / "inputs").mkdir(parents=True)
    for number, data in enumerate((*target.corpus(), *corpus.read(target.name))):
        (folder / "inputs" / f"{number}").write_bytes(data)
    reading = _Reading()
    began, pid = time.time(), os.fork()
    if pid == 0:
        _child(target, folder, reading, seconds=seconds, runs=runs, seed=seed)
    return _Run(target=target, pid=pid, folder=folder, began=began, reading=reading)


def _child(target: Target, folder: Path, reading: _Reading, *, seconds: float, runs: int, seed: int) -> NoReturn:
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        flags = {
            "seed": seed % (1 << 32) or 1,
            "max_total_time": max(1, round(seconds)),
            "runs": runs,
            "max_len": _LONGEST,
            "timeout": int(_WAITING_SECONDS),
            "rss_limit_mb": _MEMORY_MIB,
            "artifact_prefix": f"{FOLDER}/{target.name}-",
            "print_final_stats": 1,
        }
        command = [target.name, *(f"-{name}={value}" for name, value in flags.items()), str(folder / "inputs")]
        _end_at_exit()
        atheris.Setup(command, _reader(target, reading), custom_mutator=_mutator(target))
        atheris.Fuzz()
    finally:
        os._exit(1)  # Fuzz ends the process itself


def _end_at_exit() -> None:
    """End at exit(0), which libFuzzer calls after its last line, before Arrow waits for threads that wait, too."""
    libc = ctypes.CDLL(None)
    libc.__cxa_atexit(ctypes.cast(libc._exit, ctypes.c_void_p), ctypes.c_void_p(0), None)


def _reader(target: Target, reading: _Reading) -> Callable[[bytes], None]:
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process, also inside a library

    def read(data: bytes) -> None:
        reading.set(data)
        signal.setitimer(signal.ITIMER_PROF, STUCK_SECONDS)
        kind, detail = outcome(target, data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if kind == "failed":
            path = FOLDER / f"{target.name}-{hashlib.sha256(data).hexdigest()[:16]}"
            path.write_bytes(data)
            sys.stderr.write(f"\nfailed: {detail}\n")
            sys.stderr.flush()
            os._exit(_FAILED)  # an exception would end the process behind libFuzzer's back
        reading.clear()

    return read


def _mutator(target: Target) -> Callable[[bytes, int, int], bytes]:
    """Half of the time libFuzzer's own mutations, half of the time those that follow the structure."""
    donors = (*target.corpus(), *corpus.read(target.name))

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return bytes(atheris.Mutate(data, longest))
        return rng.choice(target.mutators)(rng, data, rng.choice(donors))[:longest]

    return mutate


def _report(run: _Run, status: int) -> list[str]:
    """Print the outcome; of a target that failed, the lines that say so once more at the end."""
    log, name = run.log, run.target.name
    states = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)/", log)
    done = re.search(r"number_of_executed_units: (\d+)", log)
    cover, features, kept = states[-1] if states else ("0", "0", "0")
    print(
        f"{name:<18}{done[1] if done else '?':>9} inputs {cover:>6} branches {features:>6} features "
        f"{kept:>5} kept  {'ok' if status == 0 and done else f'FAILED with {status}'}",
        flush=True,
    )
    if status == 0 and done:
        return []
    said = [line for line in log.splitlines() if line and not line.startswith(("#", "INFO", "WARNING"))]
    print("    " + "\n    ".join(said[-_LAST_LINES:]), flush=True)
    found = [path for path in FOLDER.glob(f"{name}-*") if path.stat().st_mtime >= run.began]
    if not found and (data := run.reading.get()) is not None:
        found = [FOLDER / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"]
        found[0].write_bytes(data)
    ended = _ENDED.get(status, f"its process ended with {status}").format(STUCK_SECONDS)
    why = next((line for line in said if line.startswith("failed: ")), ended)
    again = [f"    python -m tests.fuzz --target {name} --file {path}" for path in found]
    return [f"  {name}: {why}", *(again or ["    between two inputs"])]


if __name__ == "__main__":
    sys.exit(main())
