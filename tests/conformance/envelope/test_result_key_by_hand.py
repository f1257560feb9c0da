"""docs/format.md has the whole of a hybrid result key: no draft has to be read for it."""

import re

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, mlkem

from cji_core.format.envelope import sha384, wrap_result_key
from cji_core.pairs import DecryptionPair
from tests.reference import job_format
from tests.support.paths import ROOT

HEADER = b"a header"
RESULT_KEY = bytes(range(32))


def wrapped(keys: tuple[mlkem.MLKEM1024PrivateKey, ec.EllipticCurvePrivateKey]) -> bytes:
    return wrap_result_key(DecryptionPair(*keys).public_key(), RESULT_KEY, sha384(HEADER))


@pytest.fixture(scope="module")
def keys() -> tuple[mlkem.MLKEM1024PrivateKey, ec.EllipticCurvePrivateKey]:
    return mlkem.MLKEM1024PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())


def test_the_page_names_no_draft_of_hpke() -> None:
    assert not re.search(r"draft-[a-z-]*(hpke|kem)", (ROOT / "docs" / "format.md").read_text())


def test_the_second_implementation_takes_no_hpke() -> None:
    assert "import hashes, hpke" not in (source := (ROOT / "tests/reference/job_format.py").read_text())
    assert "hpke." not in source


def test_by_hand_as_by_library(keys: tuple[mlkem.MLKEM1024PrivateKey, ec.EllipticCurvePrivateKey]) -> None:
    for _ in range(5):
        assert job_format.result_key("hybrid-1", list(keys), wrapped(keys), HEADER) == RESULT_KEY


@pytest.mark.parametrize("at", [0, 1567, 1665, 1712])
def test_a_changed_byte_opens_nothing(
    keys: tuple[mlkem.MLKEM1024PrivateKey, ec.EllipticCurvePrivateKey], at: int
) -> None:
    changed = bytearray(wrapped(keys))
    changed[at] ^= 1
    with pytest.raises(InvalidTag):
        job_format.result_key("hybrid-1", list(keys), bytes(changed), HEADER)
