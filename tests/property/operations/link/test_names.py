"""Names of all people: accents, other alphabets, two surnames, and names in each other's place."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cji_operations.link.columns import read_table
from tests.reference.link import people
from tests.support.accents import accented_twins
from tests.support.link_tools import linked

PAIRS = 500


def found_of(records: pa.RecordBatch, pairs: int) -> int:
    """How many of the pairs of rows 2i and 2i + 1 are matches."""
    report = linked(records).report
    match = report.pairs.weight >= report.least
    left, right = report.pairs.left[match], report.pairs.right[match]
    return int(np.count_nonzero((left % 2 == 0) & (right == left + 1) & (right < 2 * pairs)))


def test_accented_twins_are_found_as_often_as_others() -> None:
    accented = found_of(accented_twins(PAIRS, 1500, lost=True), PAIRS)
    plain = found_of(accented_twins(PAIRS, 1500, lost=False), PAIRS)
    assert plain > 0.9 * PAIRS
    assert accented >= plain - 0.01 * PAIRS


def crowd(n: int = 1_500, seed: int = 2) -> dict[str, list[Any]]:
    """Records of n persons of common names, and again those of half of them."""
    rng = np.random.default_rng(seed)
    names = [f"{a}{b}{c}" for a in "BCDFGHKLMN" for b in "aeiou" for c in ("rtin", "ller", "nez", "son", "ski", "rro")]
    given = [f"{a}{b}{c}" for a in "ABCDEGHJKL" for b in "aeiou" for c in ("nna", "rk", "lia", "ton")]
    last, first, middle = (rng.choice(some, n) for some in (names, given, given))
    born = np.datetime64("1940-01-01") + rng.integers(0, 22_000, n)
    again = np.arange(n // 2)
    who = np.concatenate([np.arange(n), again])
    return {
        "last": last[who].tolist(),
        "first": first[who].tolist(),
        "middle": [name if rng.random() < 0.6 else None for name in middle[who]],
        "DOB": [str(day) for day in born[who]],
        "SEX": rng.choice(["M", "F"], n)[who].tolist(),
    }


def weight_of(
    one: dict[str, str | None],
    other: dict[str, str | None],
    *,
    without: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
) -> float:
    """The weight of the pair of two records at the end of a crowd; -inf where it is not listed."""
    columns = crowd()
    columns |= {name: [None] * len(columns["last"]) for name in more}
    n = len(columns["last"])
    for row in (one, other):
        for name, values in columns.items():
            values.append(row.get(name))
    records = people(**{k: v for k, v in columns.items() if k not in without})
    pairs = linked(records, clerical_review_threshold=1e-9).report.pairs
    which = np.flatnonzero((pairs.left == n) & (pairs.right == n + 1))
    return float(pairs.weight[which[0]]) if len(which) else -np.inf


PERSON: dict[str, str | None] = {
    "last": "Quintanilla", "first": "Josefina", "middle": "Beatriz", "DOB": "1967-05-04", "SEX": "F",
}  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"last": "Josefina", "first": "Quintanilla"},
        {"last": "Josefina", "first": "Quintanilla", "middle": None},
        {"first": "Beatriz", "middle": "Josefina"},
        {"first": "Beatriz", "middle": None},
        {"last": "Josefina", "first": "Beatriz", "middle": "Quintanilla"},
        {"last": "Beatriz Quintanilla", "middle": None},
        {"first": "Josefina Beatriz", "middle": None},
        {"last": "Quintanilla López"},
        {"last": "de la Quintanilla"},
    ],
    ids=str,
)
def test_names_in_another_place_are_one_person(other: dict[str, str | None]) -> None:
    assert weight_of(PERSON, PERSON | other) > np.log2(9)


def test_exchanged_names_are_found_without_middle_names() -> None:
    other = PERSON | {"last": "Josefina", "first": "Quintanilla"}
    assert weight_of(PERSON, other, without=("middle",)) > np.log2(9)
    assert weight_of(PERSON, other | {"DOB": "1967-05-14"}, without=("middle",)) > 0


def test_two_surnames_are_a_set() -> None:
    names = ["García López", "López García", "García-López", "GARCIA LOPEZ", "García", "Smith"]
    person: dict[str, str | None] = {"first": "Ana", "DOB": "1971-02-03", "SEX": "F"}
    weights = [weight_of(person | {"last": names[0]}, person | {"last": name}) for name in names[1:]]
    assert min(weights[:3]) > np.log2(9)
    assert weights[3] > weights[4] + 3


@pytest.mark.parametrize("name", ["王小明", "김철수", "محمد", "Иванов", "Παπαδόπουλος"])
def test_other_alphabets_have_keys_and_codes(name: str) -> None:
    batch = people(last=[name, name, "Smith"], first=["A", "B", "C"])
    column = read_table([batch], (), frozenset(("last", "first")), linking=False).columns["last"]
    assert column.code[0] == column.code[1] != column.code[2]
    assert (column.sounds >= 0).all()
    assert column.sounds[column.code[0]] != column.sounds[column.code[2]]


def test_codes_for_unknown_are_missing() -> None:
    unknown = dict.fromkeys(("SEX", "RAC", "ETN"), "u") | {"EYE": "XXX", "HAI": "XXX", "HGT": "000", "WGT": "000"}
    batch = people(last=["A", "A"], **{name: [value, value] for name, value in unknown.items()})
    table = read_table([batch], (), frozenset(unknown), linking=False)
    assert {name: column.code.tolist() for name, column in table.columns.items()} == {
        name: [-1, -1] for name in unknown
    }
    assert not table.placeholders


def test_unknown_sex_is_no_agreement() -> None:
    weights = [weight_of(PERSON | {"SEX": sex}, PERSON | {"SEX": sex}) for sex in ("F", "U", "")]
    assert weights[1] == weights[2] < weights[0]


def test_the_order_of_weights_of_a_surname() -> None:
    """Without an accent, a name says no more than with it; a part of it less; another name is evidence against."""
    person: dict[str, str | None] = {"first": "Ana", "DOB": "1971-02-03", "SEX": "F"}
    names = ["Núñez Vaca", "Nunez Vaca", "Vaca", "Holt"]
    weights = [weight_of(person | {"last": names[0]}, person | {"last": name}) for name in names]
    assert all(a > b - 1 for a, b in pairwise(weights)), weights  # a value that is there twice is a little less rare
