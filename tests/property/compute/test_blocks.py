"""FF1 and block tokens beside their twins, and back again."""

import string

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import ff1 as cmp_ff1_twin
from worker.compute.kernels.ff1 import Ff1, lengths
from worker.compute.operations.deidentify.block_ciphers import RADIXES, block_tokens, encrypt_ff1
from worker.compute.operations.deidentify.codes import Code
from worker.compute.operations.deidentify.tokens import ecb

KEY = bytes(range(32))
ALPHABET = string.digits + string.ascii_uppercase


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_ff1_is_the_published_algorithm_and_has_an_inverse(data: st.DataObject) -> None:
    radix = data.draw(st.sampled_from(RADIXES))
    length = data.draw(st.sampled_from(lengths(radix)))
    tweak = data.draw(st.binary(max_size=40))
    value = st.lists(st.integers(0, radix - 1), min_size=length, max_size=length)
    edge = st.sampled_from([[0] * length, [radix - 1] * length])
    values = data.draw(st.lists(value | edge, min_size=1, max_size=5))
    cipher = Ff1(ecb(KEY), radix=radix, length=length, tweak=tweak)
    digits = np.array(values, np.uint8).T
    sealed = cipher.encrypt(digits)
    assert sealed.T.tolist() == [cmp_ff1_twin.encrypt(KEY, tweak, radix, one) for one in values]
    assert np.array_equal(cipher.decrypt(sealed), digits)


def test_ff1_of_more_values_than_a_chunk_is_that_of_each() -> None:
    digits = np.random.default_rng(7).integers(0, 10, (9, 40_000)).astype(np.uint8)
    cipher = Ff1(ecb(KEY), radix=10, length=9)
    sealed = cipher.encrypt(digits)
    assert np.array_equal(cipher.decrypt(sealed), digits)
    for row in (0, 16_383, 16_384, 39_999):
        one = cipher.encrypt(digits[:, row : row + 1])
        assert np.array_equal(one[:, 0], sealed[:, row])


@pytest.mark.parametrize(("radix", "shortest", "longest"), [(10, 6, 32), (36, 4, 20)])
def test_the_domain_of_each_length_has_a_million_values_or_more(radix: int, shortest: int, longest: int) -> None:
    assert lengths(radix) == range(shortest, longest + 1)
    assert radix**shortest >= 10**6 > radix ** (shortest - 1)
    for length in (shortest - 1, longest + 1):
        with pytest.raises(ValueError, match="length"):
            Ff1(ecb(KEY), radix=radix, length=length)


value = (
    st.none() | st.text(ALPHABET, max_size=34) | st.text("0123456789", min_size=5, max_size=33) | st.text(max_size=8)
)


def twin_ff1(text: str | None, radix: int) -> tuple[str | None, Code | None]:
    if not text:
        return None, None
    if len(text.encode()) not in lengths(radix):
        return None, Code.NO_LENGTH_FOR_FF1
    if any(c not in ALPHABET[:radix] for c in text):
        return None, Code.NOT_OF_THE_ALPHABET
    sealed = cmp_ff1_twin.encrypt(KEY, b"", radix, [ALPHABET.index(c) for c in text])
    return "".join(ALPHABET[d] for d in sealed), None


@settings(max_examples=120, deadline=None)
@given(st.lists(value, max_size=12), st.sampled_from(RADIXES), st.booleans())
def test_columns_of_ff1(values: list[str | None], radix: int, as_bytes: bool) -> None:
    array = pa.array(values, pa.utf8())
    array = array.view(pa.binary()) if as_bytes else array
    outcome = encrypt_ff1(array, key=KEY, radix=radix)
    assert outcome.array.type == array.type
    outcome.array.validate(full=True)
    expected = [twin_ff1(one, radix) for one in values]
    assert outcome.array.cast(pa.utf8()).to_pylist() == [token for token, _ in expected]
    found = {int(row): code for code, rows in outcome.faults for row in rows}
    assert found == {i: code for i, (_, code) in enumerate(expected) if code is not None}


def twin_block(data: bytes | None) -> bytes | None:
    if not data or len(data) > 15:
        return None
    return cmp_ff1_twin.aes(KEY, bytes([len(data)]) + data + bytes(15 - len(data))).hex().encode()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.none() | st.binary(max_size=18), max_size=15), st.integers(0, 3))
def test_columns_of_block_tokens(values: list[bytes | None], cut: int) -> None:
    array = pa.array(values, pa.binary()).slice(cut)
    values = values[cut:]
    outcome = block_tokens(array, key=KEY)
    outcome.array.validate(full=True)
    assert outcome.array.to_pylist() == [twin_block(one) for one in values]
    ((code, rows),) = outcome.faults
    assert code is Code.TOO_LONG_FOR_A_BLOCK
    assert rows.tolist() == [i for i, one in enumerate(values) if one and len(one) > 15]
