"""A file that is replaced survives a loss of power: old or new, and never a part."""

import os
import stat
from pathlib import Path

import pytest

from cji_core.durable import replace_file

DATA = b"new" * 9000


def test_bytes_are_on_disk_before_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen, fsync = tmp_path / "file", list[tuple[str, int, bytes]](), os.fsync
    path.write_bytes(b"old")

    def recorded(fd: int) -> None:
        fsync(fd)
        name, status = os.readlink(f"/proc/self/fd/{fd}"), os.fstat(fd)
        seen.append((name, 0 if stat.S_ISDIR(status.st_mode) else status.st_size, path.read_bytes()))

    monkeypatch.setattr(os, "fsync", recorded)
    replace_file(path, DATA)
    assert seen == [(str(tmp_path / ".file.new"), len(DATA), b"old"), (str(tmp_path), 0, DATA)]


def test_its_mode_does_not_depend_on_the_process(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "file", DATA)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_what_a_crash_left_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / ".file.new").symlink_to(tmp_path / "other")
    replace_file(tmp_path / "file", DATA)
    assert ((tmp_path / "file").read_bytes(), (tmp_path / "other").read_bytes()) == (DATA, b"other")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "other"]
