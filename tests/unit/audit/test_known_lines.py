"""One comparison of a trail with lines that somebody else has."""

import pytest

from cji_core.trail.known_lines import Answer, KnownLines

ONE, OTHER = "aa" * 48, "bb" * 48
ROOT, FORKED = "11" * 32, "22" * 32


def known(pruned: int = 0) -> KnownLines:
    found = KnownLines([3, 5, 9])
    found.begin(pruned)
    for number in (3, 5):
        if number >= pruned:
            found.take(number, line_hash=ONE, root=ROOT)
    return found


@pytest.mark.parametrize(
    ("number", "line_hash", "root", "answer"),
    [
        (5, ONE, None, "same"),
        (5, None, ROOT, "same"),
        (5, ONE, ROOT, "same"),
        (5, OTHER, None, "differs"),
        (5, None, FORKED, "differs"),
        (5, OTHER, ROOT, "differs"),
        (5, ONE, FORKED, "differs"),
        (9, ONE, ROOT, "missing"),
        (0, OTHER, FORKED, "same"),
    ],
)
def test_what_somebody_else_has(number: int, line_hash: str | None, root: str | None, answer: Answer) -> None:
    assert known().compare(number, line_hash=line_hash, root=root) == answer


def test_pruned_lines_say_nothing_but_the_last_of_them() -> None:
    found = known(pruned=5)
    assert found.compare(3, root=FORKED) == "pruned"
    assert found.compare(5, root=ROOT) == "same"
    assert found.compare(5, root=FORKED) == "differs", "what is kept in their place shows it"


def test_roots_that_were_kept_give_the_same_answers() -> None:
    found = KnownLines.of_roots(known(pruned=5).roots, pruned=5)
    assert [found.compare(size, root=ROOT) for size in (3, 5, 9)] == ["pruned", "same", "missing"]
    assert found.compare(5, root=FORKED) == "differs"
    assert not found.wants(3)
    assert found.wants(5)
