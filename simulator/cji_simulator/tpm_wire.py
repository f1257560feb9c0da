"""The few TPM 2.0 commands that the proxy reads or answers itself, as bytes.

TCG "TPM 2.0 Library", parts 2 and 3: header is tag u16, size u32, code u32, big-endian. Any bytes in give a value or
`MalformedCommandError`.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from cji_simulator.errors import SimulatorError

__all__ = [
    "CREATES_HANDLE",
    "FLUSH_CONTEXT",
    "HEADER",
    "MalformedCommandError",
    "NvRead",
    "code",
    "error",
    "flush_context",
    "header_size",
    "nv_public",
    "nv_read_command",
    "nv_read_public",
    "nv_read_response",
    "parse_nv_read",
    "pcr_extend",
    "qualifying_length",
    "shutdown",
    "sized",
    "succeeded",
]

HEADER: Final = 10
MAX_COMMAND: Final = 4096  # bytes, TPM_PT_MAX_COMMAND_SIZE of swtpm
NV_READ: Final = 0x14E
NV_READ_PUBLIC: Final = 0x169
CERTIFY: Final = 0x148
QUOTE: Final = 0x158
FLUSH_CONTEXT: Final = 0x165
PCR_EXTEND: Final = 0x182
SHUTDOWN: Final = 0x145
# CreatePrimary, HMAC_Start, Load, ContextLoad, LoadExternal, StartAuthSession, HashSequenceStart, CreateLoaded
CREATES_HANDLE: Final = frozenset({0x131, 0x15B, 0x157, 0x161, 0x167, 0x176, 0x186, 0x191})
NV_BUFFER_MAX: Final = 1024  # bytes a read
_NO_SESSIONS, _SESSIONS = 0x8001, 0x8002
_PASSWORD: Final = 0x40000009
_SHA256: Final = 0x000B
# AUTHWRITE, OWNERREAD, AUTHREAD, NO_DA, WRITTEN, PLATFORMCREATE
_ATTRIBUTES: Final = 1 << 2 | 1 << 17 | 1 << 18 | 1 << 25 | 1 << 29 | 1 << 30

RC_NV_RANGE: Final = 0x146
RC_NV_AUTHORIZATION: Final = 0x149
RC_AUTH_TYPE: Final = 0x124
RC_READ_SIZE: Final = 0x1C4  # TPM_RC_VALUE, parameter 1
RC_QUALIFYING_SIZE: Final = 0x1D5  # TPM_RC_SIZE, parameter 1
RC_COMMAND_SIZE: Final = 0x142
RC_NV_UNINITIALIZED: Final = 0x14A
RC_HANDLE: Final = 0x18B  # TPM_RC_HANDLE, handle 1: there is no such index
RC_OBJECT_MEMORY: Final = 0x902
RC_YIELDED: Final = 0x908
RC_RETRY: Final = 0x922


class MalformedCommandError(SimulatorError, ValueError):
    """The bytes are not the command that their code says."""

    code = "tpm-command-malformed"
    remedy = "Send a command of the TPM 2.0 library."


@dataclass(frozen=True, slots=True, kw_only=True)
class NvRead:
    """TPM2_NV_Read under a password."""

    authority: int
    index: int
    size: int
    offset: int
    plain_password: bool


def header_size(head: bytes) -> int:
    """Return the length of the whole command or response; raises MalformedCommandError."""
    size = int(struct.unpack_from(">HI", head)[1])
    if not HEADER <= size <= MAX_COMMAND:
        raise MalformedCommandError("length")
    return size


def code(message: bytes) -> int:
    """Return the command code or response code."""
    return int(struct.unpack_from(">HII", message)[2])


def succeeded(response: bytes) -> bool:
    """Whether the response code is TPM_RC_SUCCESS."""
    return code(response) == 0


def error(rc: int) -> bytes:
    """Return a response that carries only a code."""
    return struct.pack(">HII", _NO_SESSIONS, HEADER, rc)


def sized(data: bytes) -> bytes:
    """Return a TPM2B."""
    return struct.pack(">H", len(data)) + data


def flush_context(handle: int) -> bytes:
    """Return TPM2_FlushContext."""
    return struct.pack(">HIII", _NO_SESSIONS, HEADER + 4, FLUSH_CONTEXT, handle)


def _unpack(layout: str, data: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, data, at)
    except struct.error as exception:
        raise MalformedCommandError("short") from exception


def parse_nv_read(command: bytes) -> NvRead:
    """Read TPM2_NV_Read; raises MalformedCommandError."""
    authority, index, length = _unpack(">III", command, HEADER)
    (session,) = _unpack(">I", command, HEADER + 12)
    size, offset = _unpack(">HH", command, HEADER + 12 + length)
    return NvRead(authority=authority, index=index, size=size, offset=offset, plain_password=session == _PASSWORD)


def nv_read_public(command: bytes) -> int:
    """Return the index of TPM2_NV_ReadPublic; raises MalformedCommandError."""
    return _unpack(">I", command, HEADER)[0]


def qualifying_length(command: bytes) -> int:
    """Return the length of qualifyingData of TPM2_Quote or TPM2_Certify; raises MalformedCommandError."""
    after_handles = HEADER + (8 if code(command) == CERTIFY else 4)
    (length,) = _unpack(">I", command, after_handles)
    return _unpack(">H", command, after_handles + 4 + length)[0]


def _with_password(command: int, handles: bytes, parameters: bytes) -> bytes:
    """Return a command under an empty password."""
    session = struct.pack(">IHBH", _PASSWORD, 0, 0, 0)
    body = handles + struct.pack(">I", len(session)) + session + parameters
    return struct.pack(">HII", _SESSIONS, HEADER + len(body), command) + body


def nv_read_command(authority: int, index: int, size: int) -> bytes:
    """Return TPM2_NV_Read at offset 0 under an empty password."""
    return _with_password(NV_READ, struct.pack(">II", authority, index), struct.pack(">HH", size, 0))


def pcr_extend(pcr: int, digest: bytes) -> bytes:
    """Return TPM2_PCR_Extend of the SHA-256 bank."""
    return _with_password(PCR_EXTEND, struct.pack(">I", pcr), struct.pack(">IH", 1, _SHA256) + digest)


def shutdown() -> bytes:
    """Return TPM2_Shutdown(CLEAR), which an orderly reboot sends."""
    return struct.pack(">HIIH", _NO_SESSIONS, HEADER + 2, SHUTDOWN, 0)


def nv_read_response(data: bytes) -> bytes:
    """Return the response to TPM2_NV_Read under a password."""
    parameters = sized(data)
    body = struct.pack(">I", len(parameters)) + parameters + b"\0\0\1\0\0"
    return struct.pack(">HII", _SESSIONS, HEADER + len(body), 0) + body


def nv_public(index: int, size: int) -> bytes:
    """Return the response to TPM2_NV_ReadPublic for a platform-created index: public area and name."""
    public = struct.pack(">IHIHH", index, _SHA256, _ATTRIBUTES, 0, size)
    name = struct.pack(">H", _SHA256) + hashlib.sha256(public).digest()
    body = sized(public) + sized(name)
    return struct.pack(">HII", _NO_SESSIONS, HEADER + len(body), 0) + body
