"""The state of one worker as its operator sees it: one JSON document, and how to ask for it.

The supervisor makes it from the latest reports (`cji_worker.control.status`), the control process hands it out, `cji
status` and the console read it. It names keys, conditions and processes, never a submitter or a job. docs/operation.md
describes its members.
"""

import contextlib
import socket
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.bundle_name import BundleName
from cji_core.digests import Hex96
from cji_core.errors import Reason
from cji_worker.host import ConditionId
from cji_worker.ipc.messages import (
    MAX_DELIVERIES,
    MAX_KEYS,
    Condition,
    DeliveryReport,
    JobCounts,
    MissingKey,
    ProcessName,
    ReloadFault,
)
from cji_worker.ipc.messages.base import Count

UNKNOWN: Final = b'{"state":"unknown"}\n'
"""The document while the supervisor is silent: no state is older than it looks."""
MOST_BYTES: Final = 128 << 10
_CONDITIONS: Final = 16

Utc = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")]
Text = Annotated[str, Meta(max_length=1024)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts."""


class HostCondition(_Part, frozen=True, kw_only=True):
    """One condition of the machine."""

    condition: ConditionId
    held: bool
    withdraws_readiness: bool


class UsableKey(_Part, frozen=True, kw_only=True):
    """A key that may be used, until when without a renewal."""

    kek_id: Text
    until: Utc


class Until(_Part, frozen=True, kw_only=True):
    """When what the worker works with ends, see `Ends`; None if there is none, or it has no end."""

    evidence: Utc | None
    token: Utc | None
    advisories: Utc | None
    acceptance: Utc | None
    policy: Utc | None


class FrontCounts(_Part, frozen=True, kw_only=True):
    """Fronts: those that serve, of how many; `cores` is what `auto` counted, None for a number that is set."""

    serving: Count
    count: Count
    cores: Annotated[float, Meta(ge=0)] | None


class CellCounts(_Part, frozen=True, kw_only=True):
    """Cells by their state."""

    warm: Count
    busy: Count
    configured: Count


class Process(_Part, frozen=True, kw_only=True):
    """One process, and the seconds since its last heartbeat."""

    name: ProcessName
    pid: Count
    beat_age_s: Annotated[float, Meta(ge=0)] | None


class Audit(_Part, frozen=True, kw_only=True):
    """The head of the trail."""

    writable: bool
    line: Count
    hash: Hex96
    anchor: Count
    deliveries: Annotated[tuple[DeliveryReport, ...], Meta(max_length=MAX_DELIVERIES)]


class Clients(_Part, frozen=True, kw_only=True):
    """Authorities and revocation lists of client certificates."""

    authorities_until: Utc
    crl_until: Utc | None
    revoked: Count


class Reload(_Part, frozen=True, kw_only=True):
    """The last reload."""

    running: bool
    ended: Utc | None
    fault: ReloadFault | None


class Status(_Part, frozen=True, kw_only=True):
    """The whole state. Parts that no process has reported yet are None."""

    version: Text
    worker: Text
    time: Utc
    started: Utc
    state: Literal["serving", "not serving", "draining"]
    reason: Reason | None
    condition: Condition | None
    host: Annotated[tuple[HostCondition, ...], Meta(max_length=_CONDITIONS)]
    keys: Annotated[tuple[UsableKey, ...], Meta(max_length=MAX_KEYS)] | None
    keys_missing: Annotated[tuple[MissingKey, ...], Meta(max_length=MAX_KEYS)] | None
    keys_configured: Count
    until: Until | None
    early_advisories: Annotated[tuple[Text, ...], Meta(max_length=64)] | None = None
    fronts: FrontCounts
    cells: CellCounts | None
    keys_opened: Count | None
    jobs_waiting: Count | None
    jobs: JobCounts | None
    processes: Annotated[tuple[Process, ...], Meta(max_length=32)]
    audit: Audit | None
    clients: Clients | None
    policy_sha384: Hex96 | None
    bundle: BundleName | None
    config_sha384: Text
    reload: Reload


def ask(path: str, request: str, *, timeout: float) -> bytes:
    """The answer of the socket at `path`; nothing if it has no place for this connection just now.

    `timeout` is that of each step, in seconds. Raises OSError.
    """
    data = bytearray()
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(timeout)
        with contextlib.suppress(BlockingIOError, ConnectionResetError, BrokenPipeError):
            connection.connect(path)
            connection.sendall(request.encode() + b"\n")
            while (more := connection.recv(64 << 10)) and len(data) <= MOST_BYTES:
                data += more
    return bytes(data)
