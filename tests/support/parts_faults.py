"""Deaths while a job in parts runs: `python -m tests.support.parts_faults [--rows 600] [--nodes 2] [--seed 1]`.

Jobs of `link` on Dask, each of a shape that is drawn (`parts_shapes`), on nodes that plan many small tasks
(`narrow_worker`). One job for each stage and each victim: a worker of the engine, a fleet process, the keyholder of a
node, the scheduler and the conductor are killed once the stage has begun. Then fleet processes at named steps, on every
node that comes to them; then jobs with several random deaths. Every job must complete, with the outputs of one machine,
byte for byte, and one receipt that counts (`PartsBench.check`). SEED repeats the choices, not the times.

`--quiet-jobs` adds jobs in which nothing dies. A job that has not ended after `parts_bench.SECONDS` fails, and the
folder with the logs of all processes is kept and named.

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

from cji_client.seal import SealedJob
from cji_core.operations.link.stages import STAGES as LINK_STAGES
from cji_core.trail import TaskCompleted
from cji_simulator.simulation import Simulation
from cji_worker.fleet.tasks.messages import FINISH
from tests.support import (
    engine_path,  # noqa: F401
    narrow_worker,
)
from tests.support.engine_tools import engine
from tests.support.fleet_bench import Pool
from tests.support.fleet_storage import pool_storage
from tests.support.parts_bench import VICTIMS, PartsBench, of_one_machine
from tests.support.parts_pool import TASKS_SOCKET, names_of, start
from tests.support.parts_shapes import SHAPES, Shape

STAGES: Final = (*(stage.name for stage in LINK_STAGES.in_order), FINISH)
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


class Faults:
    """The bench, and the jobs that chance draws for it."""

    def __init__(self, bench: PartsBench, chance: random.Random, *, shapes: Sequence[str], rows: int) -> None:
        self._bench, self.chance, self._shapes, self._rows = bench, chance, shapes, rows
        self.counts = Counter[str]()

    def at_stage(self, stage: str, victim: str) -> str:
        """Kill `victim` once a task of the stage has begun, at the worker that began it. What the table has."""
        trails = self._bench.trails
        with self._job() as (sealed, _):
            job = names_of(sealed)
            self._bench.conduct(job)
            self._bench.during_job(lambda: trails.begun(job.job, stage), f"begins {stage}")
            self._bench.kill(victim, trails.begun(job.job, stage)[0], job)
        begun, tasks = len(trails.begun(job.job, stage)), trails.tasks(job.job, stage)
        return f"{tasks}+{begun - tasks}"

    def at_step(self, step: str) -> int:
        """Kill the fleet process of every node when it comes to this step; how many did."""
        killed = set[int]()
        with self._job() as (sealed, _), self._bench.halting_at(step):
            self._bench.conduct(names_of(sealed))

            def all_dead() -> bool:
                # several may stand still at the same moment, and there is no other one then
                halted = [member for member in self._bench.pool.members if self._bench.halted(member)]
                killed.update(member.number for member in halted if member.died())
                return len(killed) == len(self._bench.pool.members)

            self._bench.during_job(all_dead, f"ends or comes to {step}")
        return len(killed)

    def at_random(self, kills: int) -> tuple[Shape, int, Counter[str]]:
        """Kill what chance chooses, at its times, until the job ends or there were this many deaths."""
        killed = Counter[str]()
        with self._job() as (sealed, shape):
            self._bench.conduct(names_of(sealed))
            for _ in range(kills):
                time.sleep(self.chance.uniform(0.1, 3.0))
                if not self._bench.runs:
                    break
                victim = self.chance.choice(VICTIMS)
                self._bench.kill(victim, self.chance.randint(1, len(self._bench.pool.members)), names_of(sealed))
                killed[victim] += 1
        return shape, self._nodes(sealed), killed

    def quiet(self) -> tuple[Shape, int]:
        """A job in which nothing dies; how many nodes ran tasks of it."""
        with self._job() as (sealed, shape):
            self._bench.conduct(names_of(sealed))
        return shape, self._nodes(sealed)

    def _nodes(self, sealed: SealedJob) -> int:
        events = self._bench.trails.of(names_of(sealed).job)
        return len({worker for worker, event in events if isinstance(event, TaskCompleted)})

    @contextlib.contextmanager
    def _job(self) -> Iterator[tuple[SealedJob, Shape]]:
        """A job that is submitted; after the block it must complete."""
        shape = SHAPES[self.chance.choice(self._shapes)](self._rows, self.chance)
        wanted = of_one_machine(self._bench.pool, shape.records, shape.operation, sides=shape.sides)
        sealed = self._bench.submit(shape.records, shape.operation, shards=shape.shards, sides=shape.sides)
        try:
            yield sealed, shape
            self._bench.end()
            self.counts += self._bench.check(sealed, wanted)
        except BaseException:
            print(f"\nit failed: {shape}, job {names_of(sealed).job}", flush=True)
            raise
        self.counts[shape.name] += 1
        self.counts["jobs"] += 1


def run(
    faults: Faults, *, stages: Sequence[str], victims: Sequence[str], steps: Sequence[str], jobs: int, quiet: int
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
    killed = Counter[str]()
    for _ in range(jobs):
        shape, nodes, deaths = faults.at_random(6)
        print(f"{shape}: tasks on {nodes} nodes, killed {dict(deaths)}", flush=True)
        killed += deaths
    if jobs:
        print(f"at random, in {jobs} jobs: {dict(killed)}", flush=True)
    for _ in range(quiet):
        shape, nodes = faults.quiet()
        print(f"{shape}: tasks on {nodes} nodes, nobody killed", flush=True)
    counts = faults.counts
    print(
        f"{counts['jobs']} jobs ({', '.join(f'{counts[name]} {name}' for name in SHAPES)}), "
        f"{counts['receipts']} receipts ({counts['signed']} signed, the others superseded), "
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
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--nodes", type=int, default=2, choices=range(1, 8))
    parser.add_argument("--shapes", nargs="+", default=tuple(SHAPES), choices=tuple(SHAPES))
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
                Pool(
                    folder / "pool",
                    azure,
                    storage,
                    workers=options.nodes,
                    program=narrow_worker.PROGRAM,
                    tasks_socket=TASKS_SOCKET,
                )
            ) as pool,
        ):
            start(pool)
            bench = PartsBench.start(pool, made)
            run(
                Faults(bench, random.Random(seed), shapes=options.shapes, rows=options.rows),
                stages=options.stages,
                victims=options.victims,
                steps=options.steps,
                jobs=options.random_jobs,
                quiet=options.quiet_jobs,
            )


if __name__ == "__main__":
    main()
