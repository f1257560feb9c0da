"""Results: collected sealed until the receipt can be verified.

`Collector` accepts the messages of one Run stream in the order of the contract only: accepted, then progress and
segments, then done, which has the receipt and the result header. Output parts may interleave; indexes within a part may
not skip or repeat. Nothing opens before `done`: until then the names of the parts are not known, nor their key. The
ciphertext stays in unlinked temporary files until the receipt has been verified; no plaintext touches a disk. More
bytes than the job can make are refused before they reach a file.
"""

import contextlib
import hashlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Final, cast

from google.protobuf.message import DecodeError

from cji_client.bounds import check_bytes
from cji_client.errors import NotStored, Unverified
from cji_client.progress import Phase, Progress, ProgressCallback
from cji_core.format.envelope import FLOE_HEADER_BYTES, OVERHEAD_BYTES, SEGMENT_BYTES, wrapped_result_key_bytes
from cji_core.format.job import LIMITS, Header, OutputPart, SizeClass
from cji_core.format.job.fields import NAME, SCHEMA
from cji_core.jose import parse_recipient
from cji_core.wire.v1 import worker_pb2 as pb

RESULT: Final = "result"
ROW_STATUS: Final = "row_status"

_NOT_LAST: Final = b"\xff\xff\xff\xff"
_IN_MEMORY: Final = 16 << 20
"""Bytes of one part kept in memory before it moves to a file."""
_MOST_REPORTS: Final = 1 << 16
"""Of progress: a worker sends one for each per cent of each step at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultHeader:
    """A result header that matches its job. The AAD of every output contains the digest of `data`."""

    data: bytes
    sha384: bytes
    job_header_sha384: bytes
    worker_id: str
    outputs: tuple[OutputPart, ...]
    wrapped: dict[str, bytes]
    padded: bool
    """Whether the job asked for outputs of size class POWER_OF_TWO."""

    @property
    def schemas(self) -> dict[str, str]:
        """The schema id of each output, by name."""
        return {output.name: output.schema for output in self.outputs}

    @property
    def parts(self) -> tuple[OutputPart, ...]:
        """The output of each part, by the number of the part."""
        return tuple(output for output in self.outputs for _ in range(output.shards))

    def parts_of(self, name: str) -> range:
        """The numbers of the parts of an output."""
        numbers = [number for number, output in enumerate(self.parts) if output.name == name]
        return range(numbers[0], numbers[-1] + 1)


def parse_result_header(data: bytes, job: Header) -> ResultHeader:
    """The parsed result header of this job, or Unverified(`result_header`)."""
    message = pb.ResultHeader()
    try:
        _require(0 < len(data) <= LIMITS.header_bytes, "length")
        message.ParseFromString(data)
    except DecodeError:
        raise Unverified("result_header", "not protobuf") from None
    message.DiscardUnknownFields()
    _require(message.SerializeToString(deterministic=True) == data, "not canonical, or with unknown fields")
    _require(message.version == 1 and message.job_id == job.job_id, "wrong version or job")
    _require(message.job_header_sha384 == job.sha384, "wrong job header")
    names = [part.name for part in message.outputs]
    _require(len(set(names)) == len(names) <= LIMITS.parts and {RESULT, ROW_STATUS} <= set(names), "outputs")
    named = all(NAME.fullmatch(part.name) and SCHEMA.fullmatch(part.schema) for part in message.outputs)
    _require(named, "names")
    _require(all(part.shards != 1 and part.shards <= LIMITS.shards for part in message.outputs), "shards")
    wrapped = {each.key_id: each.wrapped_dek for each in message.recipients}
    _require([each.key_id for each in message.recipients] == [each.key_id for each in job.recipients], "recipients")
    keys = (parse_recipient(each.jwk, job.suite) for each in job.recipients)
    lengths = [wrapped_result_key_bytes(key) for key in keys]
    _require([len(key) for key in wrapped.values()] == lengths, "length of a wrapped key")
    return ResultHeader(
        data=data,
        sha384=hashlib.sha384(data).digest(),
        job_header_sha384=job.sha384,
        worker_id=message.worker_id,
        outputs=tuple(
            OutputPart(name=part.name, schema=part.schema, shards=part.shards or 1) for part in message.outputs
        ),
        wrapped=wrapped,
        padded=job.size_class is SizeClass.POWER_OF_TWO,
    )


@dataclass(slots=True, kw_only=True)
class Output:
    """The sealed bytes of one output part; `length` is the number received so far. Named by the result header."""

    name: str = ""
    schema: str = ""
    file: BinaryIO = field(repr=False)
    length: int = 0
    segments: int = 0
    ended: bool = False
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256, repr=False)

    def add(self, index: int, data: bytes) -> None:
        """Accept the next segment; Unverified(`segment`) if it is out of order or has a wrong length."""
        prefix = 0 if self.segments else FLOE_HEADER_BYTES
        sealed = len(data) - prefix
        last = data[prefix : prefix + 4] != _NOT_LAST
        if self.ended or index != self.segments:
            raise Unverified("segment", f"segment {index} of {self.name or 'a part'} is not the next one")
        if not OVERHEAD_BYTES <= sealed <= SEGMENT_BYTES or not (last or sealed == SEGMENT_BYTES):
            raise Unverified("segment", f"segment {index} of {self.name or 'a part'} has a wrong length")
        try:
            self.file.write(data)
        except OSError:  # its disk is full
            self.file = _moved(self.file, self.length)
            self.file.write(data)
        self._digest.update(data)
        self.length += len(data)
        self.segments += 1
        self.ended = last

    @property
    def sha256(self) -> bytes:
        """SHA-256 of all bytes so far, FLOE header included."""
        return self._digest.digest()


class Collector:
    """The state of one Run stream on the submitter's side. `bound` returns the most bytes that may have come by now.

    `file` makes the file of a part, by its number.
    """

    def __init__(
        self,
        job: Header,
        *,
        bound: Callable[[], int] = lambda: sys.maxsize,
        file: Callable[[int], BinaryIO] | None = None,
        progress: ProgressCallback | None = None,
    ) -> None:
        self._job, self._bound, self._file, self._progress = job, bound, file or (lambda _: _spool()), progress
        self._accepted, self._bytes, self._reports = False, 0, 0
        self._parts: dict[int, Output] = {}
        self._done: pb.Done | None = None

    def take(self, message: pb.RunResponse) -> None:
        """Accept the next message; Unverified(`stream`), (`segment`) or (`result_bytes`) if it may not come now.

        NotStored if this machine cannot write it.
        """
        kind = message.WhichOneof("message")
        if self._done is not None or kind is None or (kind == "accepted") is self._accepted:
            raise Unverified("stream", f"unexpected message {kind}")
        match kind:
            case "accepted":
                self._accepted = True
            case "progress":
                self._reports += 1
                if self._reports > _MOST_REPORTS:
                    raise Unverified("stream", "reports of progress without end")
                self._report(message.progress)
            case "segment":
                self._segment(message.segment)
            case "done":
                self._done = message.done

    def _segment(self, segment: pb.Segment) -> None:
        if segment.part >= LIMITS.parts:
            raise Unverified("segment", "no job has so many parts")
        self._bytes += len(segment.data)
        check_bytes(self._bytes, self._bound())
        if self._progress is not None:
            self._progress(Progress(phase=Phase.RECEIVING, bytes=self._bytes))
        try:
            if segment.part not in self._parts:
                self._parts[segment.part] = Output(file=self._new_file(segment.part))
            self._parts[segment.part].add(segment.index, segment.data)
        except OSError as error:
            raise NotStored("the sealed result cannot be written", error) from None

    def _new_file(self, part: int) -> BinaryIO:
        try:
            return self._file(part)
        except OSError:  # its folder is gone
            return _spool()

    @property
    def done(self) -> pb.Done:
        """The last message; Unverified(`stream`) if the stream ended without it."""
        if self._done is None or not self._done.receipt:
            raise Unverified("stream", "the answer is incomplete")
        return self._done

    def finish(self) -> tuple[ResultHeader, tuple[Output, ...]]:
        """Header and outputs of an ended stream; Unverified(`stream`) if they are not complete."""
        header = parse_result_header(self.done.result_header, self._job)
        if len(header.parts) > LIMITS.parts:
            raise Unverified("result_header", "too many parts")
        outputs = [self._parts.get(number) for number in range(len(header.parts))]
        if any(number >= len(outputs) for number in self._parts):
            raise Unverified("segment", "the result header does not list this part")
        found = tuple(output for output in outputs if output is not None and output.ended)
        if len(found) != len(header.parts):
            raise Unverified("stream", "the answer is incomplete")
        for output, listed in zip(found, header.parts, strict=True):
            output.name, output.schema = listed.name, listed.schema
        return header, found

    def discard(self) -> None:
        """Release the collected outputs."""
        for output in self._parts.values():
            with contextlib.suppress(OSError):  # of bytes that were not written
                output.file.close()

    def _report(self, progress: pb.Progress) -> None:
        if self._progress is not None:
            stage = progress.stage if progress.stage.isascii() and progress.stage.isidentifier() else "work"
            self._progress(Progress(phase=Phase.RUNNING, stage=stage[:32], per_cent=min(progress.per_cent, 100)))


def new_output(part: OutputPart, file: BinaryIO | None = None) -> Output:
    """A part that has not come yet. Without a file it gets one of its own, in memory while it is small."""
    return Output(name=part.name, schema=part.schema, file=file or _spool())


def _spool() -> BinaryIO:
    return cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))


def _moved(file: BinaryIO, length: int) -> BinaryIO:
    """The first bytes of a file in another one; the first is closed. Raises OSError."""
    with contextlib.closing(file):
        other = _spool()
        file.seek(0)
        while length:
            data = file.read(min(length, SEGMENT_BYTES))
            if not data:
                raise OSError("a file of the result was cut off")
            other.write(data)
            length -= len(data)
    return other


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise Unverified("result_header", rule)
