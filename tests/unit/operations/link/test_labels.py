"""Label files that cannot be used are refused by line."""

import pytest

from cji_core.errors import SpecError
from cji_core.operations.link.labels import COLUMNS, Label, is_label_file, read_labels

HEAD = ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "line 1 is not left,right,verdict,by,at,note"),
        (b"left_id,right_id,same\na,b,1\n", "line 1 is not left"),
        (b"left,right,verdict\na,b,same\n", "line 1 is not left"),
        (HEAD.upper().encode(), "line 1 is not left"),
        (f"{HEAD}a,b,same\n".encode(), "line 2 has 3 cells, not 6"),
        (f"{HEAD}a,b,same,,,,\n".encode(), "line 2 has 7 cells"),
        (f"{HEAD}a,b,yes,,,\n".encode(), "line 2 has a verdict that is none of same, different, unsure"),
        (f"{HEAD}a,b,SAME,,,\n".encode(), "line 2 has a verdict"),
        (f"{HEAD}\na,,same,,,\n".encode(), "line 3 has no left or no right"),
        (f"{HEAD}a,a,same,,,\n".encode(), "line 2 has a record with itself"),
        (f"{HEAD}a,b,same,,,\nc,d,,,,\nb,a,same,,,\n".encode(), "line 4 has the pair of line 2 again"),
        (f"{HEAD}a,b,same,,,\nb,a,different,,,\n".encode(), "line 3 says different of the pair of which line 2 says"),
        (f"{HEAD}a,b,same,,,\na,b,,,,\n".encode(), "line 3 says nothing of the pair of which line 2 says same"),
        (f'{HEAD}a,b,same,,,"two\nlines"\na,b,same,,,\n'.encode(), "line 4 has the pair of line 2 again"),
        (f"{HEAD}a,b,same,,30.11.2026,\n".encode(), "line 2 has an `at`"),
        (f"{HEAD}a,b,same,,20261130,\n".encode(), "line 2 has an `at`"),
        (f"{HEAD}a,b,same,,2026-13-30,\n".encode(), "line 2 has an `at`"),
        (f"{HEAD}a,b,same,,2026-11-30T25:00:00Z,\n".encode(), "line 2 has an `at`"),
        (f"{HEAD}a,b,same,,,{'x' * 1001}\n".encode(), "line 2 has a cell of more than 1000"),
        (f'{HEAD}a,b,same,,,"x\n'.encode(), "line 2 is not CSV"),
        (f"{HEAD}a,b,same,,,\n".encode() + b"a,\xff,same,,,\n", "line 3 is not UTF-8"),
    ],
)  # fmt: skip
def test_label_files_are_refused_by_line(data: bytes, says: str) -> None:
    with pytest.raises(SpecError, match="label file") as caught:
        read_labels(data)
    assert says in str(caught.value)
    assert caught.value.remedy


def test_a_file_as_a_spreadsheet_writes_it_is_read() -> None:
    data = b'\xef\xbb\xbfleft,right,verdict,by,at,note\r\np1,p2,same , jd,2026-11-30,"a, b"\r\n\r\np3,p4,,,,\r\n'
    one, other = read_labels(data)
    assert one == Label(left="p1", right="p2", verdict="same", by="jd", at="2026-11-30", note="a, b", line=2)
    assert (other.verdict, other.line) == (None, 4)


def test_a_record_of_each_table_may_have_one_id() -> None:
    data = f"{HEAD}a,a,same,,,\na,b,same,,,\nb,a,different,,,\n".encode()
    assert len(read_labels(data, two_tables=True)) == 3


def test_label_files_are_known_by_their_first_column() -> None:
    assert is_label_file(b'\xef\xbb\xbf"left","right"')
    assert not is_label_file(b"record_id,person\n")
