"""The part of the packages that stays in the image: the programs of a list, and the libraries that these need.

The build runs `python3 -I diet.py ROOT diet.toml root`, with the standard library alone, and names the flavour's lists
after the root's: it removes, then walks all that is left. `refused` walks every file, and reports:

* a file that may be executed without being listed, or a listed program that is not there;
* a library that no program needs and no pattern under `loaded` names, or one that is needed and is not there;
* setuid, setgid and sticky bits on files, capabilities, write rights of others, device nodes.
"""

import fnmatch
import os
import shutil
import stat
import struct
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["Lists", "apply", "main", "needed", "refused"]

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRINGS = 1, 5
_RELOCATABLE: Final = 1
_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_ANY_X: Final = 0o111


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Patterns of paths from the root, without a first slash; `*` stands for slashes, too."""

    removed: tuple[str, ...]
    programs: tuple[str, ...]
    loaded: tuple[str, ...]
    """Libraries that a program loads by name while it runs."""
    apart: tuple[str, ...] = ()
    """Kernel and modules, which the disk does not get from the root."""
    shared: tuple[str, ...] = ()
    """Folders in which each user may write."""

    @classmethod
    def read(cls, path: Path, name: str, *more: str) -> "Lists":
        """The lists of one image, and what a flavour adds; KeyError, TypeError or ValueError for other lists.

        What a flavour has under `without` goes, although the root's lists name it.
        """
        tables = tomllib.loads(path.read_text())
        chosen = [tables[one] for one in (name, *more)]
        found = {key: [value for one in chosen for value in one.get(key, ())] for one in chosen for key in one}
        for gone in found.pop("without", ()):
            keys = [key for key in ("programs", "loaded") if gone in found[key]]
            if not keys:
                raise ValueError(f"without {gone}: no list has it")
            found[keys[0]].remove(gone)
            found["removed"].append(gone)
        return cls(**{key: tuple(values) for key, values in found.items()})


def needed(path: Path) -> tuple[str, ...] | None:
    """The libraries that an ELF file names; None for another file, or one that only a linker reads, as a module."""
    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return None
    data = path.read_bytes()
    fields = _HEADER.unpack_from(data)
    kind, at, size, count = fields[1], fields[5], fields[9], fields[10]
    if kind == _RELOCATABLE:
        return None
    return tuple(_needed(data, [_SEGMENT.unpack_from(data, at + size * number) for number in range(count)]))


def _needed(data: bytes, segments: list[tuple[int, ...]]) -> Iterator[str]:
    for kind, _, offset, _, _, size, _, _ in segments:
        if kind == _DYNAMIC:
            tags = list(struct.iter_unpack("<QQ", data[offset : offset + size]))
            strings = next(value for tag, value in tags if tag == _STRINGS)
            base = next(o + strings - a for k, _, o, a, _, s, _, _ in segments if k == _LOAD and a <= strings < a + s)
            for tag, value in tags:
                if tag == _NEEDED:
                    yield data[base + value : data.index(b"\0", base + value)].decode()


@dataclass(slots=True)
class _Tree:
    """One walk over a root: files with their modes, ELF files, and where each name of a library leads."""

    root: Path
    lists: Lists
    modes: dict[str, int] = field(default_factory=dict)
    elves: dict[str, tuple[str, ...]] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder, inner, files in os.walk(self.root):
            here = os.path.relpath(folder, self.root)
            inner[:] = [one for one in inner if os.path.normpath(f"{here}/{one}") not in self.lists.apart]
            for name in (*inner, *files):
                path = os.path.normpath(f"{here}/{name}")
                self.modes[path] = (self.root / path).lstat().st_mode
        for path, mode in self.modes.items():
            if stat.S_ISREG(mode) and (found := needed(self.root / path)) is not None:
                self.elves[path] = found
            if (target := self.target(path, mode)) is not None:
                self.names.setdefault(os.path.basename(path), set()).add(target)

    def target(self, path: str, mode: int) -> str | None:
        """The file to which a file or a link leads, inside of the root."""
        for _ in range(8):
            if not stat.S_ISLNK(mode):
                return path if stat.S_ISREG(mode) else None
            path = os.path.normpath(os.path.join("/", os.path.dirname(path), (self.root / path).readlink()))[1:]
            for link in ("bin", "sbin", "lib", "lib64"):
                if path.startswith(f"{link}/"):
                    path = f"usr/{path}"
            if path not in self.modes:
                return None
            mode = self.modes[path]
        return None

    def is_program(self, path: str) -> bool:
        """Whether it may be executed."""
        mode = self.modes[path]
        return stat.S_ISREG(mode) and bool(mode & _ANY_X)

    def kept_libraries(self) -> tuple[set[str], set[str]]:
        """Files that programs need or load, and "NAME for FILE" of those that are missing."""
        waiting = [path for path in self.elves if _any(path, self.lists.programs) or _any(path, self.lists.loaded)]
        kept, missing = set(waiting), set[str]()
        while waiting:
            path = waiting.pop()
            for name in self.elves[path]:
                found = self.names.get(name, set())
                if not found:
                    missing.add(f"{name} for {path}")
                waiting += found - kept
                kept |= found
        return kept, missing


def apply(root: Path, lists: Lists) -> None:
    """Remove what is not listed; a file that is left without being listed loses the right to be executed."""
    for pattern in lists.removed:
        for one in sorted(root.glob(pattern)):
            shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink(missing_ok=True)
    tree = _Tree(root, lists)
    kept, _ = tree.kept_libraries()
    for path, mode in tree.modes.items():
        if not stat.S_ISREG(mode):
            continue
        listed = _any(path, lists.programs)
        if not listed and (_in_bin(path) or (path in tree.elves and path not in kept)):
            (root / path).unlink()
        else:
            own = stat.S_IMODE(mode) & 0o1777 & ~_BY_OTHERS
            (root / path).chmod(own if listed else own & ~_ANY_X)
    left = _Tree(root, lists)
    for path, mode in left.modes.items():
        if stat.S_ISLNK(mode) and (_in_bin(path) or ".so" in path) and left.target(path, mode) is None:
            (root / path).unlink()


def refused(root: Path, lists: Lists) -> list[str]:
    """A sentence for each file that the lists do not allow."""
    tree = _Tree(root, lists)
    kept, missing = tree.kept_libraries()
    found = [f"{one}: there is no such library" for one in missing]
    for path, mode in tree.modes.items():
        found += [f"{path}: {why}" for why in _faults(root / path, path, mode, lists)]
        if tree.is_program(path) and not _any(path, lists.programs):
            found.append(f"{path}: it may be executed, and is not a listed program")
        elif path in tree.elves and path not in kept:
            found.append(f"{path}: it is not a listed program, and no program needs it as a library")
    programs = [path for path in tree.modes if tree.is_program(path)]
    unused = [one for one in lists.programs if not fnmatch.filter(programs, one)]
    unused += [one for one in lists.loaded if not fnmatch.filter(tree.elves, one)]
    return sorted(found + [f"{one}: is listed and not there" for one in unused])


def _faults(file: Path, path: str, mode: int, lists: Lists) -> Iterator[str]:
    if stat.S_ISLNK(mode):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        yield "it is neither a file nor a folder nor a link"
    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX):
        yield f"mode {stat.S_IMODE(mode):o}"
    if mode & _BY_OTHERS and path not in lists.shared:
        yield f"mode {stat.S_IMODE(mode):o}: others than its owner may write"
    if stat.S_ISREG(mode) and "security.capability" in os.listxattr(file, follow_symlinks=False):
        yield "it has capabilities"


def _in_bin(path: str) -> bool:
    return path.startswith(("usr/bin/", "usr/sbin/", "bin/", "sbin/"))


def _any(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, one) for one in patterns)


def main(arguments: list[str]) -> int:
    """Of a build: 1 and a sentence for each file that is refused."""
    root, lists = Path(arguments[0]), Lists.read(Path(arguments[1]), *arguments[2:])
    apply(root, lists)
    found = refused(root, lists)
    for one in found:
        print(f"diet.toml does not allow {one}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
