"""The agency's list of its column encryption keys: the SHA-384 of each, written when the key was made.

A line is 96 hexadecimal digits; what follows `#` is a comment. The database can offer a key that its administrator
knows, and its catalogue cannot show that. So `rewrap` takes no key that is not in this list.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from cji_core.errors import SpecError

_LINE: Final = re.compile(r"([0-9a-f]{96})?\s*(?:#.*)?")
_MAX_BYTES: Final = 1 << 20


def digest_of(cek: bytes) -> str:
    """The SHA-384 of a key, hexadecimal."""
    return hashlib.sha384(cek).hexdigest()


def read_digests(path: Path) -> frozenset[str]:
    """The digests in this file. SpecError names a line that is not one."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        text = data.decode()
    except OSError as error:
        remedy = "Make it where keys are made, with `cji columns digest`."
        raise SpecError(f"{path} cannot be read ({error.strerror})", remedy=remedy) from None
    except UnicodeDecodeError:
        raise SpecError(f"{path.name} is not a list of digests") from None
    if len(data) > _MAX_BYTES:
        raise SpecError(f"{path.name} is longer than {_MAX_BYTES} bytes")
    found = set[str]()
    for number, line in enumerate(text.splitlines(), 1):
        matched = _LINE.fullmatch(line.strip())
        if matched is None:
            remedy = "A line is the SHA-384 of a key, 96 digits in lower case, then a comment after #."
            raise SpecError(f"{path.name}, line {number}: not a digest", remedy=remedy)
        if matched[1]:
            found.add(matched[1])
    return frozenset(found)


def add_digest(path: Path, digest: str, comment: str) -> bool:
    """Append a line to the list, which is made where there is none; False if the digest is already in it."""
    if path.exists() and digest in read_digests(path):
        return False
    printable = "".join(c if c.isprintable() else "?" for c in comment)
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644), "rb+") as file:
            unended = file.seek(0, os.SEEK_END) > 0 and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n"
            file.write(b"\n" * unended + f"{digest}  # {printable}\n".encode())
    except OSError as error:
        raise SpecError(f"{path} cannot be written ({error.strerror})") from None
    return True
