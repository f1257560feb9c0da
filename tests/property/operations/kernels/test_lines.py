"""Lines of a flat file beside what Python splits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.column import Text
from cji_core.format.records.lines import matrix, slots, split, trimmed
from tests.support.fixed_width import column


@given(st.binary(max_size=200))
def test_lines_are_those_that_python_splits(data: bytes) -> None:
    text = split(np.frombuffer(data, np.uint8))
    expected = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if not data or data.endswith(b"\n"):
        expected.pop()
    found = [
        data[start : start + length] for start, length in zip(text.starts.tolist(), text.lengths.tolist(), strict=True)
    ]
    assert found == expected


@given(st.lists(st.binary(max_size=12)), st.sampled_from([b"", b"\n", b"\r\n", b"\r"]))
def test_values_lose_their_line_end(rows: list[bytes], end: bytes) -> None:
    whole = [row + end for row in rows]
    lengths = np.array([len(row) for row in whole], np.int64)
    data = np.frombuffer(b"".join(whole), np.uint8)
    text = trimmed(Text(data=data, starts=np.cumsum(lengths) - lengths, lengths=lengths))
    assert text.lengths.tolist() == [len(row.removesuffix(b"\n").removesuffix(b"\r")) for row in whole]


@given(st.lists(st.binary(max_size=12), max_size=10), st.integers(1, 14), st.randoms())
def test_a_matrix_is_filled_up_with_blanks(rows: list[bytes], width: int, random: object) -> None:
    lengths = np.array([len(row) for row in rows], np.int64)
    text = Text(data=np.frombuffer(b"".join(rows), np.uint8), starts=np.cumsum(lengths) - lengths, lengths=lengths)
    picked = np.arange(len(rows))[::-1]
    found = [bytes(row) for row in matrix(text, picked, width)]
    assert found == [rows[i][:width].ljust(width) for i in picked.tolist()]


@given(
    st.lists(st.text(" AB", min_size=24, max_size=24), max_size=6),
    st.sampled_from([(3, 1, 5), (0, 3, 8), (2, 19, 1), (4, 4, 5)]),
)
def test_slots_in_use_are_those_with_a_byte(rows: list[str], shape: tuple[int, int, int]) -> None:
    base, step, count = shape
    table = column(rows) if rows else np.empty((0, 24), np.uint8)
    owner, found = slots(table, base, count, step)
    expected = [
        (i, row[base + step * slot : base + step * (slot + 1)])
        for i, row in enumerate(rows)
        for slot in range(count)
        if row[base + step * slot : base + step * (slot + 1)].strip()
    ]
    assert list(zip(owner.tolist(), [bytes(row).decode() for row in found], strict=True)) == expected
