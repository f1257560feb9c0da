"""`job.toml`: who asks, for whom, why, what to do, and who may open the result. docs/job.md explains each field.

Strict: an unknown or missing field is a SpecError that names it. File names are relative to the spec's folder.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from worker.client.errors import SpecError
from worker.client.operations import Aggregate, Disseminate, Link, Screen, Validate
from worker.client.profile import absolute_recipient
from worker.client.transforms import Deidentify

__all__ = ["InputSpec", "JobSpec", "SideSpec", "decode_spec", "load_spec"]

_Text = Annotated[str, Meta(min_length=1, max_length=256)]
_Ori = Annotated[str, Meta(pattern=r"^[A-Z0-9]{9}$")]
_Thumbprint = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$")]
_Jwk = Annotated[str, Meta(min_length=1, max_length=4096)]


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the input is read: its schema, and `rename` from column names of the file to those of the schema."""

    schema: _Text
    rename: dict[_Text, _Text] = {}


class SideSpec(InputSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A side table that an operation looks things up in; `file` is read as the input is."""

    file: _Text


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job, without its records.

    `recipients` holds public RSA JWKs as JSON text, or names of files that hold one. `valid_hours` is the time from
    sealing to `not_after`; `deadline_seconds` is the time that one run may take. At least one of the operations is
    there; they run in the order in which they stand here. `sides` are named as the job's input parts will be.
    """

    audience: _Text
    originating_ori: _Ori
    requesting_ori: _Ori
    operator_id: _Text
    requestor: _Text
    reason: _Text
    purpose_code: Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,3}$")]
    kek_id: Annotated[str, Meta(pattern=r"^https://[^/]+/keys/[^/]+/[^/]+$")]
    kek_thumbprint: _Thumbprint
    recipients: Annotated[tuple[_Jwk, ...], Meta(min_length=1, max_length=8)]
    input: InputSpec
    sides: dict[Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")], SideSpec] = {}
    validate: Validate | None = None
    link: Link | None = None
    screen: Screen | None = None
    deidentify: Deidentify | None = None
    aggregate: Aggregate | None = None
    disseminate: Disseminate | None = None
    secondary_recipient: Annotated[str, Meta(max_length=256)] = ""
    case_number: Annotated[str, Meta(max_length=256)] = ""
    size_class: Literal["exact", "power_of_two"] = "exact"
    valid_hours: Annotated[int, Meta(ge=1, le=24)] = 24
    deadline_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 3_600


def decode_spec(text: bytes | str) -> JobSpec:
    """The job spec of this TOML text; file names in it are left as they are."""
    return _spec(_table(text))


def load_spec(path: Path | None, *, defaults: Mapping[str, object] = MappingProxyType({})) -> JobSpec:
    """The job spec of this file over `defaults`; recipients and models are read in, names of other files made absolute.

    `defaults` are fields of a spec, as a profile has them under `job`; without a file they are all there is.
    """
    folder, found = Path(), dict[str, object]()
    if path is not None:
        folder = path.parent
        found = _table(_bytes(path))
    spec = _spec({**defaults, **found})
    deidentify = spec.deidentify
    if deidentify is not None and deidentify.project_key is not None:
        deidentify = msgspec.structs.replace(deidentify, project_key=str(folder / deidentify.project_key))
    link = spec.link
    if link is not None and link.splink is not None:
        model = Link.from_splink(_bytes(folder / link.splink)).model
        link = msgspec.structs.replace(link, model=model, splink=None)
    sides = {name: msgspec.structs.replace(side, file=str(folder / side.file)) for name, side in spec.sides.items()}
    recipients = tuple(_recipient(str(absolute_recipient(item, folder))) for item in spec.recipients)
    return msgspec.structs.replace(spec, recipients=recipients, link=link, deidentify=deidentify, sides=sides)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})") from None


def _table(text: bytes | str) -> dict[str, object]:
    try:
        return msgspec.toml.decode(text, type=dict[str, object])
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise SpecError(f"job spec: {error}", remedy="docs/job.md describes every field.") from None


def _spec(table: dict[str, object]) -> JobSpec:
    try:
        return msgspec.convert(table, JobSpec)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"job spec: {error}", remedy="docs/job.md describes every field.") from None


def _recipient(item: str) -> str:
    if item.lstrip().startswith("{"):
        return item
    try:
        return Path(item).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SpecError(f"{item} cannot be read ({reason})") from None
