"""The report: patterns that add up to weights, in words."""

import pytest
from msgspec.structs import replace

from cji_core.operations.link import Link
from cji_operations.link import link
from tests.reference.link import ignore, people
from tests.support.link_tools import BY_LAST, given_model, linked, part


def test_patterns_and_frequencies_add_up_to_weights() -> None:
    batch = people(
        first=["JOHN", "JON", "MARY", "MARY", None, "ANNA"],
        last=["SMITH", "SMITH", "JONES", "JONS", "JONES", "LEE"],
        DOB=["19800101", "19800102", "19900303", "19900303", "19900303", None],
    )
    found = linked(batch, clerical_review_threshold=1e-9)
    levels = part(found, "levels")
    prior, *lines = levels
    weights = {(line["comparison"], line["level"]): line["weight"] for line in lines}
    names = list(dict.fromkeys(line["comparison"] for line in lines))
    patterns = part(found, "patterns")
    assert [row["pattern"] for row in patterns] == list(range(len(patterns)))
    for row in patterns:
        added = [weights[name, level] for name, level in zip(names, row["levels"], strict=True) if level >= 0]
        assert row["weight"] == pytest.approx(prior["weight"] + sum(added) + row["relatives"])
        assert row["words"].count(";") == len(added)
        assert row["relatives"] == 0
    pairs = part(found, "pairs")
    assert len(pairs) >= 4
    assert sum(row["pairs"] for row in patterns) == len(pairs)
    for row in pairs:
        assert row["weight"] == pytest.approx(patterns[row["pattern"]]["weight"] + row["frequency"])
        assert row["probability"] == pytest.approx(1 / (1 + 2 ** -row["weight"]))


def test_pairs_carry_the_ids_of_their_records() -> None:
    one, other = (
        people(record_id=["a", "b"], last=["SMITH", "JONES"]),
        people(record_id=["c", None], last=["LEE", "SMITH"]),
    )
    parameters = Link(model=given_model(0.9, 0.01), clerical_review_threshold=1e-3)
    both = people(record_id=["a", "b", None], last=["SMITH", "JONES", "SMITH"])
    (row,) = part(linked(both, model=parameters.model, clerical_review_threshold=1e-3), "pairs")
    assert (row["left"], row["right"], row["left_id"], row["right_id"]) == (0, 2, b"a", None)
    (row,) = part(link([one], one.schema, parameters, ignore, side=[other]), "pairs")
    assert (row["left"], row["right"], row["left_id"], row["right_id"]) == (0, 1, b"a", None)
    other = people(record_id=["c", "d"], last=["LEE", "SMITH"])
    (row,) = part(link([one], one.schema, parameters, ignore, side=[other]), "pairs")
    assert (row["left_id"], row["right_id"]) == (b"a", b"d")
    nameless = people(last=["SMITH", "SMITH"])
    (row,) = part(linked(nameless, model=parameters.model, clerical_review_threshold=1e-3), "pairs")
    assert (row["left_id"], row["right_id"]) == (None, None)


def test_words_say_what_a_level_weighs() -> None:
    found = linked(people(last=["SMITH", "SMITH"]), model=given_model(0.9, 0.01), clerical_review_threshold=1e-3)
    prior, line, _ = part(found, "levels")
    assert prior["words"] == "of two records taken at random, one pair in 100 is of one person, as the model has it"
    assert line["words"] == (
        "surname: the same; in 90.0 % of pairs of one person, in 1.00 % of pairs of different persons: "
        "90.0 times as likely for one person"
    )
    (row,) = part(found, "patterns")
    assert row["words"] == "prior -6.6; surname: the same +6.5"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["A", "A", "B", "C"], "estimated from the 1 pairs that the deterministic rules find"),
        (["A", "B", "C", "D"], "assumed, because the deterministic rules find no pair"),
    ],
)
def test_words_say_where_the_prior_comes_from(names: list[str], words: str) -> None:
    model = replace(given_model(0.9, 1e-6), prior=None, deterministic_rules=(BY_LAST,))
    assert words in part(linked(people(last=names), model=model), "levels")[0]["words"]


def test_words_say_what_relatives_take_off() -> None:
    rows = [(f"P{family}{person}", f"F{family}", f"A{family}") for family in range(20) for person in range(5)]
    first, last, address = zip(*rows, *rows[:1], strict=True)
    found = linked(people(first=first, last=last, address_1=address), clerical_review_threshold=1e-9)
    levels = {(line["comparison"], line["level"]): line for line in part(found, "levels")}
    assert "relatives" in levels["relatives", 0]["words"]
    patterns = part(found, "patterns")
    assert min(row["relatives"] for row in patterns) < -1
    for row in patterns:
        assert f"relatives {row['relatives']:+.1f}" in row["words"]
