"""Access tokens on the client's side: read for each call, bounded, and never shown."""

from pathlib import Path

import pytest

from cji_client.errors import SpecError
from cji_client.tokens import authorization, token_file
from cji_core.format.job import LIMITS

SECRET = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl"


def test_no_source_no_metadata() -> None:
    assert authorization(None) == ()


def test_a_file_is_read_for_each_call(tmp_path: Path) -> None:
    file = tmp_path / "token"
    source = token_file(file)
    for text in (SECRET, f"{SECRET}x\n", "y" * LIMITS.token_bytes):
        file.write_text(text)
        assert authorization(source) == (("authorization", f"Bearer {text.strip()}"),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        f"Bearer {SECRET}".encode(),
        f"{SECRET}\r\nx-evil: 1".encode(),
        b"\xff",
        b"y" * (LIMITS.token_bytes + 1),
    ],
)
def test_what_is_no_token_is_named_without_its_text(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(data)
    with pytest.raises(SpecError) as caught:
        authorization(token_file(file))
    assert SECRET not in f"{caught.value} {caught.value.remedy}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="token_file"):
        authorization(token_file(tmp_path / "token"))


def test_an_exception_of_a_callback_may_hold_the_token() -> None:
    def failing() -> str:
        raise ValueError(SECRET)

    with pytest.raises(SpecError) as caught:
        authorization(failing)
    assert str(caught.value) == "the token callback failed (ValueError)"
    assert caught.value.__suppress_context__
