"""The report: patterns that add up to weights, in words."""

import pytest

from tests.reference.link import people
from tests.support.link_tools import given_model, linked, part


def test_patterns_and_frequencies_add_up_to_weights() -> None:
    batch = people(
        first=["JOHN", "JON", "MARY", "MARY", None, "ANNA"],
        last=["SMITH", "SMITH", "JONES", "JONS", "JONES", "LEE"],
        DOB=["19800101", "19800102", "19900303", "19900303", "19900303", None],
    )
    found = linked(batch, clerical_review_threshold=1e-9)
    totals: dict[int, float] = {}
    for line in part(found, "patterns"):
        totals[line["pattern"]] = totals.get(line["pattern"], 0.0) + line["weight"]
        assert line["weight"] == 0 or line["words"]
    pairs = part(found, "pairs")
    assert len(pairs) >= 4
    for row in pairs:
        assert row["weight"] == pytest.approx(totals[row["pattern"]] + row["frequency"])
        assert row["probability"] == pytest.approx(1 / (1 + 2 ** -row["weight"]))


def test_words_say_what_a_level_weighs() -> None:
    found = linked(people(last=["SMITH", "SMITH"]), model=given_model(0.9, 0.01), clerical_review_threshold=1e-3)
    prior, line = part(found, "patterns")
    assert prior["words"] == "of two records taken at random, one pair in 100 is of one person"
    assert line["words"] == (
        "surname: the same; in 90.0 % of pairs of one person, in 1.00 % of pairs of different persons: "
        "90.0 times as likely for one person"
    )
