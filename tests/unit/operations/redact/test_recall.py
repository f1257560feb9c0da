"""Recall and precision on 330 labelled narratives, printed; a third of the texts was held out when rules were made."""

import pytest

from tests.support.narratives import narratives
from tests.support.narratives.figures import figures, lines

LEAST = {"name": 0.96, "date": 0.93, "number": 0.99, "phone": 0.99, "address": 0.85, "plate": 0.99, "email": 0.99}


@pytest.mark.parametrize("held_out", [False, True], ids=["seen", "held out"])
def test_recall_of_each_class(held_out: bool, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [each for each in narratives() if each.held_out is held_out]
    found = figures(texts)
    with capsys.disabled():
        print(f"\n{len(texts)} narratives, {'held out' if held_out else 'seen'}", *lines(found), sep="\n")
    assert len(texts) == (110 if held_out else 220)
    for kind, least in LEAST.items():
        assert found[kind].labels == 0 or found[kind].recall >= least, kind
    assert sum(each.right for each in found.values()) / sum(each.finds for each in found.values()) > 0.9
