"""Texts from files, as pages and terminals show them: a character that cannot be printed moves nothing there."""


def printable(text: str, *, keep: str = "") -> str:
    """The text, a character that cannot be printed as ⟨U+202E⟩; those in `keep` stay."""
    return "".join(c if c.isprintable() or c in keep else f"⟨U+{ord(c):04X}⟩" for c in text)
