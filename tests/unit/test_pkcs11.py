"""The file of a token's PIN. Tokens themselves are in tests/integration."""

from pathlib import Path

import pytest

from cji_core.errors import SpecError
from cji_core.pkcs11 import pin_in


def pin(folder: Path, data: bytes) -> str:
    path = folder / "pin"
    path.write_bytes(data)
    path.chmod(0o600)
    return pin_in(path)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\nmore\n"])
@pytest.mark.parametrize("length", [0, 4, 255, 256])
def test_a_pin_is_read_whole(tmp_path: Path, length: int, end: bytes) -> None:
    assert pin(tmp_path, b"7" * length + end) == "7" * length


@pytest.mark.parametrize("data", [b"7" * 257, b"7" * 257 + b"\n", b"7" * 258 + b"\n", b"7" * 10_000])
def test_a_longer_pin_is_refused_and_not_cut(tmp_path: Path, data: bytes) -> None:
    """A token counts a PIN that was cut as a wrong one, and locks itself after a few."""
    with pytest.raises(SpecError, match="more than 256 bytes") as refused:
        pin(tmp_path, data)
    assert refused.value.remedy.startswith("Write the PIN")
    assert "777" not in str(refused.value)
