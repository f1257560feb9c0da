"""`log.toml` and `witness.toml`: closed and strict."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from cji_audit.tlog.http_server import CONNECTIONS_PER_ADDRESS, MAX_CONNECTIONS
from cji_core.documents import toml
from cji_core.errors import StartupError
from cji_core.tlog.keys import LOG_TYPES, NoteKey, NoteSigner, parse_vkey
from cji_core.tlog.policy import Origin, Vkey
from cji_core.tlog.token_keys import signers_of
from cji_core.trail.checkpoint import CheckpointError

MAX_BYTES: Final = 256 * 1024
MAX_LOGS: Final = 1024
_PATHS: Final = (
    *("policy", "key_file", "pkcs11_file", "state", "reader_token_file", "submitter_token_file", "profile", "ca_file"),
    *("certificate_file", "certificate_key_file"),
)

FilePath = Annotated[str, Meta(min_length=1, max_length=1024)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
_T = TypeVar("_T", bound="_Server")


class _Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`certificate_file` and `certificate_key_file` are PEM; without them the server listens on loopback alone.

    `connections_per_address` is the share of one peer; workers behind one address of a NAT have it together.
    `pkcs11_file` names the token of the Ed25519 key; `key_file` then has the ML-DSA-44 key alone.
    """

    key_file: FilePath
    pkcs11_file: FilePath | None = None
    state: FilePath
    host: Annotated[str, Meta(min_length=1, max_length=255)] = "127.0.0.1"
    port: Port
    connections_per_address: Annotated[int, Meta(ge=1, le=MAX_CONNECTIONS)] = CONNECTIONS_PER_ADDRESS
    certificate_file: FilePath | None = None
    certificate_key_file: FilePath | None = None

    def __post_init__(self) -> None:
        if (self.certificate_file is None) != (self.certificate_key_file is None):
            raise ValueError("certificate_file and certificate_key_file belong together")

    def signers(self, kinds: tuple[int, ...]) -> AbstractContextManager[tuple[NoteSigner, ...]]:
        """The keys. Raises StartupError or SpecError."""
        return signers_of(
            Path(self.key_file), None if self.pkcs11_file is None else Path(self.pkcs11_file), kinds=kinds
        )

    @property
    def tls(self) -> tuple[str, str] | None:
        """The files of certificate and key."""
        if self.certificate_file is None or self.certificate_key_file is None:
            return None
        return self.certificate_file, self.certificate_key_file


class LogFile(_Server, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`log.toml`. `profile` is a client.toml whose reference values the evidence of machines must match.

    A log of releases has no submitter: the reader's token is for the publisher, since everybody reads its entries.
    """

    policy: FilePath
    reader_token_file: FilePath
    submitter_token_file: FilePath | None = None
    profile: FilePath | None = None
    ca_file: FilePath | None = None


class WatchedLog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A log that a witness cosigns, with the keys of which one must have signed."""

    origin: Origin
    keys: Annotated[tuple[Vkey, ...], Meta(min_length=1, max_length=4)]


class WitnessFile(_Server, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`witness.toml`."""

    logs: Annotated[tuple[WatchedLog, ...], Meta(min_length=1, max_length=MAX_LOGS)]

    def keys(self) -> dict[str, tuple[NoteKey, ...]]:
        """The keys of each log by its origin. Raises StartupError."""
        try:
            found = {each.origin: tuple(map(parse_vkey, each.keys)) for each in self.logs}
        except CheckpointError as error:
            raise StartupError(
                f"A key in [[logs]]: {error}", "Copy the vkey that the log's operator gave you."
            ) from error
        if len(found) != len(self.logs):
            raise StartupError("Two [[logs]] have one origin", "Put both keys into one table.")
        if any(key.kind not in LOG_TYPES for keys in found.values() for key in keys):
            raise StartupError("A key in [[logs]] is not one of a log", "A log's vkey is of type 0x01 or 0x06.")
        return found


def load_file(path: Path, kind: type[_T]) -> _T:
    """Read a file; its relative paths are relative to its folder. Raises StartupError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError("larger than 256 KiB")
        found = toml(data, kind)
    except OSError as error:
        raise StartupError(f"The configuration {path} cannot be read", "Name a readable file.") from error
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise StartupError(
            f"The configuration {path} is not valid: {error}", "Compare it with docs/witnesses.md."
        ) from error
    folder = path.resolve().parent
    paths = {name: str(folder / value) for name in _PATHS if isinstance(value := getattr(found, name, None), str)}
    return msgspec.structs.replace(found, **paths)
