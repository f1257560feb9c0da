"""Delivery of a trail to where a machine's operator cannot change it: sinks get its events, the log its checkpoints.

A process of its own delivers (`cji audit deliver`), with its own user: it reads the trail, and has no key, no TPM and
no right to write a line. Its configuration is `audit.toml`:

    trail = "/var/lib/cji/audit.log"      # read only
    state = "/var/lib/cji-audit"          # what was delivered where, and the proofs of the log
    receipt_keys = "/etc/cji/receipt-keys"  # default: the folder that the worker writes beside its trail
    [[sinks]]                             # each with its `kind`, a `name`, and the keys of its kind
    [log]                                 # the agency's log, whose checkpoints witnesses cosign: docs/witnesses.md

`cji_worker.deliverer.sinks` and `cji_core.trail.witnesses` make a `Destination` of each table.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from cji_core.documents import convert, toml
from cji_core.errors import CoreError, StartupError
from cji_core.format.configuration.worker import DestinationName
from cji_core.trail.delivered import own_evidence

MAX_BYTES: Final = 256 * 1024
MAX_DESTINATIONS: Final = 16
LOG: Final = "log"
"""The name of the log as a destination."""
_REMEDY: Final = "Compare it with docs/audit.md."


class DeliveryError(CoreError):
    """A destination did not take what was offered: it is offered again later, after `after` seconds if it asked for it.

    The text is for the operator's log: numbers and fixed words, nothing that a peer wrote.
    """

    code = "delivery-failed"
    remedy = "Check the destination and its rights; delivery is tried again."

    def __init__(self, text: str, *, after: float = 0.0) -> None:
        super().__init__(text)
        self.after = after


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A destination has everything up to this line, whose hash is `hash`."""

    seq: int
    hash: str


class Destination(Protocol):
    """One sink, or the log."""

    @property
    def name(self) -> str:
        """Its name in the configuration, unique."""

    def advance(self) -> Delivered:
        """Deliver a bounded amount of what is new, and return how far it got; unchanged if there is nothing new.

        What was delivered survives a crash at any point: an event is never lost, and offered again under the same id.
        Raises DeliveryError, or ChainError for a trail that was changed.
        """


class DeliveryFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`audit.toml`; sinks and the log are checked by their own rooms.

    The default of `receipt_keys` is the deliverer's, the folder that the worker writes; an examiner names another.
    """

    trail: Annotated[str, Meta(min_length=1, max_length=1024)]
    state: Annotated[str, Meta(min_length=1, max_length=1024)]
    receipt_keys: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    sinks: tuple[dict[str, object], ...] = ()
    log: dict[str, object] | None = None

    def __post_init__(self) -> None:
        if not self.sinks and self.log is None:
            raise ValueError("neither [[sinks]] nor [log]")
        if len(self.sinks) >= MAX_DESTINATIONS:
            raise ValueError(f"more than {MAX_DESTINATIONS - 1} sinks")
        names = [each.get("name") for each in self.sinks]
        try:
            convert(names, list[DestinationName])
        except msgspec.ValidationError as error:
            raise ValueError("a name has 1 to 63 of a-z, 0-9, _ and -, the first of them no sign") from error
        if len(set(names)) != len(names) or LOG in names:
            raise ValueError(f"each of [[sinks]] needs a name of its own, which is not {LOG}")

    @property
    def evidence(self) -> Path:
        """The folder with the receipt keys of each start, of which the deliverer hands evidence to the log."""
        return own_evidence(Path(self.trail)) if self.receipt_keys is None else Path(self.receipt_keys)


def load_delivery(path: Path) -> DeliveryFile:
    """Read `audit.toml`; its relative paths are relative to its folder. Raises StartupError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise StartupError(f"The configuration {path} is larger than 256 KiB", "Name the right file.")
        found = toml(data, DeliveryFile)
    except OSError as error:
        raise StartupError(f"The configuration {path} cannot be read", "Name a readable file.") from error
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise StartupError(f"The configuration {path} is not valid: {error}", _REMEDY) from error
    folder = path.resolve().parent
    paths = {
        name: str(folder / value)
        for name in ("trail", "state", "receipt_keys")
        if isinstance(value := getattr(found, name), str)
    }
    return msgspec.structs.replace(found, **paths)
