r"""The manifest of the code that a worker runs: every file of its environment and every library that it maps.

`write` makes it when an image is built; `verify` compares the machine with it before any other process starts. The
format is that of sha256sum(1), sorted by path: `<SHA-256 in hexadecimal>  <absolute path>\n`. Receipts and the audit
trail carry the SHA-384 of the manifest.

It covers all files below the folders that the worker imports from and below the standard library, and the files
elsewhere that a process of the worker maps: the interpreter and system libraries. A file that differs, is missing or is
not listed is refused. Bytecode in the environment must be of the checked-hash kind (PEP 552): it cannot replace its
source.

Root can replace code and manifest together. Only a measured, verity-protected image makes the digest credible, and only
a reader who compares it with the digest of the build profits from it.
"""

import hashlib
import importlib.util
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from cji_core.errors import StartupError

VERSION: Final = "0.2.0"
"""Of all our distributions, which a test compares: metadata take longer to read than to write down."""
NAME: Final = "manifest.sha256"
_MAPS: Final = Path("/proc/self/maps")
_CHECKED_HASH: Final = b"\x03\x00\x00\x00"
_NOT_IMPORTED: Final = frozenset({"site-packages", "dist-packages"})
_CHUNK: Final = 256
_REMOVE: Final = "Remove it from the environment, or make it readable."
_REBUILD: Final = "Install the image again; if you changed the environment on purpose, run `cji manifest write`."


class Code(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The verified code of a worker: what its processes may map, and the digest of its manifest (48 bytes)."""

    sha384: bytes
    folders: tuple[str, ...]
    """Everything below them is listed."""
    files: tuple[str, ...]
    """Listed files elsewhere."""

    def check_mapped(self, maps: Path = _MAPS) -> None:
        """Raise StartupError if this process maps a file that the manifest does not list."""
        for path in sorted(mapped(maps)):
            if path not in self.files and not any(Path(path).is_relative_to(folder) for folder in self.folders):
                raise StartupError(f"The process maps {path}, which is not in the manifest", _REBUILD)


OURS: Final = ("cji_worker", "cji_attestation", "cji_operations", "cji_core", "numpy")
"""Packages whose folders a worker imports from: its own distributions, and one of all the others."""

UNVERIFIED: Final = Code(sha384=b"", folders=(), files=())
"""The code before it is verified: no file may be mapped."""


def manifest_path() -> Path:
    """The path of the manifest of this environment."""
    return Path(sys.executable).parent.parent / NAME


def import_folders() -> tuple[Path, ...]:
    """The folders that the worker and its dependencies are imported from, in order of sys.path."""
    found = (_origin(name).parents[1] for name in OURS)
    return tuple(dict.fromkeys(found))


def covered_folders() -> tuple[Path, ...]:
    """All folders that a process of the worker can import from. Raises StartupError for one that must not exist."""
    library = _library()
    zipped = library.parent / f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    if zipped.exists():  # it would come before the standard library on sys.path
        raise StartupError(f"{zipped} exists", "Remove it: the worker uses an unpacked standard library.")
    return (*import_folders(), library)


def write(folders: Sequence[Path], others: Iterable[Path]) -> bytes:
    """The manifest of all files below `folders`, and of `others`.

    Raises StartupError for a file that cannot be listed, and for unchecked bytecode in the environment.
    """
    library = str(_library())
    for path in _files(folders):
        if path.endswith(".pyc") and not path.startswith(library) and not _checked(path):
            remedy = "Run: python -m compileall -qf --invalidation-mode checked-hash ENVIRONMENT"
            raise StartupError(f"{path} is not checked-hash bytecode", remedy)
    return _lines(_digests({*_files(folders), *map(str, others)}))


def verify(manifest: Path, folders: Sequence[Path]) -> Code:
    """Compare the machine with a manifest. Raises StartupError that names the first difference and counts them all."""
    try:
        data = manifest.read_bytes()
    except OSError as error:
        remedy = "Run `cji manifest write` when you build the image; see deploy/README.md."
        raise StartupError(f"The manifest {manifest} cannot be read", remedy) from error
    listed, below = _parse(data), set(_files(folders))
    elsewhere = sorted(listed.keys() - below)
    found = _digests(below | {path for path in elsewhere if os.path.lexists(path)})
    wrong = sorted(path for path in listed.keys() | found.keys() if listed.get(path) != found.get(path))
    if wrong:
        first = wrong[0]
        how = "is missing" if first not in found else "is not listed" if first not in listed else "was changed"
        more = f", and {len(wrong) - 1} more files differ" if len(wrong) > 1 else ""
        raise StartupError(f"{first} {how}{more}", _REBUILD)
    return Code(sha384=hashlib.sha384(data).digest(), folders=tuple(map(str, folders)), files=tuple(elsewhere))


def verified_code() -> Code:
    """The code of this machine, compared with its manifest. Raises StartupError."""
    return verify(manifest_path(), covered_folders())


def mapped(maps: Path = _MAPS) -> set[str]:
    """The files that a process maps, by its /proc/PID/maps (proc(5)); memory files have no name in a folder."""
    fields = (line.split(maxsplit=5) for line in maps.read_text().splitlines())
    names = {field[5] for field in fields if len(field) == 6 and field[5].startswith("/")}
    return {name for name in names if not name.startswith(("/memfd:", "/secretmem", "/dev/zero"))}


def _library() -> Path:
    return Path(os.__file__).parent


def _origin(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise StartupError(f"The package {name} is not installed", "Install requirements.lock.")
    return Path(spec.origin)


def _files(folders: Sequence[Path]) -> Iterator[str]:
    """Everything below the folders that is not a folder itself.

    The standard library's folders for other packages are not on sys.path, so they are left out unless they are named.
    """
    library = str(_library())
    for folder in folders:
        for top, names, files in os.walk(folder):
            if top == library:
                names[:] = [name for name in names if name not in _NOT_IMPORTED]
            yield from (f"{top}/{name}" for name in files)
            yield from (link for name in names if os.path.islink(link := f"{top}/{name}"))


def _checked(bytecode: str) -> bool:
    with open(bytecode, "rb") as file:
        return file.read(8)[4:] == _CHECKED_HASH


def _digests(paths: Iterable[str]) -> dict[str, str]:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - it loads logging; most processes verify nothing

    ordered = list(paths)
    chunks = [ordered[at : at + _CHUNK] for at in range(0, len(ordered), _CHUNK)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:  # hashlib releases the lock
        digests = chain.from_iterable(pool.map(lambda chunk: [_digest(path) for path in chunk], chunks))
        return dict(zip(ordered, digests, strict=True))


def _digest(path: str) -> str:
    """SHA-256 of a file, or of the target of a link to a folder, which is not followed."""
    try:
        if os.path.islink(path) and os.path.isdir(path):
            return hashlib.sha256(b"-> " + os.fsencode(os.readlink(path))).hexdigest()
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # never wait for the other end of a pipe
    except OSError as error:
        raise StartupError(f"{path!r} cannot be read", _REMOVE) from error
    with open(fd, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or "\n" in path:
            raise StartupError(f"{path!r} is not a regular file with a plain name", _REMOVE)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(digests: Mapping[str, str]) -> bytes:
    return b"".join(b"%s  %s\n" % (digests[path].encode(), os.fsencode(path)) for path in sorted(digests))


def _parse(data: bytes) -> dict[str, str]:
    """The lines of a manifest. Raises StartupError unless they are exactly what `write` makes."""
    pairs = (line.partition(b"  ") for line in data.splitlines())
    listed = {os.fsdecode(name): digest.decode("ascii", "replace") for digest, _, name in pairs}
    if not listed or _lines(listed) != data:
        raise StartupError("The manifest is not sorted lines of sha256sum", _REBUILD)
    return listed
