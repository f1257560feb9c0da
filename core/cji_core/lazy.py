"""Names of a package that are imported when they are first used. Source: PEP 562."""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def lazy(package: str, modules: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """A `__getattr__` for `package`: the names that it has of other modules."""
    where = {name: module for module, names in modules.items() for name in names}

    def found(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name)
        value = getattr(importlib.import_module(where[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return found
