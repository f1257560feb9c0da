"""What operations in parts divide by values goes to its task by the keyed hash, and by nothing else."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace as replace_fields

from cji_core.format.records import METADATA_KEY, tagged
from cji_core.operations.clear import CLEAR, Clear
from cji_core.operations.link import Key, Link, Rule
from cji_core.operations.link.person_model import model_for
from cji_core.operations.link.stages import STAGES
from cji_core.operations.stages.stage import Stages
from cji_core.wire.v1 import worker_pb2 as wire
from cji_operations.kernels.hashing import BucketHash
from cji_operations.link.stages import stage_functions as link_functions
from cji_operations.registry import stage_functions
from cji_operations.stages.task import StageFunction, StageFunctions, Task
from cji_worker.cell.task_keys import bucket_hash
from tests.reference.link import people
from tests.support.clear_tools import AS_OF, batch, conviction, table
from tests.support.contexts import context, planned
from tests.support.nibrs_reports import REPORTS, lines
from tests.support.parts import shards_of
from tests.support.stage_runner import run_stages

SHARDS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An operation in parts with its records, and the edge whose streams are those of buckets of values."""

    stages: Stages
    functions: StageFunctions
    parameters: Any
    records: pa.RecordBatch
    edge: str
    value: str
    """A column of the edge: what decides; of rows of `link` their route, which sends each where its value decides."""

    def sent(self, hashed: BucketHash) -> dict[object, set[int]]:
        """The tasks to which each value went."""
        found: dict[object, set[int]] = {}

        def watched(function: StageFunction) -> StageFunction:
            return lambda task: function(_Watched(task, self, found))

        n = self.records.num_rows
        run_stages(
            self.stages,
            {name: watched(function) for name, function in self.functions.items()},
            [[shard] for shard in shards_of(self.records, [n * k // SHARDS for k in range(1, SHARDS)])],
            parameters=self.parameters,
            schema=self.records.schema,
            context=context(),
            bucket_hash=hashed,
        )
        return found


@dataclass(frozen=True, slots=True)
class _Watched:
    _task: Task
    _job: Job
    _found: dict[object, set[int]] = field(repr=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def write(self, edge: str, batch: pa.RecordBatch, *, to: int = 0) -> None:
        if edge == self._job.edge:
            for value in batch.column(self._job.value).to_pylist():
                self._found.setdefault(value, set()).add(to)
        self._task.write(edge, batch, to=to)


def _of(operation: wire.Operation, records: pa.RecordBatch, edge: str, value: str) -> Job:
    (one,) = planned([operation], records.schema.metadata[METADATA_KEY].decode()).operations
    stages = one.operation.stages(one.parameters)
    assert stages is not None
    return Job(
        stages=stages,
        functions=stage_functions(one),
        parameters=one.parameters,
        records=records,
        edge=edge,
        value=value,
    )


def _aggregate() -> Job:
    columns = {"SEX": ["M", "F"] * 60, "SID": [f"P{n % 40}" for n in range(120)]}
    schema = tagged("person/1", [pa.field(name, pa.utf8()) for name in columns])
    records = pa.RecordBatch.from_pydict(columns, schema=schema)
    parameters = wire.Aggregate(keys=[wire.GroupKey(column="SEX")], person="SID", threshold=1, base=1)
    return _of(wire.Operation(aggregate=parameters), records, "persons", "person")


def _clear() -> Job:
    records = batch([conviction(subject=f"S{n % 40}") for n in range(120)])
    return _of(CLEAR.message(Clear(table=table({}), as_of=AS_OF)), records, "histories", "subject")


def _validate() -> Job:
    segments = [line for report in REPORTS.values() for line in lines(report)]
    numbered = [line[:25] + f"{n:02d}".encode() + line[27:] for n in range(6) for line in segments if len(line) > 37]
    schema = tagged("nibrs.flat/3.1", [pa.field("segment", pa.binary())])
    records = pa.RecordBatch.from_arrays([pa.array(numbered, pa.binary())], schema=schema)
    operation = wire.Operation(validate=wire.Validate(rule_set="nibrs/3.1", as_of="2020-05-05"))
    return _of(operation, records, "reports", "beginning")


def _link(edge: str, value: str, *rules: str) -> Job:
    """A surname that two rows of three have is divided by all keys of each rule, unless it is its only one."""
    last = ["SMITH" if n % 3 else f"NAME{n}" for n in range(300)]
    born = [f"19{50 + n % 40}0{1 + n % 9}11" for n in range(300)]
    records = people(last=last, first=[f"FIRST{n % 50}" for n in range(300)], DOB=born)
    blocking = tuple(Rule(keys=tuple(Key(column=name) for name in rule.split())) for rule in rules)
    model = replace_fields(model_for(records.schema.names), blocking=blocking, relatives=None)
    parameters = Link(model=model, random_pairs=100, training_pairs=100)
    functions = link_functions(60)
    return Job(stages=STAGES, functions=functions, parameters=parameters, records=records, edge=edge, value=value)


JOBS: dict[str, Callable[[], Job]] = {
    "aggregate": _aggregate,
    "clear": _clear,
    "validate": _validate,
    "link, frequencies": lambda: _link("values", "value", "last"),
    "link, units": lambda: _link("read", "route", "last"),
    "link, slots": lambda: _link("table", "route", "last", "first", "DOB"),
    "link, heavy slots": lambda: _link("table", "route", "last first", "last DOB", "last"),
}


@pytest.mark.parametrize("name", JOBS)
def test_what_has_one_hash_goes_to_one_task(name: str) -> None:
    """Nothing else of a value decides: where all hashes are equal, so are all tasks of an edge, or of a route."""
    job = JOBS[name]()
    equal = job.sent(lambda hashes: np.full(len(hashes), 5 << 60, np.uint64))
    assert {len(tasks) for tasks in equal.values()} == {1}
    if job.value != "route":
        assert len(equal) > 10
        assert len(set[int]().union(*equal.values())) == 1


@pytest.mark.parametrize("name", JOBS)
def test_each_key_divides_values_in_another_way(name: str) -> None:
    job = JOBS[name]()
    one, other = (job.sent(bucket_hash(key * 32)) for key in (b"a", b"b"))
    assert len(set[int]().union(*one.values())) > 1
    if job.value != "route":
        assert {len(tasks) for tasks in (*one.values(), *other.values())} == {1}
        assert one.keys() == other.keys()
        moved = sum(one[value] != other[value] for value in one)
        assert moved > len(one) / 2


def _filled(hashed: BucketHash) -> list[list[int]]:
    """The slots that have units, of each key in each task that has any."""
    sent = _link("slots", "rows", "last", "first", "DOB").sent(hashed)
    every = [
        np.flatnonzero(np.array(memoryview(packed).cast("I"))).tolist() for packed in sent if isinstance(packed, bytes)
    ]
    return [slots for slots in every if slots]


def test_slots_are_counted_by_the_keyed_hash() -> None:
    """`split` looks up the tasks of slots by the same hash."""
    equal = _filled(lambda hashes: np.full(len(hashes), 5 << 60, np.uint64))
    assert equal
    assert all(slots == [5 << 10] for slots in equal)
    one, other = (_filled(bucket_hash(key * 32)) for key in (b"a", b"b"))
    assert all(len(slots) > 1 for slots in one)
    assert one != other
