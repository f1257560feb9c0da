"""A ticket: the name of a job and the digest of its header. It has no address, and none would be used.

    {"v":1,"job":"<32 hex>","header_sha384":"<96 hex>"}

It proves nothing: the header's own signature establishes who submitted the job.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.errors import CoreError

MAX_BYTES: Final = 512
JobName = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
HeaderDigest = Annotated[str, Meta(pattern=r"^[0-9a-f]{96}\Z")]


class TicketError(CoreError):
    """The text is not a ticket."""

    code = "ticket-invalid"
    remedy = "Submit the job again."


class Ticket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job of the pool, in hexadecimal digits."""

    v: Literal[1] = 1
    job: JobName
    header_sha384: HeaderDigest

    def encode(self) -> str:
        """The one text of this ticket."""
        return _encoder.encode(self).decode()


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Ticket)


def decode(text: str) -> Ticket:
    """The ticket that `encode` wrote. Raises TicketError for every other text."""
    if len(text) > MAX_BYTES:
        raise TicketError
    try:
        ticket = _decoder.decode(text)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise TicketError from error
    if ticket.encode() != text:
        raise TicketError
    return ticket
