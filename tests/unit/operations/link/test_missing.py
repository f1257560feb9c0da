"""Placeholders: values that say nothing are missing in comparisons and keys, and their rows are partly used."""

from importlib.resources import files
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from cji_core.errors import StartupError
from cji_core.format.records import Status
from cji_core.operations.link import LINK, Key, Link, Rule
from cji_core.operations.parameters import ParametersError
from cji_core.operations.status_codes import ValueCode
from cji_core.operations.tables import load
from cji_core.operations.tables.missing import shipped
from cji_operations.link import link
from cji_operations.link.columns import read_table
from tests.reference.link import ignore, people
from tests.support.link_tools import given_model, linked

NOTHING = [
    ("SOC", ["999999999", "999-99-9999", "123456789", "078-05-1120", "111111111", "666123456", "900101234"]),
    ("DOB", ["19000101", "1900-01-01", "99999999", "00000000", "0000-00-00"]),
    ("last", ["DOE", "doe", "Unknown", "UNK", "U.N.K.", "N/A", "Unknown Male", "NAME UNKNOWN", "Not Provided"]),
    ("first", ["NFN", "Baby Boy", "BABY-BOY", "infant", "TEST"]),
    ("middle", ["UNKNOWN", "none"]),
    ("address_1", ["no address on file", "Same as above", "HOMELESS", " general delivery ", "Unknown", "TRANSIENT"]),
    ("FBI", ["9999999", "12345"]),
]
NOTHING_OF = {name: values[0] for name, values in NOTHING}
SOMETHING = [
    ("SOC", ["212456789", "2124", "899121234"]),
    ("DOB", ["19000102", "19010101"]),
    ("last", ["DOERR", "SMITH", "NA"]),
    ("first", ["JOHN", "TESS"]),
    ("address_1", ["1 HOMELESS LANE"]),
    ("FBI", ["9999998", "111"]),
]


@pytest.mark.parametrize(("column", "values"), NOTHING)
def test_a_placeholder_is_missing_and_its_row_partly_used(column: str, values: list[str]) -> None:
    batch = people(**({"last": ["A"] * len(values), "postcode": ["1"] * len(values)} | {column: values}))
    table = read_table([batch], (), frozenset((column,)), linking=False)
    assert table.columns[column].code.tolist() == [-1] * len(values)
    rules = (Rule(keys=(Key(column=column), Key(column="postcode"))), Rule(keys=(Key(column="postcode"),)))
    found = linked(batch, model=replace(given_model(0.9, 0.1), blocking=rules))
    partly = found.status.rows[found.status.codes == ValueCode.PLACEHOLDER]
    assert partly.tolist() == list(range(len(values)))
    assert set(found.status.status.tolist()) == {Status.PARTLY_USED}
    assert found.report.blocks[0][1].pairs == 0


@pytest.mark.parametrize("column", ["last", "address_1", "city", "postcode", "SEX", "OLN"])
def test_signs_alone_are_no_value(column: str) -> None:
    table = read_table(
        [people(**{column: ["?", "-", "..", " / ", "\u2014", "A1"]})], (), frozenset((column,)), linking=False
    )
    assert table.columns[column].code.tolist()[:5] == [-1] * 5
    assert not table.placeholders


@pytest.mark.parametrize(("column", "values"), SOMETHING)
def test_a_value_that_is_like_one_is_kept(column: str, values: list[str]) -> None:
    table = read_table([people(**{column: values})], (), frozenset((column,)), linking=False)
    assert sorted(table.columns[column].code.tolist()) == list(range(len(values)))
    assert not table.placeholders


OWN = {"last": ("Ghost",), "DOB": ("1977-07-07",), "SOC": ("555-44-3333",), "address_1": ("city jail",)}
OF_ROWS = {"last": "GHOST", "DOB": "19770707", "SOC": "555443333", "address_1": "City Jail"}


@pytest.mark.parametrize("column", OWN)
def test_a_job_has_placeholders_of_its_own(column: str) -> None:
    """Beside those of the table, in any form that the column is compared in; missing in keys too."""
    rows = {"last": ["A"] * 3, "postcode": ["1"] * 3} | {column: [OF_ROWS[column], NOTHING_OF[column], "19800203"]}
    rules = (Rule(keys=(Key(column=column), Key(column="postcode"))), Rule(keys=(Key(column="postcode"),)))
    model = replace(given_model(0.9, 0.1), blocking=rules)
    for own, partly in ((OWN, [0, 1]), ({}, [1])):
        found = linked(people(**rows), model=model, placeholders={column: own[column]} if own else {})
        assert found.status.rows[found.status.codes == ValueCode.PLACEHOLDER].tolist() == partly


def test_placeholders_of_a_job_are_texts_of_columns() -> None:
    wrong: list[object] = [{"SOC": ["123", 5]}, {"SOC": []}, {"": ["1"]}, {"SOC": [""]}, {"SOC": "123"}, ["SOC"]]
    for each in wrong:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"kind": "link", "placeholders": each}, Link)
    with pytest.raises(ParametersError, match="no column MNU"):
        LINK.columns(Link(placeholders={"MNU": ("0",)}), frozenset({"last", "first"}))
    assert LINK.columns(Link(placeholders={"last": ("GHOST",)}), frozenset({"NAM"}))


def crowd(n: int, seed: int = 3) -> dict[str, list[str | None]]:
    """Records of n persons, and again those of half of them."""
    rng = np.random.default_rng(seed)
    who = np.concatenate([np.arange(n), np.arange(n // 2)])
    last = [f"{a}{b}{c}" for a in "BCDFGHKLMN" for b in "aeiou" for c in ("rtin", "ller", "son", "ski", "rro")]
    return {
        "last": rng.choice(last, n)[who].tolist(),
        "first": rng.choice(["John", "Mary", "Ann", "Paul", "Lisa", "Mark"], n)[who].tolist(),
        "DOB": [str(day) for day in (np.datetime64("1940-01-01") + rng.integers(0, 22_000, n))[who]],
        "SOC": [f"{number:09d}" for number in rng.integers(10**8, 6 * 10**8, n)[who]],
        "address_1": [f"{number} Elm Street" for number in rng.integers(1, 900, n)[who]],
    }


def test_two_john_doe_are_no_match() -> None:
    rows = crowd(600)
    doe = {"last": "DOE", "first": "JOHN", "DOB": "19000101", "SOC": "999999999", "address_1": "HOMELESS"}
    for name, value in doe.items():
        rows[name] += [value] * 2
    found = linked(people(**rows))
    assert found.cluster[-1] != found.cluster[-2]
    pairs = found.report.pairs
    assert not ((pairs.left == len(rows["last"]) - 2) & (pairs.weight > 0)).any()


def test_an_agency_adds_its_own_placeholders(tmp_path: Path) -> None:
    text = (files("cji_core.operations.tables") / "missing.toml").read_text()
    (tmp_path / "missing.toml").write_text(text.replace('"DOE", ', '"DOE", "ZZTOP", '))
    own = load(tmp_path).missing
    batch = people(last=["zztop", "zz-top", "Smith"])
    assert load().missing == shipped()
    names = frozenset(("last",))
    assert read_table([batch], (), names, linking=False, missing=own).columns["last"].code[0] == -1
    assert (read_table([batch], (), names, linking=False).columns["last"].code >= 0).all()
    rows = crowd(300)
    whole = people(**(rows | {"last": ["ZZTOP", *rows["last"][1:]]}))
    status = link([whole], whole.schema, Link(), ignore, missing=own).status
    assert status.rows[status.codes == ValueCode.PLACEHOLDER].tolist() == [0]


@pytest.mark.parametrize("wrong", ['SOCK = ["1"]', 'SEX = [""]', "SEX = 1"])
def test_a_table_that_makes_no_sense(wrong: str, tmp_path: Path) -> None:
    text = (files("cji_core.operations.tables") / "missing.toml").read_text().replace("SEX =", "county =", 1)
    (tmp_path / "missing.toml").write_text(text.replace("[unknown]", f"[unknown]\n{wrong}"))
    with pytest.raises(StartupError, match="missing"):
        load(tmp_path)
