"""A packet as files. All but what was given is a pure function of material and catalog.

packet.json               every other file with its size and SHA-256
material.json             the facts, from which everything else is computed
catalog.json              the texts of the policy, as the maker's catalog has them
lines/N-TRAIL.jsonl       lines of each trail; their proofs are in material.json
given/KIND/NAME           files that the maker gave and that may be passed on
rows.json                 every fragment with its status, checks and evidence
packet.html, packet.docx  for people; the DOCX if it was wanted
oscal/NAME                OSCAL, and the pictures of its plan
"""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_audit.packet.archive import MAX_BYTES, MAX_FILES, packed, unpacked
from cji_audit.packet.attachments import FOLDERS, KINDS, Attachments, Files, Kind
from cji_audit.packet.catalog import Catalog
from cji_audit.packet.controls import controls
from cji_audit.packet.errors import PacketError
from cji_audit.packet.html import html
from cji_audit.packet.material import Deployment, Material
from cji_audit.packet.oscal import oscal
from cji_audit.packet.report import report
from cji_audit.packet.rows import rows
from cji_audit.packet.word import docx
from cji_core.digests import Hex64

INDEX: Final = "packet.json"
MATERIAL: Final = "material.json"
CATALOG: Final = "catalog.json"
ROWS: Final = "rows.json"
PAGE: Final = "packet.html"
DOCX: Final = "packet.docx"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]|^[.-]")
_Name = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*){0,2}\Z", max_length=255)
]
_REMEDY: Final = "Give a packet that `cji audit packet` made."
_encoder: Final = msgspec.json.Encoder(order="deterministic")


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of a packet."""

    size: int
    sha256: Hex64


class Index(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """packet.json."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    files: Annotated[dict[_Name, Entry], Meta(max_length=MAX_FILES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything that a packet is made of. `lines` are the included lines of each trail, by their numbers."""

    material: Material
    catalog: Catalog
    lines: Sequence[Mapping[int, bytes]]
    attachments: Attachments


def files_of(content: Content, *, with_docx: bool) -> dict[str, bytes]:
    """All files of the packet. PacketError for a name that two files have, and without python-docx."""
    files = {**computed(content.material, content.catalog)}
    files[MATERIAL], files[CATALOG] = encoded(content.material), encoded(content.catalog)
    for number, (trail, of) in enumerate(zip(content.material.trails, content.lines, strict=True), 1):
        files[lines_name(number, trail.file)] = b"".join(line for _, line in sorted(of.items()))
    for kind in KINDS:
        for name, data in content.attachments.of(kind).items():
            at = f"given/{kind}/{safe(name)}"
            if at in files:
                raise PacketError(f"Two files of {kind} have the name {safe(name)}", "Rename one of them.")
            files[at] = data
    if with_docx:
        document = report(content.material, content.catalog, rows(content.material, content.catalog, controls()))
        files[DOCX] = docx(document, dated=content.material.period.last)
    listed = {name: Entry(size=len(data), sha256=sha256(data).hexdigest()) for name, data in sorted(files.items())}
    files[INDEX] = msgspec.json.format(_encoder.encode(Index(files=listed))) + b"\n"
    return files


def computed(material: Material, catalog: Catalog) -> dict[str, bytes]:
    """The files that follow from material and catalog alone."""
    found = rows(material, catalog, controls())
    made = {ROWS: encoded(found), PAGE: "".join(html(report(material, catalog, found))).encode()}
    return made | {f"oscal/{name}": data for name, data in oscal(material, catalog, found).items()}


def encoded(of: object) -> bytes:
    """JSON of a fact, in its one form."""
    return msgspec.json.format(_encoder.encode(of)) + b"\n"


def lines_name(number: int, trail: str) -> str:
    """The file with the included lines of the `number`-th trail."""
    return f"lines/{number}-{safe(trail)}.jsonl"


def safe(name: str) -> str:
    """A file's name as a packet writes it."""
    return _UNSAFE.sub("_", name)[:200] or "_"


def attachments_of(files: Mapping[str, bytes], material: Material) -> Attachments:
    """The files of a packet that were given, by kind, under the names that the material has."""
    found: dict[Kind, dict[str, bytes]] = {}
    for name, data in files.items():
        first, _, rest = name.partition("/")
        kind, _, last = rest.partition("/")
        if first == "given" and kind in KINDS:
            found.setdefault(kind, {})[last] = data
    for folder in FOLDERS:
        if getattr(material, folder) is not None:
            found.setdefault(folder, {})
    return Attachments(files={kind: _renamed(of, material, kind) for kind, of in found.items()})


def _renamed(of: Mapping[str, bytes], material: Material, kind: Kind) -> Files:
    facts = getattr(material, kind, None) or ()
    held = facts.files if isinstance(facts, Deployment) else ()
    held = held or tuple(each.file for each in (facts if isinstance(facts, tuple) else (facts,)))
    names = {safe(file.name): file.name for file in held}
    return {names.get(name, name): data for name, data in of.items()}


def write(files: Mapping[str, bytes], out: Path) -> Path:
    """Write the folder, and the ZIP beside it, whose path is returned. PacketError if one of them exists."""
    archive = out.with_name(f"{out.name}.zip")
    for each in (out, archive):
        if each.exists():
            raise PacketError(f"{each} exists", "Choose another --out.")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            for name, data in files.items():
                path = folder / name
                for parent in reversed(path.relative_to(folder).parents):
                    (folder / parent).mkdir(mode=0o700, exist_ok=True)
                _create(path, data)
            os.rename(folder, out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        _create(archive, packed(files))
    except OSError as error:
        raise PacketError(f"{out} cannot be written ({error.strerror})", "Choose another --out.") from error
    return archive


def read(path: Path) -> dict[str, bytes]:
    """The files of a packet, a folder or a ZIP. PacketError for anything else."""
    try:
        if path.is_dir():
            found = [each for each in sorted(path.rglob("*")) if not each.is_dir() or each.is_symlink()]
            if len(found) > MAX_FILES or any(each.is_symlink() or not each.is_file() for each in found):
                raise PacketError(f"{path} has links or too many files", _REMEDY)
            if sum(each.stat().st_size for each in found) > MAX_BYTES:
                raise PacketError(f"{path} is too large", _REMEDY)
            return {each.relative_to(path).as_posix(): each.read_bytes() for each in found}
        if path.stat().st_size > MAX_BYTES:
            raise PacketError(f"{path} is too large", _REMEDY)
        return unpacked(path.read_bytes())
    except OSError as error:
        raise PacketError(f"{path} cannot be read ({error.strerror})", _REMEDY) from error


def _create(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
