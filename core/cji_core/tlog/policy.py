"""Whom a reader of the agency's log believes: the pinned keys of the log, its witnesses, and how many must have signed.

    origin = "log.pd.example/trails"
    url = "https://log.pd.example/trails"
    keys = ["<vkey>", "<vkey>"]           # all of them must sign: Ed25519 (0x01), and ML-DSA-44 (0x06)
    operators = ["<JWK>"]                 # P-384 keys whose statements count: another machine, another policy
    quorum = 3                            # of the witnesses below
    faulty = 1                            # witnesses that may be evil, or restored from a backup
    max_age_seconds = 86400               # of the quorum's cosignatures
    max_delay_seconds = 3600              # until a line of a trail is under a cosigned checkpoint
    publishers = ["<JWK>"]                # of a log of releases alone: P-384 keys that sign them

    [[witnesses]]
    name = "other-agency"
    url = "https://witness.other.example"
    keys = ["<vkey>"]                     # all of them must sign: Ed25519 (0x04), ML-DSA-44 (0x06), or both
    agency = false                        # whether this agency runs it

Any two quorums share more than `faulty` witnesses: 2 * quorum - number of witnesses > faulty. So two histories of the
log cannot both have a quorum unless more witnesses are faulty. At least one witness of a quorum is not the agency's.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cji_core.documents import OneForm, toml
from cji_core.errors import StartupError
from cji_core.format.configuration.worker import DestinationName
from cji_core.jose import parse_p384
from cji_core.tlog.keys import LOG_TYPES, MAX_TIME, NOTE_ED25519, WITNESS_TYPES, NoteKey, parse_vkey
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, parse_cosigned

MAX_BYTES: Final = 56 * 1024  # it is an entry of the log when it changes
MAX_WITNESSES: Final = 16
MAX_FUTURE_SECONDS: Final = 300
"""Of a cosignature, by the reader's clock."""
_REMEDY: Final = "Compare it with docs/witnesses.md."

Jwk = Annotated[str, Meta(max_length=1024)]
Vkey = Annotated[str, Meta(min_length=1, max_length=2200)]
Url = Annotated[
    str, Meta(pattern=r"^(https://[A-Za-z0-9._:/-]{1,500}|http://127\.0\.0\.1:[0-9]{1,5}[A-Za-z0-9._/-]{0,400})\Z")
]
"""https, or a service of this machine."""
Origin = Annotated[str, Meta(pattern=r"^[!-*,-~]{1,255}\Z")]


class WitnessTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A witness. `url` is the prefix of its calls, `agency` whether it belongs to the agency that runs the log."""

    name: DestinationName
    url: Url
    keys: Annotated[tuple[Vkey, ...], Meta(min_length=1, max_length=2)]
    agency: bool = False


class PolicyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file, as the module describes it."""

    origin: Origin
    url: Url
    keys: Annotated[tuple[Vkey, ...], Meta(min_length=1, max_length=2)]
    operators: Annotated[tuple[Jwk, ...], Meta(min_length=1, max_length=8)]
    quorum: Annotated[int, Meta(ge=1, le=MAX_WITNESSES)] = 3
    faulty: Annotated[int, Meta(ge=0, le=MAX_WITNESSES)] = 1
    max_age_seconds: Annotated[int, Meta(ge=60, le=31 * 86_400)] = 86_400
    max_delay_seconds: Annotated[int, Meta(ge=300, le=7 * 86_400)] = 3600
    witnesses: Annotated[tuple[WitnessTable, ...], Meta(min_length=1, max_length=MAX_WITNESSES)]
    publishers: Annotated[tuple[Jwk, ...], Meta(min_length=1, max_length=8)] | UnsetType = UNSET
    """Not in the one form of a policy of trails."""


class PolicyError(CheckpointError):
    """A checkpoint that the policy does not accept; the text names the reason."""

    code = "log-policy"
    remedy = "Ask the log and its witnesses for the newest checkpoint, and compare it with another reader's."


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A witness with its keys as read."""

    name: str
    url: str
    keys: tuple[NoteKey, ...]
    agency: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """A checkpoint that the policy accepts. `seen` are the times of the witnesses that signed it, by name."""

    note: Checkpoint
    seen: dict[str, int]
    at: int
    """The oldest time of the newest quorum."""


class Policy:
    """The rules of one policy file."""

    def __init__(self, file: PolicyFile) -> None:
        """Raises ValueError for keys that cannot be, or a quorum that proves nothing."""
        self.file = file
        self.keys = _keys(file.keys, LOG_TYPES)
        if {each.name for each in self.keys} != {file.origin} or NOTE_ED25519 not in {each.kind for each in self.keys}:
            raise ValueError("the log's keys have its origin as their name, and one is Ed25519 (type 0x01)")
        self.operators = tuple(map(parse_p384, file.operators))
        self.publishers = () if file.publishers is UNSET else tuple(map(parse_p384, file.publishers))
        self.witnesses = tuple(
            Witness(name=each.name, url=each.url, keys=_keys(each.keys, WITNESS_TYPES), agency=each.agency)
            for each in file.witnesses
        )
        count, keys = len(self.witnesses), [key.public for each in self.witnesses for key in each.keys]
        if len({each.name for each in self.witnesses}) != count or len(set(keys)) != len(keys):
            raise ValueError("each witness needs a name and keys of its own")
        signers = [file.origin, *(each.keys[0].name for each in self.witnesses)]
        if len(set(signers)) != len(signers):  # then one's line could be read as a wrong signature of the other's key
            raise ValueError("keys of the log and of each witness need names of their own")
        if file.quorum > count or 2 * file.quorum - count <= file.faulty:
            raise ValueError(
                f"a quorum of {file.quorum} of {count} witnesses does not outvote {file.faulty} faulty ones: "
                "2 * quorum - witnesses must be greater than faulty"
            )
        if all(each.agency for each in self.witnesses):
            raise ValueError("at least one witness must not be the agency's")

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-384 of the policy in its one form."""
        return hashlib.sha384(encode_policy(self.file)).hexdigest()

    def signed_by_log(self, note: Checkpoint) -> None:
        """Return if every pinned key of the log signed this checkpoint of it. Raises PolicyError."""
        if note.origin != self.file.origin:
            raise PolicyError("a checkpoint of another log")
        for key in self.keys:
            if _on(key, note) is None:
                raise PolicyError(f"not signed by the log's key {key.key_id.hex()}")

    def cosigners(self, note: Checkpoint) -> dict[str, int]:
        """The times of the witnesses that signed with each of their keys. Raises PolicyError for a wrong signature."""
        seen: dict[str, int] = {}
        for each in self.witnesses:
            times = [_on(key, note) for key in each.keys]
            found = [at for at in times if at is not None]
            if len(found) == len(times):
                seen[each.name] = min(found)
        return seen

    def accept(self, note: Checkpoint, *, now: int | None, later: bool = False) -> Cosigned:
        """The checkpoint, if a quorum signed it: not longer ago than the policy allows, at `now`. Raises PolicyError.

        Without `now`, a reader of an old record does not ask for its age. `later` takes cosignatures of after `now`
        too: of somebody who looks back. They make no old checkpoint fresh: a quorum has more witnesses than are faulty.
        """
        self.signed_by_log(note)
        seen = self.cosigners(note)
        if now is not None:
            end = MAX_TIME if later else now + MAX_FUTURE_SECONDS
            fresh = range(now - self.file.max_age_seconds, end + 1)
            seen = {name: at for name, at in seen.items() if at in fresh}
        if len(seen) < self.file.quorum:
            fresh_text = "" if now is None else " within max_age_seconds"
            raise PolicyError(f"cosigned by {len(seen)} of {self.file.quorum} witnesses{fresh_text}")
        others = {each.name for each in self.witnesses if not each.agency}
        if not others & seen.keys():
            raise PolicyError("cosigned by witnesses of the agency alone")
        newest = sorted(seen.values(), reverse=True)
        return Cosigned(note=note, seen=seen, at=newest[self.file.quorum - 1])

    def read(self, data: bytes, *, now: int | None) -> Cosigned:
        """Parse and accept a checkpoint. Raises CheckpointError."""
        return self.accept(parse_cosigned(data), now=now)


_FORM: Final = OneForm(PolicyFile, limit=MAX_BYTES)


def encode_policy(file: PolicyFile) -> bytes:
    """The one form of a policy, canonical JSON. Raises StrictError for one that is too long."""
    return _FORM.encode(file)


def decode_policy(data: bytes) -> Policy:
    """The policy in its one form. Raises ValueError."""
    return Policy(_FORM.decode(data))


def read_policy(data: bytes) -> Policy:
    """The policy in the bytes of its file. Raises ValueError or CheckpointError."""
    if len(data) > MAX_BYTES:
        raise ValueError("larger than 56 KiB")
    return Policy(toml(data, PolicyFile))


def load_policy(path: Path) -> Policy:
    """Read a policy file. Raises StartupError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return read_policy(data)
    except OSError as error:
        raise StartupError(f"The policy {path} cannot be read", "Name a readable file.") from error
    except (ValueError, RecursionError, CheckpointError) as error:  # msgspec's errors are ValueErrors
        raise StartupError(f"The policy {path} is not valid: {error}", _REMEDY) from error


def _keys(texts: Sequence[str], kinds: Sequence[int]) -> tuple[NoteKey, ...]:
    try:
        keys = tuple(map(parse_vkey, texts))
    except CheckpointError as error:
        raise ValueError(str(error)) from None
    if len({each.kind for each in keys}) != len(keys) or not {each.kind for each in keys} <= set(kinds):
        raise ValueError(f"a vkey of another type than {' and '.join(f'0x{kind:02x}' for kind in kinds)}")
    if len({each.name for each in keys}) != 1:
        raise ValueError("keys of two names")
    return keys


def _on(key: NoteKey, note: Checkpoint) -> int | None:
    try:
        return key.signature_on(note)
    except CheckpointError as error:
        raise PolicyError(f"the signature of {key.name}: {error}") from None
