"""Deaths while a job in parts runs: `python -m tests.support.parts_faults [--rows 2000] [--nodes 2] [--seed 1]`.

A job of `link` on Dask for each stage and each victim: a worker of the engine, a fleet process, the keyholder of a
node, the scheduler and the conductor are killed once the stage has begun. Then fleet processes at named steps, on every
node that comes to them; then jobs with several random deaths. Every job must complete, with the outputs of one machine,
byte for byte, and one receipt that counts (`PartsBench.check`). SEED repeats the choices, not the times.

`--quiet-jobs` adds jobs in random numbers of shards in which nothing dies. A job that has not ended after
`parts_bench.SECONDS` fails, and the folder with the logs of all processes is kept and named.

In the table, `1+1` is a stage whose one task began once more.
"""

import argparse
import contextlib
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
from cji_simulator.made_up import made_up_people
from cji_simulator.simulation import Simulation

from tests.support import engine_path  # noqa: F401
from tests.support.engine_tools import engine
from tests.support.fleet_bench import Pool
from tests.support.fleet_storage import pool_storage
from tests.support.parts_bench import VICTIMS, Outputs, PartsBench, of_one_machine
from tests.support.parts_pool import TASKS_SOCKET, names_of, start
from worker.audit import TaskCompleted
from worker.client.seal import SealedJob
from worker.compute.operations.link import Link
from worker.fleet.tasks.messages import FINISH

STAGES: Final = ("count", "plan", "frequencies", "split", "observe", "train", "pairs", "cluster", "label", FINISH)
STEPS: Final = (
    "stage:other",
    "commit:other",
    "commit:other+",
    "create:other",
    "create:other+",
    "stage:parts",
    "commit:parts",
    "commit:parts+",
    "create:result-header",
    "create:receipt",
    "create:receipt+",
)
"""Of the fleet process: shuffle streams, statements and lists, output parts, the end of the job."""
_OPERATION: Final = Link(random_pairs=20_000)
_MOST_SHARDS: Final = 12


class Faults:
    """The bench, one table of records, and what one machine makes of it."""

    def __init__(self, bench: PartsBench, records: pa.Table, *, shards: int) -> None:
        self._bench, self._records, self._shards = bench, records, shards
        self._wanted: Outputs = of_one_machine(bench.pool, records, _OPERATION)
        self.counts = Counter[str]()

    def at_stage(self, stage: str, victim: str) -> str:
        """Kill `victim` once a task of the stage has begun, at the worker that began it. What the table has."""
        trails = self._bench.trails
        with self._job(self._shards) as sealed:
            job = names_of(sealed)
            self._bench.conduct(job)
            self._bench.during_job(lambda: trails.begun(job.job, stage), f"begins {stage}")
            self._bench.kill(victim, trails.begun(job.job, stage)[0], job)
        begun, tasks = len(trails.begun(job.job, stage)), trails.tasks(job.job, stage)
        return f"{tasks}+{begun - tasks}"

    def at_step(self, step: str) -> int:
        """Kill the fleet process of every node when it comes to this step; how many did."""
        killed = set[int]()
        with self._job(self._shards) as sealed, self._bench.halting_at(step):
            self._bench.conduct(names_of(sealed))

            def all_dead() -> bool:
                # several may stand still at the same moment, and there is no other one then
                halted = [member for member in self._bench.pool.members if self._bench.halted(member)]
                killed.update(member.number for member in halted if member.died())
                return len(killed) == len(self._bench.pool.members)

            self._bench.during_job(all_dead, f"ends or comes to {step}")
        return len(killed)

    def at_random(self, kills: int, chance: random.Random) -> Counter[str]:
        """Kill what chance chooses, at its times, until the job ends or there were this many deaths."""
        killed = Counter[str]()
        with self._job(self._shards) as sealed:
            self._bench.conduct(names_of(sealed))
            for _ in range(kills):
                time.sleep(chance.uniform(0.1, 3.0))
                if not self._bench.runs:
                    break
                victim = chance.choice(VICTIMS)
                self._bench.kill(victim, chance.randint(1, len(self._bench.pool.members)), names_of(sealed))
                killed[victim] += 1
        return killed

    def quiet(self, shards: int) -> int:
        """A job in this number of shards in which nothing dies; how many nodes ran tasks of it."""
        with self._job(shards) as sealed:
            self._bench.conduct(names_of(sealed))
        events = self._bench.trails.of(names_of(sealed).job)
        return len({worker for worker, event in events if isinstance(event, TaskCompleted)})

    @contextlib.contextmanager
    def _job(self, shards: int) -> Iterator[SealedJob]:
        """A job that is submitted; after the block it must complete."""
        sealed = self._bench.submit(self._records, _OPERATION, shards=shards)
        yield sealed
        self._bench.end()
        self.counts += self._bench.check(sealed, self._wanted)
        self.counts["jobs"] += 1


def run(
    faults: Faults,
    *,
    stages: Sequence[str],
    victims: Sequence[str],
    steps: Sequence[str],
    jobs: int,
    quiet: int,
    seed: int,
) -> None:
    """Everything, and the table."""
    began = time.monotonic()
    if stages:
        print("".join(f"{name:15}" for name in ("stage", *victims)), flush=True)
    for stage in stages:
        print(f"{stage:15}", end="", flush=True)
        for victim in victims:
            print(f"{faults.at_stage(stage, victim):15}", end="", flush=True)
        print(flush=True)
    missed = []
    for step in steps:
        dead = faults.at_step(step)
        print(f"{dead} fleet processes killed at {step}", flush=True)
        missed += [] if dead else [step]
    chance, killed = random.Random(seed), Counter[str]()
    for _ in range(jobs):
        killed += faults.at_random(6, chance)
    print(f"at random, in {jobs} jobs: {dict(killed)}", flush=True)
    for _ in range(quiet):
        shards = chance.randint(1, _MOST_SHARDS)
        print(f"{shards} shards, tasks on {faults.quiet(shards)} nodes, nobody killed", flush=True)
    counts = faults.counts
    print(
        f"{counts['jobs']} jobs, {counts['receipts']} receipts ({counts['signed']} signed, the others superseded), "
        f"{counts['begun']} attempts at tasks, {counts['done']} ended well; "
        f"0 lost, 0 wrong; {time.monotonic() - began:.0f} s"
    )
    if missed:
        raise SystemExit(f"nobody died at {', '.join(missed)}: no process came to these steps")


@contextlib.contextmanager
def kept_on_failure(prefix: str) -> Iterator[Path]:
    """A folder that is removed, unless the block fails: then its place is printed."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    except BaseException:
        print(f"all logs are in {folder}", flush=True)
        raise
    shutil.rmtree(folder)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--shards", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=2, choices=range(1, 8))
    parser.add_argument("--stages", nargs="*", default=STAGES, choices=STAGES)
    parser.add_argument("--victims", nargs="*", default=VICTIMS, choices=VICTIMS)
    parser.add_argument("--steps", nargs="*", default=STEPS, choices=STEPS)
    parser.add_argument("--random-jobs", type=int, default=10)
    parser.add_argument("--quiet-jobs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    print(f"SEED={seed}")
    with kept_on_failure("cji-pf-") as folder:
        for each in ("azurite", "engine"):
            (folder / each).mkdir()
        with (
            pool_storage(folder / "azurite") as storage,
            Simulation(folder / "azure", release_limit=1000, report_period=0) as azure,
            engine(folder / "engine") as made,
            contextlib.closing(
                Pool(folder / "pool", azure, storage, workers=options.nodes, tasks_socket=TASKS_SOCKET)
            ) as pool,
        ):
            start(pool)
            bench = PartsBench.start(pool, made)
            run(
                Faults(bench, made_up_people(options.rows, seed=seed), shards=options.shards),
                stages=options.stages,
                victims=options.victims,
                steps=options.steps,
                jobs=options.random_jobs,
                quiet=options.quiet_jobs,
                seed=seed,
            )


if __name__ == "__main__":
    main()
