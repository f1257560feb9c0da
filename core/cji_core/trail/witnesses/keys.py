"""The public receipt keys of a worker, with which it signs checkpoints: a folder with one file for each of its starts.

A file is a JWK, or an evidence file, whose `receipt_jwk` is used. Nothing is appraised here. Who examines a trail has
verified each file (`cji evidence verify`). The deliverer may read the worker's own folder: the log appraises its files.
A file without a key is as one that is not there: the checkpoints of its start are of an unknown key, and those of other
starts are not held up by it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.documents import decode
from cji_core.errors import StartupError
from cji_core.jose import parse_verifying
from cji_core.pairs import VerifyingPair
from cji_core.strict import StrictError
from cji_core.trail.checkpoint import Checkpoint, CheckpointError, note_key_id

MAX_FILE_BYTES: Final = 3 << 20
MAX_FILES: Final = 4096

Verdict = Literal["verified", "unknown_key", "forged"]


class _Evidence(msgspec.Struct, frozen=True):
    receipt_jwk: str


class ReceiptKeys:
    """Keys by the four bytes that signature lines name them with."""

    def __init__(self, keys: Iterable[ec.EllipticCurvePublicKey]) -> None:
        by_id: dict[bytes, list[ec.EllipticCurvePublicKey]] = {}
        for key in keys:
            by_id.setdefault(note_key_id(key), []).append(key)
        self._by_id: Mapping[bytes, list[ec.EllipticCurvePublicKey]] = by_id

    def judge(self, checkpoint: Checkpoint) -> Verdict:
        """Whether one of these keys signed this checkpoint under its own origin."""
        found: Verdict = "unknown_key"
        for each in checkpoint.signatures:
            for key in self._by_id.get(each.key_id, []) if each.name == checkpoint.origin else []:
                try:
                    checkpoint.verify(key)
                except CheckpointError:
                    found = "forged"
                else:
                    return "verified"
        return found


def read_key(path: Path) -> ec.EllipticCurvePublicKey:
    """The P-384 key in a JWK or evidence file. Raises StartupError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError("too long")
        try:
            jwk = decode(data, _Evidence, limit=MAX_FILE_BYTES).receipt_jwk
        except StrictError:
            jwk = data.decode()
        key = parse_verifying(jwk)
    except (OSError, ValueError, RecursionError) as error:  # msgspec's errors and UnicodeError are ValueErrors
        raise StartupError(
            f"{path} has no receipt key of a worker", "Use a JWK, or an evidence file that `cji evidence` verified."
        ) from error
    return key.p384 if isinstance(key, VerifyingPair) else key


def read_keys(folder: Path) -> ReceiptKeys:
    """The keys in a folder; hidden files and those without a key are passed over. Raises StartupError."""
    return ReceiptKeys(_readable(_files(folder)))


def read_evidence_for(folder: Path, checkpoint: Checkpoint) -> bytes | None:
    """The evidence file in a folder whose key signed this checkpoint; None without one. Raises StartupError."""
    for path in _files(folder):
        with suppress(StartupError, StrictError, OSError):
            if ReceiptKeys([read_key(path)]).judge(checkpoint) == "verified":
                data = path.read_bytes()
                decode(data, _Evidence, limit=MAX_FILE_BYTES)  # a bare JWK attests nothing
                return data
    return None


def _readable(paths: Iterable[Path]) -> Iterator[ec.EllipticCurvePublicKey]:
    for path in paths:
        with suppress(StartupError):
            yield read_key(path)


def _files(folder: Path) -> list[Path]:
    try:
        paths = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    except OSError as error:
        raise StartupError(
            f"The folder of receipt keys {folder} cannot be read", "Let the deliverer read it."
        ) from error
    if len(paths) > MAX_FILES:
        raise StartupError(f"{folder} has more than {MAX_FILES} files", "Archive those of old starts.")
    return paths
