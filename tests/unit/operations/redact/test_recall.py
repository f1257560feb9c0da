"""Recall and precision on labelled narratives, printed: 330 that are 66 in five forms, and 119 of other kinds.

Of each set a third of the texts was held out when rules were made.
"""

import pytest

from tests.support.narratives import Narrative, narratives, others
from tests.support.narratives.figures import figures, lines

LEAST = {"name": 0.96, "date": 0.93, "number": 0.99, "phone": 0.99, "address": 0.85, "plate": 0.99, "email": 0.99}
LEAST_OF_OTHERS = {"name": 0.87, "date": 0.71, "number": 0.92, "phone": 1, "address": 0.77, "plate": 0.5, "email": 1}


@pytest.mark.parametrize("held_out", [False, True], ids=["seen", "held out"])
def test_recall_of_each_class(held_out: bool, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [each for each in narratives() if each.held_out is held_out]
    assert len(texts) == (110 if held_out else 220)
    with capsys.disabled():
        precision = printed(texts, "held out" if held_out else "seen", LEAST)
    assert precision > 0.9


@pytest.mark.parametrize("held_out", [False, True], ids=["seen", "held out"])
def test_recall_in_texts_of_other_kinds(held_out: bool, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [each for each in others() if each.held_out is held_out]
    assert len(texts) == (39 if held_out else 80)
    with capsys.disabled():
        precision = printed(texts, f"of other kinds, {'held out' if held_out else 'seen'}", LEAST_OF_OTHERS)
    assert precision > 0.88


def printed(texts: list[Narrative], which: str, least: dict[str, float]) -> float:
    """Print the figures and return the share of marks that are right; at least these shares of labels are covered."""
    found = figures(texts)
    print(f"\n{len(texts)} narratives, {which}", *lines(found), sep="\n")
    for kind, share in least.items():
        assert found[kind].labels == 0 or found[kind].recall >= share, kind
    return sum(each.right for each in found.values()) / sum(each.finds for each in found.values())
