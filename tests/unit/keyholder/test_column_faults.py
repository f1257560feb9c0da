"""Faulty cells of a job, named by its own header: what a cell sends are numbers, which may be any."""

import pytest

from cji_core.errors import Reason, Stage
from cji_core.format.job import Header, InputPart, SealedOutput, SizeClass, parse
from cji_worker.column_faults import ColumnRefused, refusal_at
from cji_worker.ipc.messages import CellPlace, FaultyColumn
from tests.support.column_keys import sealed
from tests.support.job_headers import make


@pytest.fixture(scope="module")
def header() -> Header:
    side = InputPart(name="link_to", schema="person/1", sealed_columns=("SOC",))
    records = InputPart(name="records", schema="person/1", sealed_columns=("DOB", "last"), shards=3)
    output = SealedOutput(output="result", column="token", column_keys=0, as_column="SOC")
    keys = sealed()
    return parse(
        make(
            inputs=[side, records],
            column_keys=[keys],
            sealed_outputs=[output],
            size_class=SizeClass.POWER_OF_TWO,
        )
    )


@pytest.mark.parametrize(
    ("place", "column"),
    [
        (CellPlace(part=0, column=0, row=5), FaultyColumn(table="link_to", column="SOC", row=5)),
        (CellPlace(part=1, column=0), FaultyColumn(table="records", column="DOB", part=0)),
        (CellPlace(part=3, column=1, row=0), FaultyColumn(table="records", column="last", part=2, row=0)),
        (CellPlace(column=0, row=9), FaultyColumn(table="result", column="token")),
        (CellPlace(part=4, column=0), None),
        (CellPlace(part=0, column=1), None),
        (CellPlace(part=1, column=2), None),
        (CellPlace(column=1), None),
        (None, None),
    ],
    ids=repr,
)
def test_a_place_has_the_names_of_the_header(
    header: Header, place: CellPlace | None, column: FaultyColumn | None
) -> None:
    found = refusal_at(place, header, Reason.COLUMN_KEY_WRONG, Stage.UNSEAL)
    assert (found.reason, found.stage) == (Reason.COLUMN_KEY_WRONG, Stage.UNSEAL)
    assert getattr(found, "column", None) == column


def test_a_place_belongs_to_two_reasons_alone(header: Header) -> None:
    place = CellPlace(part=0, column=0, row=1)
    named = {reason for reason in Reason if isinstance(refusal_at(place, header, reason, Stage.UNSEAL), ColumnRefused)}
    assert named == {Reason.COLUMN_KEY_WRONG, Reason.COLUMN_CELL_INVALID}
