"""Parts of names: two surnames, particles, and what is written apart."""

import numpy as np
import pyarrow as pa
import pytest

from cji_operations.kernels import name_parts
from cji_operations.kernels.strings import words


def compared(a: str, b: str) -> tuple[bool, bool]:
    found = name_parts.parts(words(pa.array([a.encode(), b.encode(), b"FILLER OF LENGTH"]))[0])
    total = name_parts.totals(found)
    return bool(total[0] == total[1]), bool(name_parts.contained(found, np.array([0]), np.array([1]))[0])


@pytest.mark.parametrize(
    ("a", "b", "same", "contained"),
    [
        ("GARCIA LOPEZ", "LOPEZ GARCIA", True, True),
        ("GARCIA LOPEZ", "GARCIA", False, True),
        ("LOPEZ", "GARCIA LOPEZ", False, True),
        ("GARCIA LOPEZ", "GARCIA PEREZ", False, False),
        ("DE LA CRUZ", "CRUZ", True, True),
        ("VAN DER BERG", "BERG", True, True),
        ("AL HASSAN", "HASSAN", True, True),
        ("BIN LADEN", "LADEN", True, True),
        ("O BRIEN", "OBRIEN", True, True),
        ("MC DONALD", "MCDONALD", True, True),
        ("LA", "LE", False, False),
        ("DE LA", "DE LOS", False, False),
        ("MARIA DE LOS ANGELES", "ANGELES MARIA", True, True),
        ("A B C D E", "A B C D", True, True),
    ],
)
def test_parts_of_two_names(a: str, b: str, same: bool, contained: bool) -> None:
    assert compared(a, b) == (same, contained)
    assert compared(b, a) == (same, contained)
