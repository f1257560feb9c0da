"""A sealed result on disk: what opens it is the recipient's key, wherever the folder is.

    header.bin         JobHeader, exactly as it was signed
    result_header.bin  ResultHeader, exactly as it was received
    receipt.jws        the receipt
    evidence.json      the evidence of the worker that signed it
    parts/00000        the outputs, each a whole FLOE stream
    result.json        names of columns, digests of the inputs; written last: a folder with it is complete

Nothing in it is trusted. `load_result` verifies evidence, receipt and the digest of every part before anything is
opened; what the sender compared with the inputs is a claim of the receipt to the person who opens it.
"""

import io
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO, Final, cast

import msgspec
from msgspec import Meta

from cji_attestation import Trust
from cji_attestation.appraisal import ReferenceValues
from cji_attestation.attested import AttestedWorker, read_evidence
from cji_attestation.evidence_file import MAX_FILE_BYTES
from cji_client.errors import SpecError, Unverified
from cji_client.job_folder import HEADER, new_file, part_file, read_bounded, settle, write_new
from cji_client.received import Output, ResultHeader, new_output, parse_result_header
from cji_client.result import Result
from cji_client.submitted_types import Numbers
from cji_client.verify import verify_result, verify_stored
from cji_core.documents import decode
from cji_core.errors import Refusal
from cji_core.format.envelope import FLOE_HEADER_BYTES, SEGMENT_BYTES
from cji_core.format.job import LIMITS, Header, OutputPart, parse
from cji_core.format.paths import FileName
from cji_core.strict import StrictError
from cji_core.trail import PartDigest

RECEIPT: Final = "receipt.jws"
EVIDENCE: Final = "evidence.json"
_RESULT_HEADER: Final = "result_header.bin"
_ABOUT: Final = "result.json"
_RECEIPT_BYTES: Final = 1 << 20
_ABOUT_BYTES: Final = 1 << 20
_REMEDY: Final = "Copy the folder again, whole, from the machine that received the result."


class _About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    version: Annotated[int, Meta(ge=1, le=1)]
    inputs: tuple[PartDigest, ...]
    columns: dict[str, tuple[str, ...]]
    numbers: dict[str, dict[str, str]] = {}


def save_result(result: Result, folder: FileName) -> None:
    """Write a result into a new folder, still sealed, all or nothing.

    SpecError if it exists or cannot be written; the result stays as it was.
    """
    folder = Path(folder)
    made = not folder.exists()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "parts").mkdir(mode=0o700)
        for number, output in enumerate(result.outputs):
            output.file.seek(0)
            with new_file(part_file(folder, number)) as file:
                shutil.copyfileobj(output.file, file)
        complete_result(result, folder)
    except FileExistsError as error:
        raise SpecError(f"{error.filename} exists", remedy="Choose a new folder.") from None
    except BaseException as error:
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise SpecError(f"{folder} cannot be written ({error.strerror})", remedy="Choose another folder.") from None
        raise


def complete_result(result: Result, folder: Path) -> None:
    """Add to the parts in a folder whatever else belongs there, durably, for their owner alone. Raises OSError."""
    write_new(folder / HEADER, result.job.data)
    write_new(folder / _RESULT_HEADER, result.header.data)
    write_new(folder / RECEIPT, result.receipt.compact.encode() + b"\n")
    write_new(folder / EVIDENCE, result.attested.to_file())
    for number in range(len(result.outputs)):
        with part_file(folder, number).open("rb+") as file:
            settle(file)
    about = _About(
        version=1,
        inputs=result.sent,
        columns=dict(result.columns),
        numbers={name: dict(types) for name, types in result.numbers.items()},
    )
    write_new(folder / _ABOUT, msgspec.json.encode(about))


def replace_evidence(folder: Path, attested: AttestedWorker) -> None:
    """Replace the evidence in a folder, at once. Raises OSError."""
    new = folder / f"{EVIDENCE}.new"
    write_new(new, attested.to_file())
    new.replace(folder / EVIDENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFolder:
    """A folder that was read, and not verified: what it says of itself."""

    folder: Path
    job: Header
    header: ResultHeader
    receipt: str
    evidence: bytes = field(repr=False)
    sent: tuple[PartDigest, ...]
    columns: Mapping[str, tuple[str, ...]]
    numbers: Numbers

    def verified(self, *, trust: Trust, reference: ReferenceValues, at: datetime | None = None) -> Result:
        """The result, once its evidence, its receipt and every part have been verified. Uses no network.

        The evidence is appraised at the latest time that it proves, or at `at`, which the caller vouches for.
        Unverified names the failed check. The caller closes the result.
        """
        attested = read_evidence(self.evidence, trust=trust, reference=reference, at=at)
        verify_stored(self.receipt, attested=attested, header=self.job)
        outputs = list[Output]()
        try:
            for number, part in enumerate(self.header.parts):
                outputs.append(_read_output(part, part_file(self.folder, number)))
            receipt = verify_result(
                self.receipt, job=self.job, attested=attested, sent=self.sent, header=self.header, outputs=outputs
            )
        except BaseException:
            for output in outputs:
                output.file.close()
            raise
        return Result(
            job=self.job,
            header=self.header,
            outputs=tuple(outputs),
            receipt=receipt,
            attested=attested,
            sent=self.sent,
            columns=self.columns,
            numbers=self.numbers,
        )


def read_result_folder(folder: Path) -> ResultFolder:
    """The claims of a folder; SpecError if it is incomplete, Unverified if its headers contradict each other."""
    try:
        about = decode(read_bounded(folder / _ABOUT, _ABOUT_BYTES), _About, limit=_ABOUT_BYTES)
        job = parse(read_bounded(folder / HEADER, LIMITS.header_bytes))
        return ResultFolder(
            folder=folder,
            job=job,
            header=parse_result_header(read_bounded(folder / _RESULT_HEADER, LIMITS.header_bytes), job),
            receipt=read_bounded(folder / RECEIPT, _RECEIPT_BYTES).decode("ascii").strip(),
            evidence=read_bounded(folder / EVIDENCE, MAX_FILE_BYTES),
            sent=about.inputs,
            columns=about.columns,
            numbers=about.numbers,
        )
    except OSError as error:
        raise SpecError(f"{error.filename} cannot be read ({error.strerror})", remedy=_REMEDY) from None
    except (StrictError, UnicodeDecodeError, Refusal):
        raise SpecError(f"{folder} contains no sealed result", remedy=_REMEDY) from None


def load_result(
    folder: FileName, *, trust: Trust, reference: ReferenceValues | None = None, at: datetime | None = None
) -> Result:
    """The verified result in a folder that `Result.save` wrote, as `ResultFolder.verified`."""
    return read_result_folder(Path(folder)).verified(trust=trust, reference=reference or ReferenceValues(), at=at)


def _read_output(part: OutputPart, path: Path) -> Output:
    """A part whose segments are whole and whose digest is known; the file stays open."""
    try:
        file = path.open("rb")
        output = new_output(part, cast("BinaryIO", _Nowhere()))
        size = FLOE_HEADER_BYTES + SEGMENT_BYTES
        while data := file.read(size):
            output.add(output.segments, data)
            size = SEGMENT_BYTES
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})", remedy=_REMEDY) from None
    if not output.ended:
        raise Unverified("outputs", f"{path.name} has no last segment")
    output.file = file
    return output


class _Nowhere(io.RawIOBase):
    """Takes what lies in a file already."""

    def write(self, data: object) -> int:
        return len(data)  # type: ignore[arg-type]
