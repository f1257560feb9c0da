"""Run targets on mutated inputs, each target in a process of its own, and count what came out.

Input number `n` of a target depends on the seed, the target's name and `n` alone, so it can be made again. Each target
runs in a forked child: one that is ended by a signal (an abort in a library, memory, or no end within STUCK_SECONDS) is
a failure of the input that it was at, and a new child goes on behind it.
"""

import mmap
import os
import random
import resource
import signal
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import msgspec

from tests.fuzz.mutators import BYTES, Mutator

__all__ = ["Failure", "Result", "Target", "make_input", "outcome", "run"]

STUCK_SECONDS: Final = 60.0
CHUNK: Final = 500  # inputs between two reports of a child
MAX_FAILURES: Final = 20  # of one target; then it stops
_ROUNDS: Final = (1, 1, 1, 2, 3, 6)  # mutations of one input


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader of foreign bytes.

    `corpus` makes sound inputs, the first of which must be accepted. `read` returns a value or raises one of
    `refusals`. `fair` says whether an accepted input was rightly accepted: for a verifier, whether it still means what
    was signed; for a parser, whether the value says what the bytes say. `weight` is its share of all inputs.
    """

    name: str
    corpus: Callable[[], tuple[bytes, ...]]
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    fair: Callable[[bytes, object], bool]
    mutators: tuple[Mutator, ...] = BYTES
    weight: int = 20


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An input that must not have happened: a foreign exception, a wrong acceptance, the end of the process."""

    number: int
    what: str


@dataclass(slots=True, kw_only=True)
class Result:
    """The outcomes of one target. `refused` counts by what the refusal names."""

    target: str
    inputs: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, report: "_Report") -> None:
        self.inputs += report.inputs
        self.accepted += report.accepted
        self.refused.update(report.refused)
        self.failures += report.failures


class _Report(msgspec.Struct, kw_only=True):
    """What a child says every CHUNK inputs: numbers since its last report. Up to CHUNK die with it unreported."""

    inputs: int = 0
    accepted: int = 0
    refused: dict[str, int] = {}
    failures: list[Failure] = []
    died_at: int | None = None


def make_input(target: Target, *, seed: int, number: int) -> bytes:
    """Input `number` of the target. Each run forges its corpus anew, in the same shape, so the damage is the same."""
    corpus = target.corpus()
    rng = random.Random(seed << 96 | zlib.crc32(target.name.encode()) << 64 | number)
    data, donor = rng.choice(corpus), rng.choice(corpus)
    for _ in range(rng.choice(_ROUNDS)):
        data = rng.choice(target.mutators)(rng, data, donor)
    return data


def outcome(target: Target, data: bytes) -> tuple[str, str]:
    """("accepted", ""), ("refused", what it names) or ("failed", what happened)."""
    try:
        value = target.read(data)
        if not target.fair(data, value):
            return "failed", "accepted, but it does not mean what was signed or written"
    except target.refusals as refusal:
        return "refused", _named(refusal)
    except Exception as foreign:  # noqa: BLE001 - every other kind is what is looked for
        return "failed", f"foreign {type(foreign).__name__}: {str(foreign)[:200]}"
    return "accepted", ""


def _named(refusal: Exception) -> str:
    parts = [getattr(refusal, name, None) for name in ("fault", "reason", "check", "field")]
    return " ".join(str(part) for part in parts if part) or type(refusal).__name__


def run(
    target: Target,
    *,
    seed: int,
    inputs: int,
    until: float | None = None,
    report: Callable[[Result], None] = lambda _: None,
) -> Result:
    """Run inputs 0 to `inputs - 1`, or as many as there is time for before `until` (time.monotonic)."""
    result, began, start = Result(target=target.name), time.monotonic(), 0
    found, detail = outcome(target, target.corpus()[0])
    if found != "accepted":
        result.failures.append(Failure(number=-1, what=f"the sound input is {found}: {detail}"))
        return result
    while start < inputs and len(result.failures) < MAX_FAILURES:
        span, start = range(start, inputs), inputs
        for part in _in_child(target, seed=seed, span=span, until=until):
            result.add(part)
            result.seconds = time.monotonic() - began
            report(result)
            if part.died_at is not None:
                start = part.died_at + 1
    return result


def _in_child(target: Target, *, seed: int, span: range, until: float | None) -> Iterator[_Report]:
    """The reports of a child that runs `span`; behind them, if a signal ended it, one that says so."""
    at = mmap.mmap(-1, 8)  # shared with the child: the number that it is at
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as out:
                _child(target, seed=seed, span=span, at=at, until=until, out=out)
            status = 0
        except BaseException:  # noqa: BLE001 - nothing of this child may go on behind the fork
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as lines:
        for line in lines:
            yield msgspec.json.decode(line, type=_Report)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        number = int.from_bytes(at[:], "little")
        what = f"no end within {STUCK_SECONDS:.0f} s" if code == -signal.SIGALRM else f"the process ended with {code}"
        yield _Report(inputs=1, failures=[Failure(number=number, what=what)], died_at=number)


def _child(target: Target, *, seed: int, span: range, at: mmap.mmap, until: float | None, out: BinaryIO) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process, also inside a library
    report, failed = _Report(), 0
    for number in span:
        at[:] = number.to_bytes(8, "little")
        data = make_input(target, seed=seed, number=number)
        signal.setitimer(signal.ITIMER_REAL, STUCK_SECONDS)
        kind, detail = outcome(target, data)
        signal.setitimer(signal.ITIMER_REAL, 0)
        report.inputs += 1
        report.accepted += kind == "accepted"
        if kind == "refused":
            report.refused[detail] = report.refused.get(detail, 0) + 1
        elif kind == "failed":
            report.failures.append(Failure(number=number, what=detail))
            failed += 1
        if report.inputs == CHUNK or number == span[-1] or failed == MAX_FAILURES:
            out.write(msgspec.json.encode(report) + b"\n")
            out.flush()
            if failed == MAX_FAILURES or (until is not None and time.monotonic() >= until):
                return
            report = _Report()
