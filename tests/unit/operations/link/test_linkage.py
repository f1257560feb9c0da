"""`link` as a whole: what it refuses, what joins records, and that the same input gives the same bytes."""

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from cji_core.errors import Reason
from cji_core.operations.link import LINK, Comparison, Condition, Key, Level, Link, Model, Rule
from cji_core.operations.parameters import ParametersError
from cji_operations.link import link
from tests.reference.link import ignore, people
from tests.support.link_tools import ELSE, MODEL, given_model, linked, part
from tests.support.refusals import refused


@pytest.mark.parametrize(
    "model",
    [
        replace(MODEL, blocking=(Rule(keys=(Key(column="first"),)),)),
        replace(MODEL, blocking=(Rule(keys=(Key(column="last", form="year"),)),)),
        replace(
            MODEL,
            comparisons=(
                Comparison(
                    name="x",
                    levels=(
                        Level(label="x", conditions=(Condition(column="last", test="crossed", other="first"),)),
                        ELSE,
                    ),
                ),
            ),
        ),
        replace(
            MODEL,
            comparisons=(
                Comparison(
                    name="x", levels=(Level(label="x", conditions=(Condition(column="last", test="year"),)), ELSE)
                ),
            ),
        ),
    ],
)
def test_a_model_of_other_columns_is_refused(model: Model) -> None:
    with refused(Reason.BAD_PARAMETERS):
        linked(people(last=["A", "B"]), model=model)


def test_records_without_a_column_to_block_by_are_refused() -> None:
    with refused(Reason.BAD_PARAMETERS):
        linked(people(SEX=["M", "F"]))


def test_records_that_cannot_tell_how_many_match_are_refused() -> None:
    """By the worker, and with a remedy before anything is sealed. Names alone are enough."""
    with refused(Reason.BAD_PARAMETERS):
        linked(people(last=["A", "A"]))
    with pytest.raises(ParametersError) as error:
        LINK.columns(Link(), frozenset(("last", "SEX")))
    assert "prior" in error.value.remedy
    assert "cluster" in LINK.columns(Link(), frozenset(("last", "first")))
    assert "cluster" in LINK.columns(Link(model=MODEL), frozenset(("last", "SEX")))
    linked(people(last=["A", "A"], first=["B", "B"]))


@pytest.mark.parametrize("side", [None, 0, 1])
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_next_to_nothing_is_linked_with_nothing(rows: int, side: int | None) -> None:
    batch = people(last=[None] * rows, DOB=[None] * rows, SOC=[None] * rows)
    other = None if side is None else [people(last=[None] * side)]
    found = link([batch], batch.schema, Link(), ignore, side=other)
    assert found.cluster.tolist() == list(range(rows))
    assert not len(found.report.pairs)
    assert found.status.counts() == (0, 0, 0, rows)
    assert {row["pairs"] for row in part(found, "blocks")} == {0}


def test_an_empty_second_table_has_no_partners() -> None:
    batch = people(last=["SMITH", "SMITH"])
    found = link(
        [batch], batch.schema, Link(model=given_model(0.9, 0.1), clerical_review_threshold=1e-3), ignore, side=[]
    )
    assert not len(found.report.pairs)
    assert found.cluster.tolist() == [0, 1]


def test_any_bytes_are_values() -> None:
    junk = [b"\xff\xfeO'B\xc3\x28", b"", None, b"\x00", b"A\x00B", b"\n,", b"x" * 400, b"\xc3\x89", b"\xc3"]
    n = len(junk)
    columns = {
        name: pa.array([junk[(i * step) % n] for i in range(4 * n)], pa.binary())
        for step, name in enumerate(("first", "last", "DOB", "SOC", "postcode"), 1)
    }
    found = linked(pa.RecordBatch.from_pydict(columns))
    assert sum(found.status.counts()) == 4 * n
    nam = linked(pa.RecordBatch.from_pydict({"NAM": columns["first"], "DOB": columns["DOB"]}))
    assert sum(nam.status.counts()) == 4 * n


def test_a_pair_for_a_clerk_joins_nothing() -> None:
    model = replace(given_model(0.9, 0.1), prior=0.5)
    batch = people(last=["SMITH", "SMITH"])
    found = linked(batch, model=model, match=0.95, clerical_review_threshold=0.5)
    assert [row["match"] for row in part(found, "pairs")] == [False]
    assert found.cluster.tolist() == [0, 1]
    assert linked(batch, model=model, match=0.89, clerical_review_threshold=0.5).cluster.tolist() == [0, 0]


def test_the_same_input_gives_the_same_bytes() -> None:
    rng = np.random.default_rng(4)
    batch = people(
        first=rng.choice(["JOHN", "MARY", "ANNA", "BILL"], 300).tolist(),
        last=rng.choice(["SMITH", "JONES", "LEE", "SMYTH"], 300).tolist(),
        DOB=[f"19{year:02d}0101" for year in rng.integers(50, 99, 300)],
    )

    def outputs(pieces: list[pa.RecordBatch]) -> list[bytes]:
        found = link(pieces, batch.schema, Link(random_pairs=2000), ignore)
        batches = [one for part in found.report.batches().values() for one in part]
        return [found.cluster.tobytes(), *(one.serialize().to_pybytes() for one in batches)]

    assert outputs([batch]) == outputs([batch.slice(0, 70), batch.slice(70)])


def test_progress_goes_up_and_says_nothing_of_values() -> None:
    told: list[tuple[str, int]] = []
    batch = people(last=["SMITH"] * 20, first=["JOHN"] * 20)
    link([batch], batch.schema, Link(), lambda step, per_cent: told.append((step, per_cent)))
    assert [step for step, _ in told] == [
        "count",
        "train",
        "compare",
        *["compare"] * (len(told) - 5),
        "cluster",
        "cluster",
    ]
    assert [per_cent for step, per_cent in told if step == "compare"][-1] == 100
