"""Deaths in a pool: `python -m tests.support.fleet_faults [--workers 4] [--jobs 120] [--kills 24] [--seed 1]`.

The fleet process is killed at every named step of a job that completes and of one that is given up. Then workers and
fleet processes are killed at random while jobs run. At the end every job has exactly one receipt or one failure
receipt, its outputs open to the right records, and every attempt is in the trail of its worker, with its end
(`Pool.check`). SEED repeats the choices, not the times.
"""

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from cji_simulator.raw import until
from cji_simulator.simulation import Simulation
from tests.support.fleet_bench import Member, Pool
from tests.support.fleet_process import ENDS, STEPS
from tests.support.fleet_storage import pool_storage

_VICTIMS = ("fleet", "fleet", "fleet", "keyholder", "front", "zygote", "supervisor")
_GENEROUS_S = 300.0


def _restart(member: Member) -> None:
    if not member.died():
        member.kill_fleet()
    member.start_fleet()


def at_step(pool: Pool, member: Member, step: str, *, damaged: bool) -> None:
    """Kill the one fleet process that runs at this step, and let its job go on."""
    job = pool.seal()
    if damaged:
        pool.damage(job)
    member.start_fleet(step)
    pool.send(job)
    until(member.died, seconds=_GENEROUS_S)
    member.start_fleet()
    pool.wait(job, seconds=_GENEROUS_S)
    until(lambda: not member.unfinished(), seconds=_GENEROUS_S)
    member.kill_fleet()
    print(f"killed at {step} of a job that {'is given up' if damaged else 'completes'}", flush=True)


def at_random(pool: Pool, jobs: int, kills: int, chance: random.Random) -> Counter[str]:
    """Kill something every few seconds while jobs are submitted."""
    killed = Counter[str]()
    left = jobs
    for _ in range(kills):
        for _ in range(min(left, -(-jobs // kills))):
            pool.submit(rows=chance.choice((20, 2000, 20_000)))
            left -= 1
        time.sleep(chance.uniform(0.2, 2.0))
        member, victim = chance.choice(pool.members), chance.choice(_VICTIMS)
        if victim == "fleet":
            _restart(member)
        else:
            member.kill_worker(victim)
            member.start()
        killed[victim] += 1
        print(f"killed {victim} of worker {member.number}; {left} jobs to come", flush=True)
    pool.wait(seconds=2 * _GENEROUS_S)
    return killed


def run(pool: Pool, *, jobs: int, kills: int, chance: random.Random) -> None:
    """Everything, and the check."""
    began = time.monotonic()
    steps = [(step, False) for step in STEPS] + [(step, True) for step in ENDS]
    for number, (step, damaged) in enumerate(steps):
        at_step(pool, pool.members[number % len(pool.members)], step, damaged=damaged)
    for member in pool.members:
        member.start_fleet()
    killed = at_random(pool, max(1, jobs - len(pool.jobs)), kills, chance)
    until(lambda: not any(member.unfinished() for member in pool.members), seconds=_GENEROUS_S)
    for member in pool.members:
        member.stop()
    counts = pool.check()
    print(f"killed at each of {len(steps)} steps; at random: {dict(killed)}")
    print(f"{len(pool.jobs)} jobs: {dict(counts)}; 0 lost, 0 wrong; {time.monotonic() - began:.0f} s")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=120)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    print(f"SEED={seed}")
    with tempfile.TemporaryDirectory(prefix="cji-fleet-faults-") as name:
        folder = Path(name)
        (folder / "azurite").mkdir()
        with (
            pool_storage(folder / "azurite") as storage,
            Simulation(folder / "azure", release_limit=1000, report_period=0) as azure,
        ):
            # many tries: whoever kills a worker often must not make its jobs poison
            pool = Pool(folder / "pool", azure, storage, workers=options.workers, tries=50)
            try:
                run(pool, jobs=options.jobs, kills=options.kills, chance=random.Random(seed))
            finally:
                pool.close()


if __name__ == "__main__":
    main()
