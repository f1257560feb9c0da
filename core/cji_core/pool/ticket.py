"""A ticket: the name of a job and the digest of its header. It has no address, and none would be used.

    {"v":1,"job":"<32 hex>","header_sha384":"<96 hex>"}

It proves nothing: the header's own signature establishes who submitted the job.
"""

from typing import Final, Literal

import msgspec

from cji_core.digests import Hex32, Hex96
from cji_core.documents import OneForm
from cji_core.errors import CoreError

MAX_BYTES: Final = 512
JobName = Hex32
HeaderDigest = Hex96


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
        return _FORM.encode(self).decode()


_FORM: Final = OneForm(Ticket, limit=MAX_BYTES)


def decode(text: str) -> Ticket:
    """The ticket that `encode` wrote. Raises TicketError for every other text."""
    try:
        return _FORM.decode(text.encode())
    except ValueError as error:  # UnicodeError and StrictError
        raise TicketError from error
