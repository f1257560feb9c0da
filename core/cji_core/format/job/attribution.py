"""The attribution of a job, sealed in its header: who asked, for whom and why (CJISSECPOL AU-3(1)).

Plaintext: a canonical `Attribution` message, then zeros up to the next multiple of 256 bytes, so that the length of the
box reveals little about the texts. The message never ends in a zero byte: its last field, the reason, is a text.

Contract: `decode` returns what `encode` was given, and refuses everything that `encode` does not write.
"""

from dataclasses import dataclass, fields

from google.protobuf.message import DecodeError

from cji_core.errors import Reason, Refusal, Stage
from cji_core.format.job.limits import LIMITS
from cji_core.format.job.texts import BadTextError, require_text
from cji_core.wire.v1 import worker_pb2

_OPTIONAL = ("secondary_recipient", "case_number")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Attribution:
    """The texts, which stay out of logs: the repr shows none."""

    operator_id: str
    requestor: str
    reason: str
    secondary_recipient: str = ""
    case_number: str = ""

    def __post_init__(self) -> None:
        """Raise MALFORMED_HEADER for a text that breaks docs/format.md §1."""
        try:
            for each in fields(self):
                require_text(getattr(self, each.name), optional=each.name in _OPTIONAL)
        except (BadTextError, UnicodeError) as error:
            raise _malformed() from error

    def encode(self) -> bytes:
        """The padded plaintext, 256 to 1536 bytes."""
        message = worker_pb2.Attribution(**{each.name: getattr(self, each.name) for each in fields(self)})
        return _padded(message.SerializeToString(deterministic=True))

    @classmethod
    def decode(cls, data: bytes) -> "Attribution":
        """The attribution with this plaintext. Raises MALFORMED_HEADER for any other bytes."""
        message = worker_pb2.Attribution()
        try:
            message.ParseFromString(data.rstrip(b"\0"))
        except DecodeError as error:
            raise _malformed() from error
        message.DiscardUnknownFields()
        if len(data) > LIMITS.attribution_max_bytes or _padded(message.SerializeToString(deterministic=True)) != data:
            raise _malformed()
        return cls(**{each.name: getattr(message, each.name) for each in fields(cls)})


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % LIMITS.attribution_block_bytes)


def _malformed() -> Refusal:
    return Refusal(Reason.MALFORMED_HEADER, stage=Stage.ADMIT)
