"""A schema is a closed list: what it does not name is refused."""

import pyarrow as pa
import pytest

from cji_core.errors import Reason, Stage
from cji_core.format.records import EVERY, SCHEMAS, DataClass, RecordSchema, check_schema, columns, data_classes, tagged
from cji_core.format.records.declared import BINARY, UTF8
from tests.support.refusals import refused

TEXT = pa.utf8()


def fields(*names: str, data_type: pa.DataType = TEXT) -> list[pa.Field]:
    return [pa.field(name, data_type) for name in names]


def test_some_columns_in_any_order_and_either_text_type() -> None:
    check_schema("person/1", tagged("person/1", [*fields("SOC", "last"), pa.field("DOB", pa.binary())]))
    check_schema("hotfile/1", tagged("hotfile/1", fields("NIC", "NAM", "DOB")))
    check_schema("chri_event/1", tagged("chri_event/1", [*fields("subject"), pa.field("sealed", pa.bool_())]))
    check_schema("nibrs.flat/3.1", tagged("nibrs.flat/3.1", fields("segment", data_type=pa.binary())))


@pytest.mark.parametrize(
    ("schema_id", "schema"),
    [
        ("person/2", tagged("person/2", fields("last"))),
        ("person/1", tagged("hotfile/1", fields("last"))),
        ("person/1", pa.schema(fields("last"))),
        ("person/1", tagged("person/1", [])),
        ("person/1", tagged("person/1", fields("last", "shoe_size"))),
        ("person/1", tagged("person/1", fields("last", "last"))),
        ("person/1", tagged("person/1", fields("LAST"))),
        ("person/1", tagged("person/1", fields("last", data_type=pa.large_utf8()))),
        ("person/1", tagged("person/1", fields("last", data_type=pa.dictionary(pa.int8(), pa.utf8())))),
        ("person/1", tagged("person/1", fields("DOB", data_type=pa.date32()))),
        ("nibrs.flat/3.1", tagged("nibrs.flat/3.1", fields("segment"))),
        ("row_status/1", tagged("row_status/1", fields("row", data_type=pa.uint64()))),
    ],
)
def test_anything_else_is_a_mismatch(schema_id: str, schema: pa.Schema) -> None:
    with refused(Reason.SCHEMA_MISMATCH):
        check_schema(schema_id, schema)


def test_every_column_has_a_class_and_hotfile_extends_person() -> None:
    assert set(SCHEMAS["person/1"].columns) < set(SCHEMAS["hotfile/1"].columns)
    assert SCHEMAS["person/1"].columns["SOC"].data_class is DataClass.BIOGRAPHIC
    assert SCHEMAS["chri_event/1"].columns["charge"].data_class is DataClass.IDENTITY_HISTORY


def test_the_classes_of_a_job_follow_from_its_schemas() -> None:
    """As a policy sees them: no column without a class gets in, whether its records have it or not."""
    accepted = [schema for schema in SCHEMAS.values() if not schema.output_only]
    assert all(column.data_class is not DataClass.NONE for schema in accepted for column in schema.columns.values())
    for schema in accepted:
        assert data_classes([schema.schema_id]) == {column.data_class for column in schema.columns.values()}
    person = data_classes(["person/1"])
    assert person == {DataClass.BIOGRAPHIC, DataClass.CONTROL_NUMBER}
    assert data_classes(["person/1", "hotfile/1"]) == person | {DataClass.CASE, DataClass.PROPERTY}
    assert not data_classes([])
    with refused(Reason.SCHEMA_MISMATCH, stage=Stage.ADMIT):
        data_classes(["person/1", "person/9"])


def test_outputs_have_text_unless_an_input_has_bytes() -> None:
    output = RecordSchema.output(
        "ids/1",
        columns(DataClass.CONTROL_NUMBER, "id", BINARY, of="SID FBI", required=True),
        columns(DataClass.CONTROL_NUMBER, "any", BINARY, of=EVERY),
        columns(DataClass.CASE, "digest", BINARY),
        columns(DataClass.CASE, "words", UTF8),
    )
    for inputs, wanted in (
        ([], (TEXT, TEXT)),
        ([pa.schema(fields("SID", "FBI"))], (TEXT, TEXT)),
        ([pa.schema([*fields("SID"), *fields("last", data_type=pa.binary())])], (TEXT, pa.binary())),
        ([pa.schema(fields("SID")), pa.schema(fields("FBI", data_type=pa.binary()))], (pa.binary(), pa.binary())),
    ):
        made = output.made_from(inputs)
        assert tuple(made.types) == (*wanted, pa.binary(), TEXT)
        assert [field.nullable for field in made] == [False, True, True, True]
        assert made.metadata == output.arrow.metadata
    assert output.made_from([pa.schema(fields("SID", data_type=pa.binary()))]).equals(output.arrow, check_metadata=True)
