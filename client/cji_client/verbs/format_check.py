"""`cji format check`: what is wrong with the bytes of a job, by the rules of docs/format.md and without keys."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_client.errors import ClientError
from cji_client.job_folder import HEADER, read_bounded
from cji_client.received import parse_result_header
from cji_core.command.common import Failure, explained
from cji_core.command.json_output import answers, member, print_answer
from cji_core.errors import CoreError, Refusal
from cji_core.format.envelope import FLOE_HEADER_BYTES, OVERHEAD_BYTES, SEGMENT_BYTES
from cji_core.format.job import LIMITS, Header, parse
from cji_core.suites import Suite
from cji_core.trail import ReceiptError, claims_unverified
from cji_core.trail.compact import MAX_BYTES, typ_unverified
from cji_core.trail.confirmations import confirmation_unverified
from cji_core.trail.failures import failure_unverified

_PARAMETERS: Final = bytes.fromhex("00000010000000000020")
_NOT_LAST: Final = b"\xff\xff\xff\xff"
_DOCUMENTS: Final[Mapping[str, Callable[[str], object]]] = {
    "cji-receipt+jws": claims_unverified,
    "cji-failure+jws": failure_unverified,
    "cji-confirmation+jws": confirmation_unverified,
}
_SIGNATURE_BYTES: Final = {Suite.CLASSICAL_1: (96, 96), Suite.HYBRID_1: (4627 + 8, LIMITS.signature_bytes)}
_PATH: Final = click.Path(exists=True, path_type=Path)
_FAULTY: Final = 3  # as all verbs for what cannot be trusted


class CheckedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file, and the rule that it breaks."""

    file: Annotated[str, member("its path")]
    kind: Annotated[str, member("header, signature, part, result header or document")]
    fault: Annotated[str, member("the rule that it breaks, a name of docs/format.md; empty if it breaks none")]


class CheckedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """`cji format check`: what was looked at, without keys."""

    files: Annotated[tuple[CheckedFile, ...], member("objects of the kind CheckedFile")]


@click.group("format")
def format_() -> None:
    """Check the bytes of sealed jobs and results, for those who write them in another language."""


@format_.command()
@click.argument("paths", metavar="PATH...", type=_PATH, nargs=-1, required=True)
@answers(CheckedFiles)
@explained
def check(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Name the rule that a sealed job, a result, or a part of one breaks. No key is needed, and none is asked for.

    A PATH is a folder as `cji job seal` and `--save-sealed` write it, or a file: a job header, a part (a whole FLOE
    stream), or a receipt, failure receipt or confirmation. Signatures are not verified and nothing is opened; what
    only a key can show is for `cji receipt verify` and `cji job open`. A result header is checked in its folder,
    against the header there.

    \b
    Examples:
      cji format check sealed-job
      cji format check header.bin parts/00000 receipt.jws
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    found = tuple(each for path in paths for each in (_folder(path) if path.is_dir() else [_file(path)]))
    faulty = [each for each in found if each.fault]
    text = "\n".join(f"{each.file}: {each.kind}, {each.fault or 'no fault'}" for each in found)
    print_answer(CheckedFiles(files=found), text=text, as_json=as_json)
    if faulty:
        raise Failure(
            f"{len(faulty)} of {len(found)} files are faulty",
            remedy="The rules are in docs/format.md, in the section of the kind of file.",
            status=_FAULTY,
        )


def _folder(path: Path) -> Iterator[CheckedFile]:
    yield _checked(path / HEADER, "header", _header)
    header = _parsed(path / HEADER)
    if (path / "signature.bin").exists():
        yield _checked(path / "signature.bin", "signature", lambda file: _signature(file, header))
    result, most = path / "result_header.bin", len(header.parts) if header else None
    if result.exists():
        yield _checked(result, "result header", lambda file: _result_header(file, header))
        most = _output_parts(result, header)
    parts = sorted((path / "parts").glob("*"))
    if not parts:
        fault = "no parts: `cji job seal` and `--save-sealed` write a folder with them"
        yield CheckedFile(file=str(path / "parts"), kind="part", fault=fault)
    elif most is not None and [part.name for part in parts] != [f"{n:05}" for n in range(most)]:
        fault = f"one file for each part of the {'result header' if result.exists() else 'header'}"
        yield CheckedFile(file=str(path / "parts"), kind="part", fault=fault)
    for part in parts:
        yield _checked(part, "part", _part)
    if (path / "receipt.jws").exists():
        yield _checked(path / "receipt.jws", "document", _document)


def _file(path: Path) -> CheckedFile:
    """By its first bytes: a stream begins with its parameters, a document with the header of a JWS."""
    try:
        with path.open("rb") as file:
            begin = file.read(len(_PARAMETERS))
    except OSError:
        begin = b""  # the check names it
    if begin.startswith(b"eyJ"):
        return _checked(path, "document", _document)
    if begin[:2] == bytes(2):
        return _checked(path, "part", _part)
    return _checked(path, "header", _header)


def _checked(path: Path, kind: str, fault: Callable[[Path], str]) -> CheckedFile:
    try:
        found = fault(path) if path.is_file() else "there is no such file"
    except (ClientError, Refusal) as error:
        found = str(error.__cause__ if isinstance(error, Refusal) else error)
    except OSError as error:
        found = f"cannot be read ({error.strerror})"
    return CheckedFile(file=str(path), kind=kind, fault=found)


def _header(path: Path) -> str:
    parse(read_bounded(path, LIMITS.header_bytes))
    return ""


def _parsed(path: Path) -> Header | None:
    try:
        return parse(read_bounded(path, LIMITS.header_bytes))
    except (ClientError, Refusal, OSError):
        return None


def _output_parts(path: Path, header: Header | None) -> int | None:
    """How many parts the result header has, or None if it is faulty."""
    try:
        return len(parse_result_header(read_bounded(path, LIMITS.header_bytes), header).parts) if header else None
    except (ClientError, OSError):
        return None


def _signature(path: Path, header: Header | None) -> str:
    size = path.stat().st_size
    least, most = _SIGNATURE_BYTES[header.suite] if header else (1, LIMITS.signature_bytes)
    wanted = f"{least}" if least == most else f"{least} to {most}"
    return "" if least <= size <= most else f"a signature of {size} bytes, not {wanted}"


def _result_header(path: Path, header: Header | None) -> str:
    if header is None:
        return "the header of its job is faulty"
    parse_result_header(read_bounded(path, LIMITS.header_bytes), header)
    return ""


def _document(path: Path) -> str:
    try:
        text = read_bounded(path, MAX_BYTES).decode("ascii").removesuffix("\n")
        typ = typ_unverified(text)
        if typ not in _DOCUMENTS:
            return f"typ: {typ} is none of a submitter's documents"
        _DOCUMENTS[typ](text)
    except (ReceiptError, CoreError) as error:
        return str(error)
    except UnicodeDecodeError:
        return "receipt: not ASCII"
    return ""


def _part(path: Path) -> str:
    """The framing of a FLOE stream: its parameters, the lengths of its segments, one last segment and nothing more."""
    with path.open("rb") as file:
        header, index = file.read(FLOE_HEADER_BYTES), 0
        if len(header) < FLOE_HEADER_BYTES or not header.startswith(_PARAMETERS):
            return "parameters of the stream"
        while segment := file.read(SEGMENT_BYTES):
            last = segment[:4] != _NOT_LAST
            if len(segment) < OVERHEAD_BYTES or len(segment) != (
                int.from_bytes(segment[:4], "big") if last else SEGMENT_BYTES
            ):
                return f"length of segment {index}"
            if last:
                return "bytes behind the last segment" if file.read(1) else ""
            index += 1
    return "no last segment"
