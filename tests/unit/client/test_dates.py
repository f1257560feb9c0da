"""Dates as agencies write them: the format is stated or found, and no column of them is lost silently."""

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from cji_client.date_formats import CANDIDATES
from cji_client.errors import SpecError
from cji_client.files import read_file
from cji_client.sources import FittedSource, fit
from cji_client.spec import InputSpec


def fitted(values: Sequence[str | None], **fields: object) -> FittedSource:
    return fit(pa.table({"DOB": pa.array(values, pa.string())}), InputSpec(schema="person/1", **fields))  # type: ignore[arg-type]


def dates(values: Sequence[str | None], **fields: object) -> list[str | None]:
    found: list[str | None] = pa.Table.from_batches(fitted(values, **fields).open().batches)["DOB"].to_pylist()
    return found


@pytest.mark.parametrize(
    "values",
    [
        ["02/14/1982", "2/4/1982 0:00"],
        ["14/02/1982", "4/2/1982"],
        ["02-14-1982", "2-4-1982"],
        ["14-02-1982", "4-2-1982"],
        ["14.02.1982", "4.2.1982"],
        ["02.14.1982", "2.4.1982"],
        ["02141982", "02041982"],
        ["14021982", "04021982"],
        ["1982/02/14", "1982/2/4"],
        ["1982.02.14", "1982.2.4"],
        ["1982-02-14 00:00:00.000", "1982-2-4T00:00:00Z"],
        ["19820214 13:45", "19820204"],
        ["14-FEB-1982", "4-feb-1982"],
        ["14 February 1982", "4 Feb 1982"],
        ["14FEB1982", "04feb1982"],
        ["Feb 14, 1982", "February 4, 1982"],
        [" 02/14/1982 ", "02/04/1982 12:30 PM"],
    ],
)
def test_formats_are_found(values: Sequence[str | None]) -> None:
    assert dates([*values, None]) == ["19820214", "19820204", None]


def test_the_workers_own_forms_are_sent_as_they_are() -> None:
    values = ["1982-02-14", "19820214", "1982-02-XX", "198xXXXX", "XX", None, "1916-13-40"]
    found = fitted(values)
    assert dates(values) == values
    assert found.notes == ("DOB: 1 of 6 values cannot be read as dates and are sent as they are",)


def test_a_column_has_one_form_once_it_is_converted() -> None:
    assert dates(["02/14/1982", "1982-02-14", "19820214", "1982-02-xx", "n/a"]) == [
        "19820214", "19820214", "19820214", "198202XX", "n/a",
    ]  # fmt: skip


def test_unknown_digits_stay_unknown() -> None:
    assert dates(["XX/XX/1982", "02/XX/1982", "2/14/19XX", "12/31/1999"]) == [
        "1982XXXX", "198202XX", "19XX0214", "19991231",
    ]  # fmt: skip


def test_us_dates_are_not_lost_silently() -> None:
    """The values must decide between month and day; where they cannot, the submitter has to."""
    assert dates(["03/04/1980", "12/31/1980"]) == ["19800304", "19801231"]
    assert dates(["03/04/1980", "31/12/1980"]) == ["19800403", "19801231"]
    for values in (["03/04/1980", "05/06/1981"], ["12/31/1980", "31/12/1980"]):
        with pytest.raises(SpecError, match="DD/MM/YYYY or MM/DD/YYYY") as caught:
            fitted(values)
        assert "DOB" in str(caught.value)
        assert "date_format" in caught.value.remedy
        assert dates(values, date_format="MM/DD/YYYY")[0] in ["19800304", "19801231"]


def test_few_values_of_the_other_order_are_typing_errors() -> None:
    values: Sequence[str | None] = ["12/31/1980"] * 99 + ["31/12/1980"]
    assert dates(values) == ["19801231"] * 99 + ["31/12/1980"]
    assert fitted(values).notes[-1] == "DOB: 1 of 100 values cannot be read as dates and are sent as they are"
    with pytest.raises(SpecError, match="one order"):
        fitted([*values[:90]] + ["31/12/1980"] * 9)


@pytest.mark.parametrize("wrong", ["20010230", "20011301", "20011930", "19829999"])
def test_a_day_that_does_not_exist_is_no_day_of_another_format(wrong: str) -> None:
    """20010230 could be 20 January 230, and 20011930 in its column is a mistake, too."""
    values = ["19820214", "19990101", "20020301", wrong]
    assert dates(values) == values
    assert fitted(values).notes == ("DOB: 1 of 4 values cannot be read as dates and are sent as they are",)
    assert dates(values, date_format="DDMMYYYY")[:3] == values[:3]
    assert dates([*["19820214 13:45"] * 30, wrong]) == [*["19820214"] * 30, wrong]


def test_years_before_1800_are_in_no_format_without_separators() -> None:
    assert dates(["20010230", "14021982"], date_format="DDMMYYYY") == ["20010230", "19820214"]
    assert dates(["14021982", "04021982", "20010230"]) == ["19820214", "19820204", "20010230"]


def test_a_column_that_is_mostly_not_dates_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        fitted(["1982-02-14", "29999", None, "canary 31"])
    assert str(caught.value) == (
        "column DOB: 2 of 3 values cannot be read as dates; row 1: found 99999 (9 a digit, A a letter), "
        "wanted a date: YYYYMMDD, YYYY-MM-DD or a date_format"
    )
    assert dates(["1982-02-14", "29999"]) == ["1982-02-14", "29999"]
    assert dates(["82", "29999"], date_format="verbatim") == ["82", "29999"]
    assert dates(["82", "29999"], date_format={"DOB": "verbatim"}) == ["82", "29999"]


def test_a_stated_format_applies_and_no_other() -> None:
    assert dates(["03/04/1980", "1980-04-03"], date_format="DD/MM/YYYY") == ["19800403", "19800403"]
    with pytest.raises(SpecError, match="2 of 2"):
        fitted(["03/04/1980", "04/03/1980"], date_format="DD.MM.YYYY")
    # the same digits, another meaning: then the worker's own form does not apply
    assert dates(["1980-04-03"], date_format="YYYY-DD-MM") == ["19800304"]
    with pytest.raises(SpecError, match="1 of 1"):
        fitted(["1980-04-13"], date_format="YYYY-DD-MM")


@pytest.mark.parametrize(
    "text", ["", "MM/DD", "MM/DD/YY", "MM/DD/YYYY/DD", "MON/MM/YYYY", "%m/%d/%Y", "mm/dd/yyyy", "YYYY", "MM:DD:YYYY"]
)
def test_formats_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="date format"):
        InputSpec(schema="person/1", date_format=text)


def test_formats_are_stated_for_columns_of_dates() -> None:
    with pytest.raises(ValueError, match="SEX is not a column of dates; DOB are"):
        InputSpec(schema="person/1", date_format={"SEX": "MM/DD/YYYY"})


def test_every_column_of_dates_is_read() -> None:
    table = pa.table({"date": ["12/31/2020"], "disposition_date": ["31.12.2021"], "charge": ["12/31/2020"]})
    source = fit(table, InputSpec(schema="chri_event/1"))
    assert pa.Table.from_batches(source.open().batches).to_pydict() == {
        "date": ["20201231"],
        "disposition_date": ["20211231"],
        "charge": ["12/31/2020"],
    }
    assert source.notes == ("date: dates in MM/DD/YYYY", "disposition_date: dates in DD.MM.YYYY")


def test_bytes_are_dates_too() -> None:
    table = pa.table({"DOB": pa.array([b"12/31/2020", b"\xff", None])})
    found = pa.Table.from_batches(fit(table, InputSpec(schema="person/1")).open().batches)["DOB"]
    assert (found.type, found.to_pylist()) == (pa.binary(), [b"20201231", b"\xff", None])


def test_an_input_that_is_read_once_is_checked_to_its_end() -> None:
    batches = pa.table({"DOB": ["12/31/1980", "x", "y"]}).to_batches(max_chunksize=1)
    source = fit(iter(batches), InputSpec(schema="person/1"))
    with pytest.raises(SpecError, match="2 of 3 values cannot be read"):
        list(source.open().batches)


@pytest.mark.vectors
@pytest.mark.parametrize("form", ["{1}/{2}/{0}", "{2}.{1}.{0}", "{2}-{1}-{0}", "{0}/{1}/{2}", "{1}{2}{0}"])
def test_a_corpus_in_another_format_is_the_same_corpus(form: str) -> None:
    """Else its dates would count as missing, and linkage would lose most of its matches."""
    path = Path(os.environ["CJI_VECTORS"]) / "cji/linkage/febrl_dataset4a.csv"
    rename = {
        "given_name": "first",
        "surname": "last",
        "date_of_birth": "DOB",
        "soc_sec_id": "SOC",
        "rec_id": "record_id",
    }
    rename |= {name: name for name in ("street_number", "address_1", "address_2", "suburb", "postcode", "state")}
    spec = InputSpec(schema="person/1", rename=rename)
    given = pa.Table.from_batches(read_file(path, spec)().batches)
    born = [None if day is None else day.strip() for day in given["date_of_birth"].to_pylist()]
    other = [None if not day else form.format(day[:4], day[4:6], day[6:]) for day in born]
    at = given.schema.names.index("date_of_birth")
    plain, written = (given.set_column(at, "date_of_birth", pa.array(days)) for days in (born, other))
    found = [pa.Table.from_batches(fit(table, spec).open().batches)["DOB"].to_pylist() for table in (plain, written)]
    days = [(one, two) for one, two in zip(*found, strict=True) if one]
    assert sum(one == two for one, two in days) > 0.95 * len(days) > 4000
    assert all(one == two or two == form.format(one[:4], one[4:6], one[6:]) for one, two in days)


def test_candidates_are_distinct() -> None:
    assert len({one.text for one in CANDIDATES}) == len(CANDIDATES)
