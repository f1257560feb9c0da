"""Passphrases of key files: from a callback, or from the file that CJI_PASSPHRASE_FILE names.

A passphrase is a secret: it is in no profile, no command line and no environment variable.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from cji_core.errors import SpecError

VARIABLE: Final = "CJI_PASSPHRASE_FILE"
_MAX_BYTES: Final = 4096

Passphrase: TypeAlias = Callable[[Path], bytes | None]
"""Returns the passphrase of a key file, None if it has none. Called for encrypted files only."""


def passphrase_of(path: Path, source: Passphrase | None = None) -> bytes | None:
    """The passphrase of a PEM file if it is encrypted: of the file that is named in the environment, else of `source`.

    SpecError if neither has one.
    """
    try:
        encrypted = b"ENCRYPTED" in path.read_bytes()
    except OSError:
        return None  # reading the key reports what is wrong with the file
    return required_passphrase(path, source) if encrypted else None


def required_passphrase(path: Path, source: Passphrase | None = None) -> bytes | None:
    """As `passphrase_of`, of a file that is known to be encrypted."""
    if name := os.environ.get(VARIABLE):
        return _first_line(Path(name))
    if source is None:
        remedy = f"Pass a callback as `passphrase`, or name a file with it in {VARIABLE}."
        raise SpecError(f"{path.name} is encrypted", remedy=remedy)
    return source(path)


def _first_line(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(f"{VARIABLE}: {path} cannot be read ({error.strerror})") from None
    line = data.partition(b"\n")[0].removesuffix(b"\r")
    if not line or len(data) > _MAX_BYTES:
        raise SpecError(f"{VARIABLE}: {path} does not begin with a passphrase")
    return line
