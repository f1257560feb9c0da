"""Forms by example, values that stay, codes, changes, and an agency's table of offenses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import pyarrow as pa
import pytest

from cji_core.errors import Reason, Stage
from cji_core.format.records import SCHEMAS, RowStatus, tagged
from cji_core.operations.parameters import ParametersError
from cji_core.operations.standardize import STANDARDIZE, Code, Form, Standardize
from tests.support.contexts import context, prepare_batch
from tests.support.redact_tools import side
from tests.support.refusals import refused


def standardized(
    columns: Mapping[str, Sequence[str | None]],
    forms: dict[str, Form],
    *,
    schema_id: str = "person/1",
    offenses: pa.RecordBatch | None = None,
    binary: bool = False,
) -> tuple[dict[str, list[str | None]], RowStatus, list[dict[str, object]]]:
    """(columns of the result, status, changes)."""
    kind = SCHEMAS[schema_id].columns[next(iter(columns))].types[binary]
    schema = tagged(schema_id, [pa.field(name, kind) for name in columns])
    batch = pa.RecordBatch.from_arrays(
        [pa.array(each, pa.utf8()).cast(kind) for each in columns.values()], schema=schema
    )
    given = replace(context(), sides={"offense_codes": [offenses]} if offenses is not None else {})
    operation = prepare_batch(STANDARDIZE.message(Standardize(columns=forms)), schema_id, schema, given)
    applied = operation.apply(batch)
    applied.check(batch.num_rows)
    assert len(operation.sources) == len(operation.output_schema)
    found = {name: applied.batch.column(name).cast(pa.utf8()).to_pylist() for name in applied.batch.schema.names}
    return found, applied.status, pa.Table.from_batches(applied.parts["changes"]).to_pylist()


FORMS: list[tuple[Form, str, str]] = [
    ("address", "12 north main street, apt #4", "12 N MAIN ST APT 4"),
    ("address", "1200 E. 5th Ave., Suite 200", "1200 E 5TH AVE STE 200"),
    ("address", "100 North St", "100 NORTH ST"),
    ("address", "12 Avenue B", "12 AVENUE B"),
    ("address", "P.O. Box 9", "PO BOX 9"),
    ("address", "7 Oak Lane Northwest", "7 OAK LN NW"),
    ("address", "3 Calle Pe\u00f1a", "3 CALLE PE\u00d1A"),
    ("state", "N. Carolina", "N. Carolina"),
    ("state", "north  carolina", "NC"),
    ("state", "D.C.", "DC"),
    ("address", "POB 9", "PO BOX 9"),
    ("address", "12 Oak St Apt4B", "12 OAK ST APT 4B"),
    ("address", "12 Oak St Pine Apts", "12 OAK ST PINE APTS"),
    ("zip", "787011234", "78701-1234"),
    ("date", "2/4/1982", "19820204"),
    ("date", "Feb. 4, 1982", "19820204"),
    ("date", "4 february 1982", "19820204"),
    ("date", "1982-02-XX", "198202XX"),
    ("date", "1982-2-4", "19820204"),
    ("date", "2/4/1982 0:00", "19820204"),
    ("date", "1982-02-04T00:00:00", "19820204"),
    ("date", "1982-02-04 12:00:00 AM", "19820204"),
]


@pytest.mark.parametrize(("form", "value", "expected"), FORMS)
def test_values_in_their_form(form: Form, value: str, expected: str) -> None:
    column = {"address": "address_1", "state": "state", "zip": "postcode", "date": "DOB"}[form]
    for binary in (False, True):
        found, _, _ = standardized({column: [value]}, {column: form}, binary=binary)
        assert found == {column: [expected]}


def test_a_name_is_parted_and_written_in_order() -> None:
    found, status, changes = standardized({"NAM": ["Mr. O'Neil Jr, Se\u00e1n P."]}, {"NAM": "name"})
    assert found == {
        "NAM": ["O'NEIL, SE\u00c1N P JR"],
        "last": ["O'NEIL"],
        "first": ["SE\u00c1N"],
        "middle": ["P"],
        "suffix": ["JR"],
    }
    assert status.counts() == (1, 0, 0, 0)
    assert [(each["row"], each["column"], each["form"]) for each in changes] == [
        (0, name, "name") for name in ("NAM", "last", "first", "middle", "suffix")
    ]


@pytest.mark.parametrize("written", ["SMITH, JOHN 3RD", "SMITH 3rd, JOHN", "SMITH, JOHN, III"])
def test_a_numbered_suffix_is_a_suffix(written: str) -> None:
    found, _, _ = standardized({"NAM": [written]}, {"NAM": "name"})
    assert found == {
        "NAM": ["SMITH, JOHN III"], "last": ["SMITH"], "first": ["JOHN"], "middle": [None], "suffix": ["III"],
    }  # fmt: skip


def test_parts_that_records_have_stay() -> None:
    found, _, changes = standardized({"NAM": ["DOE, JANE", "DOE, JANE"], "first": ["Janet", ""]}, {"NAM": "name"})
    assert found["first"] == ["Janet", "JANE"]
    assert [each for each in changes if each["column"] == "first"] == [{"row": 1, "column": "first", "form": "name"}]


UNREAD: list[tuple[str, Form, str, Code]] = [
    ("NAM", "name", "John Smith", Code.NOT_A_NAME),
    ("address_1", "address", "Homeless", Code.NOT_AN_ADDRESS),
    ("state", "state", "Tejas", Code.NOT_A_STATE),
    ("postcode", "zip", "7870", Code.NOT_A_ZIP_CODE),
    ("DOB", "date", "31/12/1982", Code.NOT_READ_AS_DATE),
    ("DOB", "date", "2/30/1982", Code.NOT_READ_AS_DATE),
    ("DOB", "date", "Mayor 4, 1982", Code.NOT_READ_AS_DATE),
    ("DOB", "date", "1982-02-04T06:30:00", Code.NOT_READ_AS_DATE),
    ("NAM", "name", "SMITH, JOHN (AKA JACK)", Code.NOT_A_NAME),
    ("NAM", "name", "SMITH, JOHN;DOE, JACK", Code.NOT_A_NAME),
    ("NAM", "name", "SMITH/JONES, JANE", Code.NOT_A_NAME),
    ("NAM", "name", "SMITH, JR", Code.NOT_A_NAME),
]


@pytest.mark.parametrize(("column", "form", "value", "code"), UNREAD)
def test_a_value_that_cannot_be_read_stays(column: str, form: Form, value: str, code: Code) -> None:
    found, status, changes = standardized({column: [None, value, ""]}, {column: form})
    assert found[column] == [None, value, ""]
    assert status.counts() == (2, 1, 0, 0)
    assert (status.rows.tolist(), status.codes.tolist(), status.columns.tolist()) == ([1], [code], [0])
    assert changes == []


def test_codes_of_offenses() -> None:
    own = side("offense_codes/1", code=["pc211", "1299", None], standard=["120", "12X", "x"])
    values = ["PC211", "1299", "1201", "13a", "9999"]
    forms: dict[str, Form] = {"offense_code": "offense"}
    found, status, _ = standardized({"offense_code": values}, forms, schema_id="chri_event/2", offenses=own)
    assert found == {"offense_code": ["120", "12X", "120", "13A", "9999"]}
    assert status.codes.tolist() == [Code.UNKNOWN_OFFENSE]
    found, _, _ = standardized({"offense_code": values}, forms, schema_id="chri_event/2")
    assert found == {"offense_code": ["PC211", "120", "120", "13A", "9999"]}


def test_a_table_that_changes_a_code_twice_is_refused() -> None:
    own = side("offense_codes/1", code=["A", "B"], standard=["B", "C"])
    with refused(Reason.BAD_PARAMETERS, stage=Stage.COMPUTE):
        standardized({"offense_code": ["A"]}, {"offense_code": "offense"}, schema_id="chri_event/2", offenses=own)


def test_a_column_that_is_missing_is_refused() -> None:
    with refused(Reason.BAD_PARAMETERS, stage=Stage.COMPUTE):
        standardized({"state": ["TX"]}, {"DOB": "date"})
    with pytest.raises(ParametersError, match=r"^no column DOB$"):
        STANDARDIZE.columns(Standardize(columns={"DOB": "date"}), frozenset({"state"}))
    columns = STANDARDIZE.columns(Standardize(columns={"NAM": "name"}), frozenset({"NAM"}))
    assert columns == {"NAM", "last", "first", "middle", "suffix"}


@pytest.mark.parametrize("columns", [{"last": "name"}, {"NAM": "date"}, {"first": "state"}, {"DOB": "day"}, {}])
def test_forms_that_make_no_sense_are_refused(columns: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": "standardize", "columns": columns}, Standardize)
