"""AES-CMAC beside that of cryptography."""

from hypothesis import given
from hypothesis import strategies as st

from cji_core.format.records.column import read
from cji_operations.deidentify import tokens
from cji_operations.kernels import cmac
from tests.reference.deidentify import arrays_of, slow_mac, untimed


@untimed
@given(st.lists(st.none() | st.binary(max_size=70), max_size=20), st.binary(min_size=32, max_size=32))
def test_macs(values: list[bytes | None], key: bytes) -> None:
    expected = [slow_mac(key, value or b"") for value in values]
    for array in arrays_of(values):
        assert [row.tobytes() for row in cmac.macs(read(array), encrypt=tokens.ecb(key))] == expected
