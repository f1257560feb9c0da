"""Python sources of this tree, parsed where that is of use."""

import ast
from collections.abc import Iterable

__all__ = ["parsed"]


def parsed(source: str, words: Iterable[str]) -> ast.Module:
    """The tree of a source that has one of these words, else an empty one: most have none, and parsing takes long."""
    return ast.parse(source if any(word in source for word in words) else "")
