"""A soak: random faults at random steps of jobs, as root: `python -m tests.support.soak --minutes 60 --seed 1`.

One worker with everything that faults need: a disk of its own, a clock that can be moved, a caller that can go silent,
a pool ledger.
Every process is a victim at every step. It prints a line for each fault, and ends at the first that does not hold.
"""

import argparse
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from cji_simulator.simulation import Simulation
from tests.support.fault_bench import Bench
from tests.support.fault_kinds import (
    cut,
    failing_disk,
    full_disk,
    killed,
    shifted,
    slow_reader,
    small_disk,
    stopped_for,
    traces,
)
from tests.support.fleet_storage import pool_storage
from tests.support.shifted_clock import ShiftedClock
from tests.support.silent_link import SilentLink
from tests.support.steps import STEPS, Fault, Step

_VICTIMS = ("", "front", "keyholder", "zygote", "control", "supervisor")
_HOURS = 3 * 3600


def _attempt(bench: Bench, dice: random.Random, step: Step, fault: Fault, clock: ShiftedClock, disk: Path) -> None:
    match fault:
        case Fault.KILL:
            bench.attempt(step, killed(dice.choice(_VICTIMS)))
        case Fault.STOP:
            bench.attempt(step, stopped_for(dice.uniform(0.0, 2.0)))
        case Fault.SLOW_READER:
            bench.attempt(step, slow_reader(dice.uniform(0.0, 1.5)))
        case Fault.NO_SPACE:
            bench.attempt(step, full_disk(disk))
        case Fault.IO_ERROR:
            bench.attempt(step, failing_disk())
        case Fault.CLOCK_FORWARD:
            bench.attempt(step, shifted(clock, _HOURS))
        case Fault.CLOCK_BACK:
            bench.attempt(step, shifted(clock, -_HOURS))
        case Fault.HALF_OPEN:
            with SilentLink(bench.site.profile.target) as link:
                bench.attempt(step, cut(link), link=link)


def main() -> int:
    """Run the soak; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given = parser.parse_args()
    dice, end = random.Random(given.seed), time.monotonic() + 60 * given.minutes
    print(f"seed {given.seed}")
    worst, faults = 0.0, 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        azure = stack.enter_context(Simulation(folder / "azure", release_limit=1000))
        disk = stack.enter_context(small_disk(folder / "disk", mib=256))
        if disk is None or not traces():
            print("needs root, mount and strace", file=sys.stderr)
            return 2
        clock = ShiftedClock(folder)
        (folder / "storage").mkdir()
        bench = Bench(
            folder / "site",
            azure,
            audit=disk / "audit.jsonl",
            limits="idle_seconds = 2",
            under=clock.command,
            pool=stack.enter_context(pool_storage(folder / "storage")),
        )
        stack.callback(bench.close)
        while time.monotonic() < end:
            step, fault = dice.choice(STEPS), dice.choice(list(Fault))
            print(f"{faults} {fault.value} {step} ", end="", flush=True)
            _attempt(bench, dice, step, fault, clock, disk)
            worst, faults = max(worst, bench.serving_s or 0.0), faults + 1
            print(f"{bench.serving_s or 0.0:.2f} s")
    print(f"{faults} faults, SERVING again after {worst:.2f} s at worst")
    return 0


if __name__ == "__main__":
    sys.exit(main())
