"""Texts that people wrote: printable, trimmed, at most 256 bytes, as audit lines require; no controls or bidi marks."""

from cji_core.errors import CoreError
from cji_core.format.job.limits import LIMITS


class BadTextError(CoreError, ValueError):
    """The broken rule; it contains nothing of the text."""

    code = "text-invalid"
    remedy = "Use printable text within the limits of docs/job.md."


def require_text(text: str, *, optional: bool = False) -> str:
    """The same text, or BadTextError."""
    if not text and not optional:
        raise BadTextError("empty text")
    if len(text.encode()) > LIMITS.text_bytes:
        raise BadTextError("text length")
    if not text.isprintable() or text != text.strip():
        raise BadTextError("text characters")
    return text
