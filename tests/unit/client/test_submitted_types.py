"""Ids come back as they were submitted: numbers as numbers of their type, texts as texts."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from cji_client.errors import Unverified
from cji_client.seal import seal
from cji_client.sources import fit
from cji_client.spec import InputSpec, decode_spec
from cji_client.submitted_types import TYPES, restore
from cji_client.verbs.link_sample import texts_of
from cji_core.command.output import write_batches
from cji_core.format.job import Header
from cji_core.format.keys import PinnedKey, new_signing_key
from cji_core.jose import key_id, public_jwk
from cji_core.operations.registry import OPERATIONS
from tests.support.job_specs import head
from tests.support.rsa_keys import rsa_key

KEY = rsa_key(bits=3072).public_key()
HEAD = head(recipient=public_jwk(KEY), kek_thumbprint=key_id(KEY))
LINK = 'kind = "link"'
TOKENS = 'kind = "deidentify"\nproject = "p"\ncolumns = {{ record_id = {rule}, SEX = "keep" }}'
COLUMNS = {"records": ("record_id", "SEX")}
INT = {"records": {"record_id": "int64"}}


def header(operation: str, sides: str = "") -> Header:
    spec = decode_spec(f'{HEAD}\n[input]\nschema = "person/1"\n{sides}\n[[operations]]\n{operation}\n')
    kek = PinnedKey(kek_id=spec.kek_id, thumbprint=spec.kek_thumbprint, public=KEY)
    return seal(spec, kek=kek, signing_key=new_signing_key(), now=datetime.now(UTC)).header


def ids(
    header: Header, numbers: dict[str, dict[str, str]], output: str, name: str, **columns: tuple[str, ...]
) -> pa.Array:
    """A column of this output with the values "7" and null, as its reader gets it."""
    batch = pa.RecordBatch.from_arrays([pa.array(["7", None])], names=[name])
    found = restore(header, {**COLUMNS, **columns}, numbers, output)(batch).column(0)
    assert found.to_pylist() in (["7", None], [7, None])
    return found


@pytest.mark.parametrize("kind", TYPES.values(), ids=str)
def test_numbers_of_every_type_make_the_round_trip(kind: pa.DataType) -> None:
    fitted = fit(pa.table({"record_id": pa.array([7, None], kind), "SEX": ["M", "F"]}), InputSpec(schema="person/1"))
    (batch,) = fitted.open().batches
    assert batch.column("record_id").to_pylist() == ["7", None]
    assert fitted.numbers == {"record_id": str(kind)}
    assert ids(header(LINK), {"records": fitted.numbers}, "pairs", "left_id").type == kind


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())], ids=str)
def test_texts_stay_texts(kind: pa.DataType) -> None:
    table = pa.table({"record_id": pa.array(["007", None]).cast(kind), "DOB": pa.array([19820214, None])})
    assert fit(table, InputSpec(schema="person/1")).numbers == {}  # a date is read as one
    assert ids(header(LINK), {}, "pairs", "left_id").type == pa.string()


@pytest.mark.parametrize(
    ("output", "name"),
    [
        *(("pairs", name) for name in ("left_id", "right_id")),
        *(("bridges", name) for name in ("left_id", "right_id")),
        *(("clusters", name) for name in ("first_id", "weakest_id")),
        ("result", "record_id"),
    ],
)
def test_every_output_of_link_has_the_ids_as_submitted(output: str, name: str) -> None:
    assert ids(header(LINK), INT, output, name).type == pa.int64()


def test_inputs_with_different_types_give_texts() -> None:
    linked = header(LINK, '[sides.link_to]\nschema = "person/1"\nfile = "x"\n')
    both = {**INT, "link_to": {"record_id": "int64"}}
    for numbers, kind in (
        (INT, pa.string()),
        (both, pa.int64()),
        ({**INT, "link_to": {"record_id": "int8"}}, pa.string()),
    ):
        assert ids(linked, numbers, "pairs", "right_id", link_to=("record_id",)).type == kind
    assert ids(linked, INT, "result", "record_id", link_to=("record_id",)).type == pa.int64()


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (TOKENS.format(rule='"keep"'), pa.int64()),
        (TOKENS.format(rule='{ do = "mask", keep_last = 1 }'), pa.string()),
        ('kind = "redact"\ncolumns = ["record_id"]', pa.string()),
        ('kind = "standardize"\ncolumns = { record_id = "zip" }', pa.string()),
        ('kind = "standardize"\ncolumns = { SEX = "zip" }', pa.int64()),
    ],
)
def test_what_an_operation_rewrites_stays_text(operation: str, kind: pa.DataType) -> None:
    assert ids(header(operation), INT, "result", "record_id").type == kind


def test_a_text_that_was_no_number_is_refused() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(["A7"])], names=["left_id"])
    with pytest.raises(Unverified, match="left_id has values that were not submitted"):
        restore(header(LINK), COLUMNS, INT, "pairs")(batch)


@pytest.mark.parametrize("kind", TYPES.values(), ids=str)
def test_files_of_text_have_the_digits(kind: pa.DataType, tmp_path: Path) -> None:
    """No id is 1e+10 in a file, which would join with nothing."""
    digits = "100" if kind.bit_width < 32 else "16777216" if kind.bit_width == 32 else "9007199254740992"
    batch = pa.RecordBatch.from_arrays([pa.array([digits])], names=["record_id"])
    restored = restore(header(LINK), COLUMNS, {"records": {"record_id": str(kind)}}, "result", as_text=True)
    write_batches(tmp_path / "ids.csv", iter([restored(batch.slice(0, 0)), restored(batch)]))
    assert (tmp_path / "ids.csv").read_text().splitlines()[1].strip('"') == digits


def test_labels_find_ids_that_are_numbers_with_a_point() -> None:
    """Label files have the digits; a result in Parquet has the type of the records."""
    assert texts_of(pa.table({"id": pa.array([1e10, None])}), "id").to_pylist() == ["10000000000", None]
    assert texts_of(pa.table({"id": pa.array([0.5])}), "id").to_pylist() == ["0.5"]


def test_operations_that_change_columns_say_so() -> None:
    """Those that take a parameter `columns` with something for each to become."""
    named = {name for name, each in OPERATIONS.items() if "columns" in each.parameters.__struct_fields__}
    assert named == {"deidentify", "redact", "standardize"}
