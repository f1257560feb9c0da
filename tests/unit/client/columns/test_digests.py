"""The list of digests: what a line is, and that adding one loses none."""

from pathlib import Path

import pytest

from cji_client.columns.digests import add_digest, digest_of, read_digests
from cji_core.errors import SpecError

ONE, TWO = digest_of(bytes(32)), digest_of(bytes(31) + b"\1")


def test_lines_are_digests_with_comments(tmp_path: Path) -> None:
    file = tmp_path / "cek-digests.txt"

    assert add_digest(file, ONE, "CEK_Identity\nf00")
    assert not add_digest(file, ONE, "again")
    assert file.read_text() == f"{ONE}  # CEK_Identity?f00\n"
    file.write_text(f"# made by hand\n\n{ONE}  # without an end")
    assert add_digest(file, TWO, "CEK_Case")

    assert read_digests(file) == {ONE, TWO}


@pytest.mark.parametrize("line", [ONE[:-1], ONE.upper(), f"{ONE} comment", f"{ONE}{TWO}", "\xff"])
def test_another_line_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "cek-digests.txt"
    file.write_text(f"{TWO}\n{line}\n")
    with pytest.raises(SpecError, match=r"cek-digests\.txt, line 2: not a digest"):
        read_digests(file)


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read") as refused:
        read_digests(tmp_path / "none.txt")
    assert "cji columns digest" in refused.value.remedy
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(SpecError, match="not a list of digests"):
        read_digests(tmp_path / "latin")
