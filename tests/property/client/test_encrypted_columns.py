"""Encrypted columns on the way in and back: cells come out as they went in, documents as @azure/cosmos writes them."""

import base64
import copy
import json
from contextlib import suppress
from typing import Any, Final

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cji_client.casts import ValueMisfit
from cji_client.columns.cells import CellColumn, check_cells, decode_text, is_cell
from cji_client.columns.documents import Documents
from cji_client.errors import ClientError, ColumnError
from tests.support.cells_of_form import TOKEN, cell, columns_file

CELLS: Final = st.builds(lambda seed, blocks: cell(seed, blocks=blocks), st.integers(), st.integers(1, 6))
MARKED: Final = st.builds(lambda seed, marker: cell(seed, marker=marker), st.integers(), st.integers(2, 5))
CODINGS: Final = st.sampled_from(
    [
        lambda data: data.hex(),
        lambda data: "0x" + data.hex().upper(),
        lambda data: "0X" + data.hex(),
        lambda data: base64.b64encode(data).decode(),
    ]
)
FILE: Final = columns_file(("/ssn", "SOC"), ("/home/street", "address_1"), form="cosmos_db", rest=TOKEN)


@given(cells=st.lists(st.none() | CELLS, max_size=20), code=CODINGS, marker=st.booleans())
def test_text_and_bytes_give_the_same_cells(cells: list[bytes | None], code: Any, marker: bool) -> None:
    given_cells = [None if each is None else (b"\x05" + each if marker else each) for each in cells]
    texts = [None if each is None else code(each) for each in given_cells]
    for values, kind in ((given_cells, pa.binary()), (texts, pa.string())):
        column = CellColumn("SSN", "SOC", kind, marker=marker)
        assert column.cast.apply(pa.array(values, kind), 0).to_pylist() == given_cells


@given(
    values=st.lists(st.none() | CELLS | MARKED | st.binary(max_size=200)), marker=st.booleans(), start=st.integers(0, 9)
)
def test_the_form_of_a_column_is_that_of_each_cell(values: list[bytes | None], marker: bool, start: int) -> None:
    array = pa.array(values, pa.binary())[start:]
    expected = next(
        (at for at, each in enumerate(array.to_pylist()) if each is not None and not is_cell(each, marker=marker)), None
    )
    found = None
    try:
        check_cells(array, marker=marker)
    except ValueMisfit as misfit:
        found = misfit.index
    assert found == expected


@given(text=st.text(st.sampled_from("0123456789abcdefABxX+/=- ")) | st.text())
def test_any_text_is_read_or_is_no_cell(text: str) -> None:
    coding, data = decode_text(text)
    if data is not None:
        again = {"hexadecimal": data.hex(), "base64": base64.b64encode(data).decode()}[coding]
        assert again == (text.lower().removeprefix("0x") if coding == "hexadecimal" else text)


LEAF: Final = st.none() | MARKED.map(lambda data: base64.b64encode(data).decode())
JSON: Final = st.recursive(
    LEAF | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["street", "zip", "a/b", "~"]), inner),
    max_leaves=8,
)
DOCUMENTS: Final = st.lists(
    st.fixed_dictionaries({}, optional={"ssn": LEAF | JSON, "home": JSON, "other": JSON, "id": LEAF | JSON}), max_size=5
)


@given(documents=DOCUMENTS)
def test_any_documents_are_read_or_refused(documents: list[dict[str, Any]]) -> None:
    before = copy.deepcopy(documents)
    with suppress(ColumnError):
        found = Documents(documents, FILE)
        assert found.table.num_rows == len(documents)
        leaves = [each.get("ssn") for each in documents]
        assert [
            None if each is None else base64.b64encode(each).decode() for each in found.table["/ssn"].to_pylist()
        ] == leaves
    with suppress(ColumnError):
        left_out = Documents(documents, FILE, clear="leave_out")
        assert all(json.dumps(each.path).isascii() for each in left_out.findings)
    assert documents == before


@given(
    documents=st.lists(
        st.fixed_dictionaries({"id": st.text(max_size=3)}, optional={"token": JSON, "other": JSON}), max_size=5
    ),
    keys=st.lists(st.text(max_size=3), max_size=5),
    token=st.none() | MARKED,
)
def test_what_is_put_is_what_changes(documents: list[dict[str, Any]], keys: list[str], token: bytes | None) -> None:
    before = copy.deepcopy(documents)
    batch = pa.record_batch(
        {"record_id": pa.array(keys, pa.string()), "token": pa.array([token] * len(keys), pa.binary())}
    )
    with suppress(ClientError):
        put = list(Documents(documents, FILE, clear="leave_out").put([batch], key="record_id"))
        text = None if token is None else base64.b64encode(token).decode()
        by_id = {each["id"]: each for each in documents}
        assert put == [{**by_id[key], "token": text} for key in keys]
    assert documents == before
