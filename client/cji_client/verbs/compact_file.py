"""Files with compact JWS, one on each line: receipts, statements."""

from pathlib import Path

from cji_client.errors import Unverified


def compact_lines(file: Path, what: str = "receipt") -> list[str]:
    """The lines of a file, at least one; `what` they are. Raises Unverified(`what`)."""
    try:
        lines = file.read_text("ascii").split()
    except UnicodeDecodeError:
        lines = []
    if not lines:
        raise Unverified(what, f"{file.name} contains no {what}")
    return lines
