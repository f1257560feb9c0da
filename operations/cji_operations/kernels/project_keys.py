"""Keys that are derived from the key of a project: one for each use, which is never the key itself.

    derived key = HMAC-SHA-256(project key, use 00 name 00 name ...)

Names have no NUL, so no two uses have the same key.
"""

from typing import Final

from cryptography.hazmat.primitives import hashes, hmac

PROJECT_KEY_BYTES: Final = 32


def derived(project_key: bytes, use: str, *names: str) -> bytes:
    """The key of 32 bytes for one use in one project."""
    mac = hmac.HMAC(project_key, hashes.SHA256())
    mac.update(b"\0".join(part.encode() for part in (use, *names)))
    return mac.finalize()
