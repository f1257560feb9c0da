"""Names of a package that are imported when they are first used. Source: PEP 562.

A package lists them once, as type checkers read them:

    if TYPE_CHECKING:
        from package.module import Name
    else:
        __getattr__ = lazy(__name__)
"""

import ast
import importlib
import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any


def lazy(package: str) -> Callable[[str], Any]:
    """A `__getattr__` for `package`: a name of the module that its source imports it from, or one of its modules."""

    @cache
    def listed() -> dict[str, tuple[str, str]]:
        spec = importlib.util.find_spec(package)
        source = getattr(spec and spec.loader, "get_source", lambda _: "")(package)
        found = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
        return {alias.asname or alias.name: (str(node.module), alias.name) for node in found for alias in node.names}

    @cache
    def value(name: str) -> Any:
        if name in listed():
            module, there = listed()[name]
            return getattr(importlib.import_module(module), there)
        if not name.startswith("_") and importlib.util.find_spec(f"{package}.{name}"):
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)

    return value
