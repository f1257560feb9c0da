r"""The digest of the running code, for receipts and the audit trail: every Python and TOML file of both packages.

SHA-384 over the lines `<relative path> <SHA-384 of the file>\\n`, sorted by path.
"""

import functools
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Final

VERSION: Final = version("cji-worker")


@functools.cache
def code_sha384() -> bytes:
    """SHA-384 of the running code, 48 bytes."""
    root = Path(__file__).resolve().parent.parent
    found = (p for package in ("attestation", "worker") for p in (root / package).rglob("*"))
    files = sorted(p for p in found if p.suffix in {".py", ".toml"})  # rules and their severities are TOML
    lines = (f"{p.relative_to(root)} {hashlib.sha384(p.read_bytes()).hexdigest()}\n" for p in files)
    return hashlib.sha384("".join(lines).encode()).digest()
