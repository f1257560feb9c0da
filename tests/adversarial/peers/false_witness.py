"""A zygote whose cells do their job well and then lie about it to the keyholder, or never speak to it.

A job names its lie in the case number or the reason of its attribution, which a cell opens; others are honest. The cell
of a task opens no attribution, and always states a row less of its shard of the result.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from cji_core.format.job import Attribution
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.cell import job, zygote
from cji_worker.ipc import Channel, receive_boot
from cji_worker.ipc.messages import CountedPart, Summary

Lie = Callable[[Summary], Summary]


def _header(change: Callable[[pb.ResultHeader], object]) -> Lie:
    def lie(summary: Summary) -> Summary:
        header = pb.ResultHeader.FromString(summary.result_header)
        change(header)
        return replace(summary, result_header=header.SerializeToString(deterministic=True))

    return lie


def _first(parts: tuple[CountedPart, ...], **changes: Any) -> tuple[CountedPart, ...]:
    return (replace(parts[0], **changes), *parts[1:])


def _rows(summary: Summary, part: int, rows: int) -> Summary:
    counts = list(summary.rows_out)
    counts[part] = rows
    return replace(summary, rows_out=tuple(counts))


LIES: Final[dict[str, tuple[str, Lie]]] = {
    "more rows": ("rows", lambda s: _rows(replace(s, rows_in=10**6), 1, 10**6)),
    "more rows than statuses": ("rows", lambda s: replace(s, rows_in=s.rows_in + 1)),
    "other rows than declared": ("rows", lambda s: _rows(replace(s, rows_in=s.rows_in - 1), 1, s.rows_in - 1)),
    "more results": ("rows", lambda s: _rows(s, 0, 10**9)),
    "rows of another part": ("rows", lambda s: replace(s, rows_out=(*s.rows_out, 0))),
    "tags of input": ("inputs", lambda s: replace(s, inputs=_first(s.inputs, tags_sha256=bytes(32)))),
    "no inputs": ("inputs", lambda s: replace(s, inputs=())),
    "tags of output": ("outputs", lambda s: replace(s, outputs=_first(s.outputs, tags_sha256=bytes(32)))),
    "bytes of output": ("outputs", lambda s: replace(s, outputs=_first(s.outputs, bytes=1 << 40))),
    "segments of output": ("outputs", lambda s: replace(s, outputs=_first(s.outputs, segments=2))),
    "no outputs": ("outputs", lambda s: replace(s, outputs=())),
    "parts exchanged": ("outputs", lambda s: replace(s, outputs=s.outputs[::-1])),
    "header of another job": ("result_header", _header(lambda h: setattr(h, "job_id", bytes(16)))),
    "header of another worker": ("result_header", _header(lambda h: setattr(h, "worker_id", "worker-2"))),
    "another recipient": ("result_header", _header(lambda h: setattr(h.recipients[0], "key_id", "A" * 43))),
    "no recipient": ("result_header", _header(lambda h: h.ClearField("recipients"))),
    "another output": ("result_header", _header(lambda h: setattr(h.outputs[0], "name", "other"))),
    "short key": ("result_header", _header(lambda h: setattr(h.recipients[0], "wrapped_dek", bytes(32)))),
    "another key": ("result_header", _header(lambda h: setattr(h.recipients[0], "wrapped_dek", bytes(384)))),
    "unknown fields": ("result_header", lambda s: replace(s, result_header=s.result_header + b"\xf8\x07\x01")),
    "no header": ("result_header", lambda s: replace(s, result_header=b"")),
}
"""By name: what it is about, and the summary that the cell sends."""

COUNTS: Final[dict[str, Lie]] = {
    "a result less": lambda s: _rows(s, 0, s.rows_out[0] - 1),
    "a result more": lambda s: _rows(s, 0, s.rows_out[0] + 1),
    "a subject less": lambda s: _rows(s, 2, s.rows_out[2] - 1),
    "a subject more": lambda s: _rows(s, 2, s.rows_out[2] + 1),
}
"""Lies that no other process can find out; who opens the outputs counts their rows."""

SILENCE: Final = "says nothing"
"""The cell sends no summary at all."""


def _lie(name: str) -> Lie:
    return COUNTS[name] if name in COUNTS else LIES[name][1] if name in LIES else _honest


def _honest(summary: Summary) -> Summary:
    return summary


def main(boot: Any) -> int:
    """Body of the process."""
    told, send = list[str](), Channel.send

    class Listening(Attribution):
        @classmethod
        def decode(cls, data: bytes) -> Attribution:
            found = Attribution.decode(data)
            told[:] = [found.case_number or found.reason]
            return found

    def lying(self: Any, message: msgspec.Struct, fds: Sequence[int] = ()) -> None:
        if isinstance(message, Summary):
            if told == [SILENCE]:
                return
            message = _lie(told[0] if message.result_header else "a result less")(message)
        send(self, message, fds)

    job.Attribution = Listening  # type: ignore[attr-defined]
    Channel.send = lying  # type: ignore[method-assign]
    return zygote.main(boot)


if __name__ == "__main__":
    sys.exit(main(receive_boot(int(sys.argv[1]))))
