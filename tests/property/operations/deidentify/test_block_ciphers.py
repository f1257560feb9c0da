"""Columns of FF1 and of block tokens, turned back."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.operations.deidentify.declaration import Code
from cji_operations.deidentify.block_ciphers import RADIXES, block_tokens, encrypt_ff1
from cji_operations.kernels.ff1 import lengths
from tests.reference import ff1 as cmp_ff1_twin
from tests.support.block_values import ALPHABET, KEY, value


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
