"""`standardize` against its slow twin; standardized twice is standardized once."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.format.records import tagged
from cji_core.operations.standardize import PARTS, STANDARDIZE, Standardize
from cji_operations.standardize import forms
from tests.reference.standardize import SLOW, slow_name
from tests.support.contexts import context, prepare_batch

WORDS = {
    "address": [
        "12",
        "100",
        "5th",
        "12-B",
        "1/2",
        "N",
        "north",
        "S.",
        "west",
        "Main",
        "MAIN",
        "Elm",
        "Oak",
        "street",
        "St",
        "ST.",
        "str",
        "avenue",
        "Ave.",
        "Rd",
        "road",
        "court",
        "Ct",
        "way",
        "apt",
        "APT",
        "unit",
        "suite",
        "#",
        "#5",
        "5",
        "4B",
        "B",
        "PO",
        "P.O.",
        "Box",
        "BOX",
        "9",
        "RR",
        "HC",
        "NW",
        "southwest",
        "Calle",
        "Peña",
        ",",
        ".",
        ";",
        "&",
        "lane",
        "lake",
        "hill",
    ],
    "state": [
        "texas",
        "TX",
        "new",
        "New",
        "york",
        "York",
        "N.Y.",
        "West",
        "virginia",
        "x",
        "district",
        "of",
        "columbia",
    ],
    "zip": ["78701", "1234", "-", "78", "7870112", " ", "x"],
    "date": [
        "1982",
        "02",
        "2",
        "14",
        "4",
        "XX",
        "X",
        "1",
        "9X",
        "-",
        "/",
        "Feb",
        "FEB.",
        "february",
        ",",
        "19820214",
        "1982-02-14",
        "1982-2-4",
        " 0:00",
        "T00:00:00",
        " 12:00 AM",
        "SEPT",
        "mayor",
        "31",
        "30",
        "00",
    ],
    "name": [
        "Mr.",
        "Dr",
        "SMITH",
        "Smith",
        "O'Neil-Peña",
        "John",
        "JOHN",
        "A.",
        "a",
        "jr",
        "JR,",
        "Sr",
        "III",
        "3RD",
        "(aka",
        "X;Y",
        ",",
        ",",
        ".",
        "de",
        "la",
        ",John",
        "Doe,",
    ],
}
GAPS = {"date": ["", "", " ", "-", "/"], "zip": ["", " "]}


def texts(form: str) -> st.SearchStrategy[str]:
    gap = st.sampled_from(GAPS.get(form, [" ", " ", "  "]))
    parts = st.lists(st.tuples(st.sampled_from(WORDS[form]), gap), max_size=7)
    return parts.map(lambda each: "".join(word + blank for word, blank in each))


def kernel(form: str, values: list[str]) -> list[Any]:
    functions = {"address": forms.address, "state": forms.state, "zip": forms.zip_code, "date": forms.date}
    found = functions[form](pa.array([value.encode() for value in values], pa.binary())).to_pylist()
    return [None if each is None else each.decode() for each in found]


@pytest.mark.parametrize("form", sorted(SLOW))
@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_forms_are_those_of_the_slow_twin(form: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(texts(form), min_size=1, max_size=6))
    found = kernel(form, values)
    assert found == [SLOW[form](value) for value in values]


@settings(deadline=None, max_examples=200)
@given(st.lists(texts("name"), min_size=1, max_size=6))
def test_names_are_those_of_the_slow_twin(values: list[str]) -> None:
    found = [each.to_pylist() for each in forms.name_parts(pa.array([v.encode() for v in values], pa.binary()))]
    made = [
        None if row[0] is None else {n: part.decode() for n, part in zip(("whole", *PARTS), row, strict=True) if part}
        for row in zip(*found, strict=True)
    ]
    assert made == [slow_name(value) for value in values]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(texts("name"), texts("date"), texts("address"), st.sampled_from([None, "", "X"])), max_size=6)
)
def test_twice_is_once(rows: list[tuple[str, str, str, str | None]]) -> None:
    names = ("NAM", "DOB", "address_1", "first")
    schema = tagged("person/1", [pa.field(name, pa.utf8()) for name in names])
    batch = pa.RecordBatch.from_arrays([pa.array([row[i] for row in rows], pa.utf8()) for i in range(4)], schema=schema)
    message = STANDARDIZE.message(Standardize(columns={"NAM": "name", "DOB": "date", "address_1": "address"}))
    once = prepare_batch(message, "person/1", schema, context()).apply(batch)
    twice = prepare_batch(message, "person/1", once.batch.schema, context()).apply(once.batch)
    assert twice.batch.to_pydict() == once.batch.to_pydict()
    assert twice.status.counts() == once.status.counts()
    assert not any(each.num_rows for each in twice.parts["changes"])
