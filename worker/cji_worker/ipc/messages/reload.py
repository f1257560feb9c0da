"""Messages of a reload: new files are checked by the processes that use them, then taken by all or by none.

    control      NewFiles                 the files, as they were read
    supervisor   PreparePolicy, PrepareClients to every front
    each         Prepared                 checked and kept, or a fault
    supervisor   CommitPolicy             only if all are prepared
    keyholder    Committed                the change is on disk and in force; or it is not, and nothing changed
    supervisor   CommitClients to every front cannot fail: the fronts checked the files
    each front   Committed
    supervisor   EverywhereInForce        to the keyholder: fresh quotes may commit to the files now

Before `CommitPolicy` anything that fails, or takes too long, ends in `AbandonReload`. Each message carries the number
of the reload, so an answer that comes too late is recognised.
"""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from cji_core.format.configuration.operator_files import FileKey
from cji_worker.ipc.messages.base import Count, Message, Sha384

Subject = FileKey | Literal["reload"]
"""The subject of a fault: one of the files, or the reload as a whole."""
Requester = Literal["signal", "command"]
_Line = Annotated[str, Meta(pattern=r"^[\x20-\x7e]+\Z", max_length=1024)]
Uid = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]


class ReloadFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reason for which nothing was taken, and its remedy; for the operator."""

    file: Subject
    what: _Line
    remedy: _Line


def reload_fault(file: Subject, what: str, remedy: str) -> ReloadFault:
    """A fault whose texts fit into a message: other characters become `?`, and the end of a long text is left out."""
    texts = ("".join(c if " " <= c <= "~" else "?" for c in text)[:1024] for text in (what, remedy))
    what, remedy = texts
    return ReloadFault(file=file, what=what, remedy=remedy)


class ClientDigests(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SHA-384 of the files that state which client certificates are accepted."""

    client_roots: Sha384
    client_crl: Sha384 | None


class ClientsChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files in force, and those that would follow."""

    before: ClientDigests
    after: ClientDigests


class Reread(Message, frozen=True, kw_only=True):
    """Read the files again: a process of user `uid` sent SIGHUP."""

    uid: Uid


class NewFiles(Message, frozen=True, kw_only=True):
    """Take these files. Descriptors: the encoded `PolicyFiles` and `ClientFiles`."""

    descriptors: ClassVar[int] = 2
    by: Requester
    uid: Uid


class NotRead(Message, frozen=True, kw_only=True):
    """A reload was asked for, and a file could not be read."""

    by: Requester
    uid: Uid
    fault: ReloadFault


class Reloaded(Message, frozen=True, kw_only=True):
    """The end of a reload: everything was taken, or nothing."""

    fault: ReloadFault | None


class PreparePolicy(Message, frozen=True, kw_only=True):
    """Check a policy and keep it. Descriptor: the encoded `PolicyFiles`."""

    descriptors: ClassVar[int] = 1
    number: Count


class PrepareClients(Message, frozen=True, kw_only=True):
    """Check authorities and revocation lists, and keep them. Descriptor: the encoded `ClientFiles`."""

    descriptors: ClassVar[int] = 1
    number: Count


class Prepared(Message, frozen=True, kw_only=True):
    """The files are checked; `fault` if they cannot be used. `clients` comes from fronts alone."""

    number: Count
    fault: ReloadFault | None = None
    clients: ClientsChange | None = None


class CommitPolicy(Message, frozen=True, kw_only=True):
    """Record the reload, then use the prepared policy."""

    number: Count
    by: Requester
    uid: Uid
    clients: ClientsChange


class CommitClients(Message, frozen=True, kw_only=True):
    """Use the prepared authorities and revocation lists."""

    number: Count


class EverywhereInForce(Message, frozen=True, kw_only=True):
    """Every process uses the files of this reload."""

    number: Count


class Committed(Message, frozen=True, kw_only=True):
    """The prepared files are in force; or `fault`, and nothing changed."""

    number: Count
    fault: ReloadFault | None = None


class AbandonReload(Message, frozen=True, kw_only=True):
    """Forget what was prepared. The keyholder records it."""

    by: Requester
    uid: Uid
    fault: ReloadFault
