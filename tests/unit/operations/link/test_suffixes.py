"""Suffixes of names: where they are read, what is contrary, and that they are no part of a name."""

import numpy as np
import pytest

from cji_operations.link.columns import read_table
from tests.property.operations.link.test_names import PERSON, weight_of
from tests.reference.link import people

NAMES = frozenset(("last", "first", "middle", "suffix"))


def read(**row: str | None) -> dict[str, str]:
    table = read_table([people(**{name: [value] for name, value in row.items()})], (), NAMES, linking=False)
    return {
        name: column.words.data[0].tobytes().decode().rstrip("\0")
        for name, column in table.columns.items()
        if column.code[0] >= 0
    }


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"last": "Smith Jr."}, {"last": "SMITH", "suffix": "2"}),
        ({"last": "SMITH, JR"}, {"last": "SMITH", "suffix": "2"}),
        ({"last": "Smith", "suffix": "Jr"}, {"last": "SMITH", "suffix": "2"}),
        ({"last": "Smith III", "suffix": ""}, {"last": "SMITH", "suffix": "3"}),
        ({"last": "Smith Sr", "suffix": "III"}, {"last": "SMITH", "suffix": "3"}),
        ({"last": "Smith", "suffix": "2nd"}, {"last": "SMITH", "suffix": "2"}),
        ({"last": "Smith", "suffix": "MD"}, {"last": "SMITH"}),
        ({"last": "JR"}, {"last": "JR"}),
        ({"last": "Smith V"}, {"last": "SMITH V"}),
        ({"last": "Majr"}, {"last": "MAJR"}),
        (
            {"NAM": "SMITH, JOHN ALLEN JR"},
            {"last": "SMITH", "first": "JOHN", "middle": "ALLEN", "suffix": "2"},
        ),
        ({"NAM": "SMITH JR, JOHN A"}, {"last": "SMITH", "first": "JOHN", "middle": "A", "suffix": "2"}),
        ({"NAM": "SMITH, JOHN SR."}, {"last": "SMITH", "first": "JOHN", "suffix": "1"}),
        ({"NAM": "SMITH, JOHN, IV"}, {"last": "SMITH", "first": "JOHN", "suffix": "4"}),
        ({"NAM": "SMITH"}, {"last": "SMITH"}),
    ],
    ids=str,
)
def test_a_suffix_is_read_and_is_no_part_of_a_name(row: dict[str, str], expected: dict[str, str]) -> None:
    assert read(**row) == expected


def test_contrary_suffixes_are_strong_evidence() -> None:
    def weight(one: str | None, other: str | None) -> float:
        return weight_of(PERSON | {"suffix": one}, PERSON | {"suffix": other}, more=("suffix",))

    assert weight("JR", "SR") < weight("JR", None) - 5
    assert weight("JR", "II") == weight("JR", "JR") > weight("JR", "III") + 5


def test_a_suffix_behind_the_surname_leaves_the_surname() -> None:
    one, other = PERSON | {"last": "Quintanilla Jr."}, PERSON
    assert weight_of(one, other) == pytest.approx(weight_of(other, other), abs=1)
    assert weight_of(one, PERSON | {"last": "Quintanilla Sr"}) < weight_of(one, other) - 5
    assert np.isfinite(weight_of(one, other))
