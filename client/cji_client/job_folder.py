"""A sealed job on disk: all that is sent of it, and nothing that opens it.

    header.bin      JobHeader, exactly as signed
    signature.bin   its signature
    send-key.pem    signs the admissions of this job, and nothing else
    parts/00000     the sealed parts, each a whole FLOE stream
    job.json        submitter, digests of the parts, names of columns; written last: a folder with it is complete
    ticket          empty; there once the job's ticket was sent

The data key is gone once the parts are sealed, so any machine may hold and submit the folder. Who has a copy of the
folder can send the job once more, until it has run or expired.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import msgspec
from msgspec import Meta

from cji_client.errors import SpecError
from cji_client.progress import Phase, Progress, ProgressCallback
from cji_client.seal import SealedJob
from cji_client.sources import Source
from cji_client.spans import span
from cji_client.submitted_types import Numbers
from cji_core.documents import decode
from cji_core.errors import Refusal
from cji_core.format.envelope import signer_thumbprint
from cji_core.format.job import LIMITS, Header, parse
from cji_core.format.keys import load_signing_key, save_private_key
from cji_core.format.paths import FileName
from cji_core.jose import SigningKey
from cji_core.pool.documents import SUBMITTER_CHARACTERS
from cji_core.strict import StrictError
from cji_core.trail import PartDigest

HEADER: Final = "header.bin"
_SIGNATURE: Final = "signature.bin"
_SEND_KEY: Final = "send-key.pem"
ABOUT: Final = "job.json"
_TICKET: Final = "ticket"
_ABOUT_BYTES: Final = 1 << 20
_REMEDY: Final = "Seal the records again, into a new folder."


class _About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    version: Annotated[int, Meta(ge=1, le=1)]
    submitter: Annotated[str, Meta(min_length=1, max_length=SUBMITTER_CHARACTERS)]
    parts: tuple[PartDigest, ...]
    columns: dict[str, tuple[str, ...]]
    numbers: dict[str, dict[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFolder:
    """A sealed job in a folder.

    `sent` are the digests of its parts, which the receipt must have, `columns` the names of each input's columns,
    `numbers` the types of those that were numbers before they were sent as text.
    """

    folder: Path
    header: Header
    signature: bytes = field(repr=False)
    send_key: SigningKey = field(repr=False)
    submitter: str
    sent: tuple[PartDigest, ...]
    columns: Mapping[str, tuple[str, ...]]
    numbers: Numbers

    def part(self, number: int) -> Path:
        """The file of one sealed part."""
        return part_file(self.folder, number)

    def check_parts(self) -> None:
        """Raise SpecError unless every part is there with its length. Only `submit` needs the parts."""
        for number, digest in enumerate(self.sent):
            try:
                size = self.part(number).stat().st_size
            except OSError as error:
                raise SpecError(f"{error.filename} cannot be read ({error.strerror})", remedy=_REMEDY) from None
            if size != digest.bytes:
                raise SpecError(f"{self.part(number)} is not the part that was sealed", remedy=_REMEDY)

    @property
    def ticket_sent(self) -> bool:
        """Whether the job's ticket was sent."""
        return (self.folder / _TICKET).exists()

    def note_ticket(self) -> None:
        """Record that the job's ticket was sent."""
        write_new(self.folder / _TICKET, b"")


def part_file(folder: Path, number: int) -> Path:
    """The file of one sealed part in the folder of a job."""
    return folder / "parts" / f"{number:05d}"


def save_job(
    job: SealedJob,
    inputs: Mapping[str, Source],
    folder: FileName,
    *,
    submitter: str,
    progress: ProgressCallback | None = None,
) -> JobFolder:
    """Seal the records of a job into a new folder. `submitter` is the URI under which the worker's policy knows it.

    `progress` is called with bytes sealed. Raises SpecError; what was written then stays, without its last file.
    """
    names = [part.name for part in job.header.inputs]
    if set(inputs) != set(names):
        raise SpecError(f"the job's inputs are {', '.join(names)}")
    folder = Path(folder)
    try:
        with span("cji.seal", job.header.job_id) as sealing:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / "parts").mkdir(mode=0o700)
            write_new(folder / HEADER, job.header.data)
            write_new(folder / _SIGNATURE, job.signature)
            save_private_key(job.send_key, folder / _SEND_KEY, passphrase=None)
            sent, total, columns = list[PartDigest](), 0, dict[str, tuple[str, ...]]()
            numbers = dict[str, dict[str, str]]()
            for number, name in enumerate(names):
                source = job.fit(number, inputs[name])
                columns[name] = tuple(source.schema.names)
                numbers |= {name: source.numbers} if source.numbers else {}
                for part, segments in job.seal_parts(number, source):
                    digest, length = hashlib.sha256(), 0
                    with new_file(part_file(folder, part)) as file:
                        for data in segments:
                            file.write(data)
                            digest.update(data)
                            length += len(data)
                            if progress is not None:
                                progress(Progress(phase=Phase.SEALING, bytes=total + length))
                        settle(file)
                    sent.append(PartDigest(name=name, sha256=digest.hexdigest(), bytes=length))
                    total += length
            about = _About(version=1, submitter=submitter, parts=tuple(sent), columns=columns, numbers=numbers)
            write_new(folder / ABOUT, msgspec.json.encode(about))
            sealing.end(bytes=total)
    except FileExistsError as error:
        raise SpecError(f"{error.filename} exists", remedy="Choose a new folder.") from None
    except OSError as error:
        raise SpecError(f"{folder} cannot be written ({error.strerror})", remedy=_REMEDY) from None
    return load_job(folder)


def load_job(folder: FileName) -> JobFolder:
    """The job in this folder. Raises SpecError if it is incomplete; the parts are looked at by `check_parts`."""
    folder = Path(folder)
    try:
        about = decode(read_bounded(folder / ABOUT, _ABOUT_BYTES), _About, limit=_ABOUT_BYTES)
        header = parse(read_bounded(folder / HEADER, LIMITS.header_bytes))
        signature = read_bounded(folder / _SIGNATURE, LIMITS.signature_bytes)
        if [each.name for each in header.parts] != [each.name for each in about.parts] or (
            about.columns.keys() != header.input_schemas.keys()
        ):
            raise SpecError(f"{folder} has other parts than its header", remedy=_REMEDY)
        send_key = load_signing_key(folder / _SEND_KEY)
        if header.send_key != signer_thumbprint(send_key.public_key(), header.suite):
            raise SpecError(f"{folder} has another send key than its header", remedy=_REMEDY)
    except OSError as error:
        raise SpecError(f"{error.filename} cannot be read ({error.strerror})", remedy=_REMEDY) from None
    except (StrictError, Refusal):
        raise SpecError(f"{folder} contains no sealed job", remedy=_REMEDY) from None
    return JobFolder(
        folder=folder,
        header=header,
        signature=signature,
        send_key=send_key,
        submitter=about.submitter,
        sent=about.parts,
        columns=about.columns,
        numbers=about.numbers,
    )


def read_bounded(path: Path, most: int) -> bytes:
    """All bytes of a file; SpecError for more than `most`."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise SpecError(f"{path} is too long", remedy=_REMEDY)
    return data


def write_new(path: Path, data: bytes) -> None:
    """Write a new file for its owner, durably."""
    with new_file(path) as file:
        file.write(data)
        settle(file)


def new_file(path: Path) -> BinaryIO:
    """A new file for its owner."""
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))


def settle(file: BinaryIO) -> None:
    """Bring the bytes of a file to the disk."""
    file.flush()
    os.fsync(file.fileno())
