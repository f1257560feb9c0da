"""Bytes behind a passed descriptor: only a sealed memory file counts, and reading it never waits."""

import fcntl
import os
from pathlib import Path

import pytest

from cji_worker.ipc import hand_over, take_over


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 4_000_000])
def test_the_bytes_arrive_and_the_descriptor_is_closed(data: bytes) -> None:
    fd = hand_over(data)
    assert take_over(fd, most=len(data)) == data
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_nobody_can_change_them() -> None:
    fd = hand_over(b"abc")
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    os.close(fd)


def unsealed() -> int:
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.write(fd, b"abc")
    return fd


def half_sealed() -> int:
    fd = unsealed()
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


def a_file() -> int:
    return os.open(Path(__file__), os.O_RDONLY)


def a_pipe() -> int:
    read, _ = os.pipe()  # whose other end stays open: a read would wait for ever
    return read


@pytest.mark.parametrize("make", [unsealed, half_sealed, a_file, a_pipe, lambda: hand_over(b"abcd")])
def test_anything_else_is_refused_and_closed(make: object) -> None:
    fd = make()  # type: ignore[operator]
    with pytest.raises(ValueError, match="not handed over"):
        take_over(fd, most=3)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
