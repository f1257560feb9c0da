"""Clerical review: which pairs are shown, and the label file that decisions make."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from cji_client.desk import pages, review
from cji_client.desk.review import Review
from cji_client.errors import SpecError
from cji_core.operations.link.labels import Label, read_labels, write_labels
from cji_core.page.markup import element
from tests.support.report_tools import linked, people

JOB = linked(people())


def test_decisions_are_a_label_file_and_go_on(tmp_path: Path) -> None:
    job, file = JOB, tmp_path / "labels.csv"
    review = Review(job, two_tables=False, file=file)
    assert len(review.pairs) > 1
    assert (review.decided, review.next()) == (0, 0)
    review.decide(0, "same", by="jdoe")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = Review(job, two_tables=False, file=file)
    assert (again.decided, again.verdict(0), again.next()) == (1, "same", 1)
    again.decide(0, "unsure", by="jdoe")
    again.decide(1, "different", by="jdoe")
    found = read_labels(file.read_bytes())
    assert [(each.left, each.right, each.verdict) for each in found] == [
        (review.pairs[n].left, review.pairs[n].right, verdict) for n, verdict in enumerate(("unsure", "different"))
    ]
    assert found[0].by == "jdoe"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["labels.csv"]


@pytest.mark.parametrize(("n", "verdict"), [(0, "maybe"), (-1, "same"), (10_000, "same")])
def test_no_other_verdict_or_pair_is_saved(tmp_path: Path, n: int, verdict: str) -> None:
    review = Review(JOB, two_tables=False, file=tmp_path / "labels.csv")
    with pytest.raises(SpecError, match="no such pair"):
        review.decide(n, verdict, by="")
    assert list(tmp_path.iterdir()) == []


def test_a_review_says_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Review(JOB, two_tables=False, file=tmp_path / "labels.csv")
    assert whole.more == 0
    monkeypatch.setattr(review, "MOST_PAIRS", 1)
    part = Review(JOB, two_tables=False, file=tmp_path / "labels.csv")
    assert (len(part.pairs), part.more) == (1, len(whole.pairs) - 1)
    for n in (0, None):
        shown = element("main", *pages.review("a", part, n, "", None))
        assert f"{part.more} more weigh less" in "".join(shown.itertext())


def test_a_review_needs_pairs_and_both_tables(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no pairs to decide"):
        Review(replace(JOB, outputs={}), two_tables=False, file=tmp_path / "labels.csv")
    with pytest.raises(SpecError, match="second file is not at hand"):
        Review(JOB, two_tables=True, file=tmp_path / "labels.csv")


def test_decisions_made_elsewhere_meanwhile_stay(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    review = Review(JOB, two_tables=False, file=file)
    first, second, *_ = review.pairs
    elsewhere = Label(left=first.right, right=first.left, verdict="different", note="twins")  # in the other order
    file.write_text("".join(write_labels([elsewhere])))
    review.decide(1, "same", by="jdoe")
    found = [(each.left, each.right, each.verdict, each.note) for each in read_labels(file.read_bytes())]
    assert found == [(first.right, first.left, "different", "twins"), (second.left, second.right, "same", "")]
    assert review.verdict(0) == "different"
    review.decide(0, "same", by="jdoe")
    assert [each.verdict for each in read_labels(file.read_bytes())] == ["same", "same"]


def test_a_label_that_cannot_be_read_is_not_written(tmp_path: Path) -> None:
    review = Review(JOB, two_tables=False, file=tmp_path / "labels.csv")
    review.decide(0, "same", by="jdoe")
    before = review.file.read_bytes()
    review.pairs[1] = replace(review.pairs[1], right=review.pairs[1].left)
    with pytest.raises(SpecError, match="record with itself"):
        review.decide(1, "same", by="jdoe")
    assert review.file.read_bytes() == before
    assert review.verdict(1) is None
