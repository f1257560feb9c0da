"""Messages of `cji record`: a digest on its way from the control socket into the trail, and the line that has it.

control      RecordDocument     to the supervisor, who passes it on to the keyholder
keyholder    RecordedDocument   once the line is durable; to the supervisor, who passes it on to control
"""

from typing import Literal, TypeAlias

from cji_worker.ipc.messages.base import Count, Message, Sha384
from cji_worker.ipc.messages.reload import Uid

DocumentKind: TypeAlias = Literal["review", "packet"]
"""As `cji_core.trail.fields`, which not every process loads."""


class RecordDocument(Message, frozen=True, kw_only=True):
    """Append the digest of a document to the trail: a process of user `uid` asked for it."""

    document: DocumentKind
    sha384: Sha384
    uid: Uid


class RecordedDocument(Message, frozen=True, kw_only=True):
    """The number of the line; None if the trail cannot be written."""

    line: Count | None
