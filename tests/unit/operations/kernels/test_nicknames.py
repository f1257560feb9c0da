"""Given names that may be the same person's."""

import pyarrow as pa
import pytest

from cji_operations.kernels import nicknames
from cji_operations.kernels.strings import words


def related(a: str, b: str) -> bool:
    known, code = words(pa.array([a, b]))
    roots = nicknames.roots(known)[code]
    return bool(nicknames.related(roots[:1], roots[1:])[0])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("William", "BILL", True),
        ("bill", "william", True),
        ("LIZ", "BETH", True),  # both for ELIZABETH
        ("BERT", "ALBERT", True),
        ("BERT", "HERBERT", True),
        ("ALBERT", "HERBERT", False),
        ("MARY", "MARY", True),
        ("MARY", "WILLIAM", False),
        ("XYZZY", "XYZZY", False),  # not a name of the table
        ("XYZZY", "MARY", False),
        ("BILL ", "BILL", False),
        ("BILLBILLBILLBILLBILL", "BILL", False),
    ],
)
def test_nicknames(a: str, b: str, expected: bool) -> None:
    assert related(a, b) is related(b, a) is expected


def test_nicknames_of_no_names() -> None:
    assert nicknames.roots(words(pa.array([None], pa.utf8()))[0]).tolist() == []
