"""Containerfiles: each image that a build takes from elsewhere is named by its digest.

A tag is what a registry says today, and may say otherwise tomorrow; a digest is the SHA-256 of what is taken. Images
come in by FROM, by --from of COPY and of mounts, and by `# syntax=`, which is a program that executes the rest.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["container_problems", "containerfiles"]

_NAME: Final = re.compile(r"(?:.*\.)?(?:containerfile|dockerfile)(?:\..*)?", re.IGNORECASE)
_PINNED: Final = re.compile(r"[a-z0-9][a-z0-9._/:-]*@sha256:[0-9a-f]{64}")
_SYNTAX: Final = re.compile(r"^#\s*syntax\s*=\s*(\S+)", re.IGNORECASE)
_OTHER: Final = re.compile(r"(?:--from=|[,=]from=)([^\s,]+)")
_VARIABLE: Final = re.compile(r"\$\{?(\w+)\}?")
_NOT_OURS: Final = {"node_modules", "build", "dist"}


def containerfiles(root: Path) -> list[Path]:
    """Those of the repository that has the deploy folder `root`; without a repository, those of the folder."""
    tree = root.parent if (root.parent / "pyproject.toml").is_file() else root
    found = list[Path]()
    for folder, names, files in os.walk(tree):
        names[:] = [name for name in names if name not in _NOT_OURS and not name.startswith(".")]
        found += [Path(folder, name) for name in files if _NAME.fullmatch(name)]
    return sorted(found)


def container_problems(path: Path) -> list[str]:
    """The images of a Containerfile that no digest names; empty if there are none."""
    try:
        return list(_problems(path.read_text("utf-8").replace("\\\n", " ").splitlines()))
    except (OSError, UnicodeDecodeError):
        return ["cannot be read"]


def _problems(lines: list[str]) -> Iterator[str]:
    arguments, stages = dict[str, str](), {"scratch"}
    for line in lines:
        if syntax := _SYNTAX.match(line):
            yield from _unpinned(syntax[1])
        word, _, rest = line.strip().partition(" ")
        words = [each for each in rest.split() if not each.startswith("--")]
        match word.upper():
            case "ARG" if words:
                name, _, default = words[0].partition("=")
                arguments[name] = default.strip("\"'")
            case "FROM" if words:
                image = _VARIABLE.sub(lambda found: arguments.get(found[1], ""), words[0])
                if image not in stages:
                    yield from _unpinned(image or words[0])
                stages.add(words[-1])
            case "COPY" | "ADD" | "RUN":
                for other in _OTHER.findall(rest):
                    if other not in stages and not other.isdecimal():
                        yield from _unpinned(other)


def _unpinned(image: str) -> Iterator[str]:
    if not _PINNED.fullmatch(image):
        yield f"{image}: has no digest, so another image can come under its name; add @sha256:..."
