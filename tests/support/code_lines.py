"""The size of Python modules: lines of code, without comments, docstrings and blank lines."""

import ast
import io
import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.support.paths import PACKAGES

_SILENT: Final = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def file_of(module: str) -> Path | None:
    """The file of a module of ours; None if there is no such module."""
    package, *rest = module.split(".")
    base = PACKAGES.get(package.removeprefix("cji_"))
    if base is None:
        return None
    path = base.joinpath(*rest)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def code_lines(source: str) -> int:
    """Lines with a token that does something; a string that stands alone, as a docstring does, is none."""
    silent = {
        (node.lineno, node.col_offset)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    lines = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _SILENT and not (token.type == tokenize.STRING and token.start in silent):
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines)


def lines_of(modules: Iterable[str]) -> int:
    """Code lines of all of these modules of ours; names that are no module count nothing."""
    files = {file for module in modules if (file := file_of(module)) is not None}
    return sum(code_lines(file.read_text("utf-8")) for file in files)
