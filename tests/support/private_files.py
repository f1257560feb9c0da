"""Files of private keys, as tests write them."""

from pathlib import Path

__all__ = ["put_private"]


def put_private(path: Path, data: bytes) -> None:
    """Write it for its owner alone, new or again."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(data)
