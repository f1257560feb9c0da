"""What counts a job and what takes it are one: `cji link count` accepts it if and only if the worker does."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.errors import Reason, Refusal
from cji_core.operations.link import Link
from cji_operations.link import link
from cji_operations.link.tightening import count_rules
from tests.reference.link import ignore, people
from tests.support.in_parts import ran
from tests.support.link_tools import UNITS_MODEL

_NAMES = st.sampled_from(["SMITH", "SMYTH", "JONES;LEE", "LEE", "", None])
_DATES = st.sampled_from(["19800102", "1980-01-02", "19800201", "oops", None])
_ROWS = st.lists(
    st.tuples(st.tuples(_NAMES, _NAMES, _DATES, st.sampled_from("AB")), st.sampled_from([1, 2, 20])),
    min_size=1,
    max_size=9,
)


def _batch(rows: list[tuple[tuple[str | None, ...], int]]) -> pa.RecordBatch:
    every = [row for row, times in rows for _ in range(times)]
    return people(**dict(zip(("first", "last", "DOB", "SEX"), zip(*every, strict=True), strict=True)))


def _accepted(run: Any) -> bool:
    try:
        run()
    except Refusal as refusal:
        if refusal.reason is not Reason.LIMIT_EXCEEDED:
            raise
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(
    rows=_ROWS,
    second=st.none() | _ROWS,
    pairs=st.integers(1, 120),
    block_rows=st.sampled_from([2, 5, 5_000]),
    oversized=st.sampled_from(["split", "leave_out"]),
    several=st.booleans(),
    by_default=st.booleans(),
)
def test_the_count_accepts_what_a_worker_takes(
    rows: list[tuple[tuple[str | None, ...], int]],
    second: list[tuple[tuple[str | None, ...], int]] | None,
    *,
    pairs: int,
    block_rows: int,
    oversized: str,
    several: bool,
    by_default: bool,
) -> None:
    """On one machine and in parts; deterministic rules and those of relatives are counted too."""
    batch, side = _batch(rows), None if second is None else [_batch(second)]
    parameters = Link(
        model=None if by_default else UNITS_MODEL,
        pairs=pairs,
        block_rows=block_rows,
        oversized=oversized,  # type: ignore[arg-type]
        separators={"last": ";"} if several else {},
        random_pairs=1000,
        training_pairs=1000,
    )
    counted = count_rules([batch], batch.schema, parameters, side=side).accepted
    assert _accepted(lambda: link([batch], batch.schema, parameters, ignore, side=side)) is counted
    one = None if side is None else side[0]
    assert _accepted(lambda: ran(batch, parameters, [1], side=one, rows_of_task=20)) is counted


@pytest.mark.parametrize(("pairs", "accepted"), [(435, True), (434, False)])
def test_the_command_prints_what_a_worker_does(tmp_path: Path, pairs: int, accepted: bool) -> None:
    batch = people(
        last=["SMITH"] * 30, first=[f"F{row}" for row in range(30)], SOC=[f"{row + 100}" for row in range(30)]
    )
    pyarrow.parquet.write_table(pa.Table.from_batches([batch]), tmp_path / "people.parquet")
    spec = f"""
[input]
schema = "person/1"
[[operations]]
kind = "link"
pairs = {pairs}
[operations.model]
prior = 0.01
blocking = [{{ keys = [{{ column = "last" }}] }}]
[[operations.model.comparisons]]
name = "surname"
levels = [{{ label = "the same", conditions = [{{ column = "last" }}] }}, {{ label = "different" }}]
"""
    (tmp_path / "job.toml").write_text(spec)
    arguments = ["link", "count", str(tmp_path / "people.parquet"), "--spec", str(tmp_path / "job.toml")]
    found = json.loads(CliRunner().invoke(build(AZURE_US), [*arguments, "--json"], catch_exceptions=False).output)
    shown = CliRunner().invoke(build(AZURE_US), arguments, catch_exceptions=False)
    assert found["accepted"] is accepted
    assert ("A worker refuses this job." in shown.output) is not accepted


def test_5001_equal_rows_are_accepted_as_they_are_linked() -> None:
    """The count said yes, and the worker refused a block of more rows than the limit."""
    names = ["SMITH"] * 5_001 + ["LEE"]
    batch = people(last=names, first=["ANN"] * len(names), DOB=["19800101"] * 5_001 + ["19700101"])
    assert count_rules([batch], batch.schema, Link()).accepted
    found = link([batch], batch.schema, Link(), ignore)
    assert set(found.cluster.tolist()) == {0, 5_001}
