"""Label files: what is written is read again, any bytes are a label file or refused with a line, no pair is twice."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cji_core.errors import SpecError
from cji_core.operations.link.labels import COLUMNS, Label, read_labels, write_labels

HEAD = ",".join(COLUMNS) + "\n"
_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
_IDS = _TEXTS.filter(bool)
_LABELS = st.builds(
    Label,
    left=_IDS,
    right=_IDS,
    verdict=st.sampled_from(["same", "different", "unsure", None]),
    by=_TEXTS.map(str.strip),
    at=st.sampled_from(["", "2026-11-30", "2026-11-30T12:00:00Z", "2026-11-30T12:00:00.5+01:00"]),
    note=_TEXTS,
)


def _once(labels: list[Label]) -> list[Label]:
    pairs = {frozenset((one.left, one.right)): one for one in labels if one.left != one.right}
    return [*pairs.values()]


@given(st.lists(_LABELS).map(_once))
def test_labels_are_read_as_they_were_written(labels: list[Label]) -> None:
    data = "".join(write_labels(labels)).encode()
    for form in (data, b"\xef\xbb\xbf" + data):
        assert [replace(one, line=0) for one in read_labels(form)] == labels


@given(st.lists(_LABELS, min_size=1).map(_once).filter(bool), st.data())
def test_a_pair_that_stands_twice_is_refused_with_its_line(labels: list[Label], data: st.DataObject) -> None:
    """In either order, whatever the verdicts; left and right of two tables are another pair when exchanged."""
    one = data.draw(st.sampled_from(labels))
    again = replace(one, verdict=data.draw(st.sampled_from(["same", "different", "unsure", None])))
    exchanged = replace(again, left=one.right, right=one.left)
    whole = "".join(write_labels(labels))
    line = next(each.line for each in read_labels(whole.encode()) if (each.left, each.right) == (one.left, one.right))
    for other in (again, exchanged):
        with pytest.raises(SpecError, match=rf"of (the pair of )?(which )?line {line}\b"):
            read_labels("".join(write_labels([*labels, other])).encode())
    with pytest.raises(SpecError, match="line"):
        read_labels("".join(write_labels([*labels, again])).encode(), two_tables=True)
    assert len(read_labels("".join(write_labels([*labels, exchanged])).encode(), two_tables=True)) == len(labels) + 1


@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: (HEAD + text).encode("utf-8", "replace")))
)
def test_any_bytes_are_labels_or_refused_with_a_line(data: bytes) -> None:
    try:
        labels = read_labels(data)
    except SpecError as error:
        refusal = str(error)
    else:
        assert len(read_labels("".join(write_labels(labels)).encode())) == len(labels)
        return
    assert re.search(r"line \d+", refusal)
