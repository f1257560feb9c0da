"""ZIP archives whose bytes depend on names and contents only: sorted, with one date, one mode and one compression."""

import io
import zlib
from collections.abc import Mapping
from typing import Final
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from cji_audit.packet.errors import PacketError

MAX_FILES: Final = 4096
MAX_BYTES: Final = 512 << 20
"""Of all files together, unpacked."""
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the first that a ZIP can state
_MODE: Final = 0o100644 << 16
_LEVEL: Final = 6
_REMEDY: Final = "Give a packet that `cji audit packet` made."


def packed(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            info = ZipInfo(name, _DATE)
            info.compress_type, info.external_attr, info.create_system = ZIP_DEFLATED, _MODE, 3
            archive.writestr(info, files[name], compresslevel=_LEVEL)
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """The files of an archive. PacketError for one that is damaged, has a name twice, or is too large."""
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            if len(listed) > MAX_FILES or sum(each.file_size for each in listed) > MAX_BYTES:
                raise PacketError("The packet is too large", _REMEDY)
            if len({each.filename for each in listed}) != len(listed):
                raise PacketError("The packet has a name twice", _REMEDY)
            return {each.filename: _read(archive, each) for each in listed}
    except (BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise PacketError(f"The packet is damaged: {error}", _REMEDY) from error


def _read(archive: ZipFile, info: ZipInfo) -> bytes:
    with archive.open(info) as member:
        return member.read(info.file_size)
