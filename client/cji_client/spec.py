"""`job.toml`: the agencies, the purpose, the operations and the recipients of a job. docs/job.md explains each field.

Strict: an unknown or missing field is a SpecError that names it. File names are relative to the spec's folder. The
operations and their parameters come from the registry; nothing here depends on a particular one.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from cji_client.date_formats import CANDIDATES, DateFormat
from cji_client.errors import SpecError
from cji_client.profile import absolute_recipient
from cji_core.documents import convert, toml
from cji_core.format.job import LIMITS
from cji_core.format.job.texts import BadTextError, require_text
from cji_core.format.paths import FileName
from cji_core.format.records import SCHEMAS
from cji_core.operations.registry import AnyParameters, operation_of
from cji_core.suites import Suite

MOST_RECIPIENTS: Final = 8
"""Of a job header (docs/format.md)."""
VERBATIM: Final = "verbatim"
"""The date format of a column whose values are sent as they are, dates or not."""

Encoding: TypeAlias = Literal[
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "windows-1252", "iso-8859-1", "iso-8859-15", "cp437", "cp850", "cp037"
]
"""Encodings of text files. Without one a file must be UTF-8, or begin with the mark of UTF-16; `cp037` is EBCDIC."""

_OPTIONAL: Final = ("secondary_recipient", "case_number")
_WRITTEN: Final = ("audience", "operator_id", "requestor", "reason", *_OPTIONAL)
"""The fields that people write, which a header takes as printable texts."""

_Text = Annotated[str, Meta(min_length=1, max_length=256)]
_Position = Annotated[int, Meta(ge=1, le=65_536)]
_Ori = Annotated[str, Meta(pattern=r"^[A-Z0-9]{9}$")]
_Thumbprint = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$")]
_Jwk = Annotated[str, Meta(min_length=1, max_length=4096)]


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to read the input.

    `rename` maps names of columns in the input to those in the schema; columns in `drop` are left out. `date_format` is
    the format of all columns of dates, or of each by name. `fixed_width` maps names of columns to the first and last
    position of their characters in a line, from 1. `sheet` is the sheet of an Excel workbook. With
    `layout` the file is of a form with a reader of its own, which makes records of the schema. `columns` is a file
    columns.toml, which describes the columns that are encrypted in the database.
    """

    schema: _Text
    rename: dict[_Text, _Text] = {}
    drop: tuple[_Text, ...] = ()
    date_format: _Text | dict[_Text, _Text] = {}
    encoding: Encoding | None = None
    delimiter: Annotated[str, Meta(pattern=r'^[^"\r\n\x00\x80-\U0010ffff]$')] | None = None
    fixed_width: dict[_Text, tuple[_Position, _Position]] = {}
    sheet: _Text | None = None
    layout: Literal["ca_doj"] | None = None
    columns: Path | None = None

    def __post_init__(self) -> None:
        if self.layout is not None and (self.schema != "chri_event/2" or self.rename or self.drop):
            raise ValueError("layout ca_doj: makes chri_event/2, and takes no rename and no drop")
        if both := set(self.rename) & set(self.drop):
            raise ValueError(f"a column cannot be both renamed and dropped: {_listed(both)}")
        if len(set(self.rename.values())) < len(self.rename):
            raise ValueError("rename gives two columns one name")
        if self.fixed_width and self.delimiter is not None:
            raise ValueError("a file has either a delimiter or fixed_width")
        places = sorted(self.fixed_width.values())
        if any(first > last for first, last in places) or any(
            last >= first for (_, last), (first, _) in pairwise(places)
        ):
            raise ValueError("fixed_width: each column is [first, last] position, and columns do not overlap")
        if isinstance(self.date_format, dict) and self.schema in SCHEMAS:
            dates = {column.name for column in SCHEMAS[self.schema].columns.values() if column.date}
            if unknown := set(self.date_format) - dates:
                raise ValueError(f"date_format: {_listed(unknown)} is not a column of dates; {_listed(dates)} are")
        texts = [self.date_format] if isinstance(self.date_format, str) else self.date_format.values()
        for text in texts:
            if text != VERBATIM:
                DateFormat.parse(text)

    def date_formats(self, column: str) -> tuple[DateFormat, ...] | None:
        """The formats that a column of dates may have; None if its values are sent as they are."""
        text = self.date_format if isinstance(self.date_format, str) else self.date_format.get(column)
        if text == VERBATIM:
            return None
        return CANDIDATES if text is None else (DateFormat.parse(text),)


class SideSpec(InputSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A side table for an operation; `file` is read like the input. Without one, the program gives the records."""

    file: Path | None = None


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job, without its records.

    `suite` is that of the job; hybrid-1 needs `ml_kem_thumbprint`, classical-1 refuses it: who pins an ML-KEM key means
    to use it.

    `recipients` holds public JWKs of the suite as JSON text, or names of files that contain one; those of `escrow`, of
    a profile and of a spec alike, are added to them. `valid_hours` is the
    time from sealing to `not_after`; `deadline_seconds` is the maximum duration of a run. `operations` run in order;
    `sides` are named for the role that an operation gives them. The records are sealed in `shards` parts, or in
    parts of about `shard_rows` rows; a spec has one of the two. Without a `size_class` it is that of the job: padded
    where columns are encrypted, exact otherwise.
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
    ml_kem_thumbprint: _Thumbprint | None = None
    suite: Suite = Suite.CLASSICAL_1
    recipients: Annotated[tuple[_Jwk, ...], Meta(min_length=1, max_length=MOST_RECIPIENTS)]
    escrow: Annotated[tuple[_Jwk, ...], Meta(max_length=7)] = ()
    input: InputSpec
    sides: dict[Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")], SideSpec] = {}
    operations: Annotated[tuple[AnyParameters, ...], Meta(min_length=1, max_length=LIMITS.operations)]
    secondary_recipient: Annotated[str, Meta(max_length=256)] = ""
    case_number: Annotated[str, Meta(max_length=256)] = ""
    size_class: Literal["exact", "power_of_two"] | None = None
    valid_hours: Annotated[int, Meta(ge=1, le=24)] = 24
    deadline_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 3_600
    shards: Annotated[int, Meta(ge=1, le=LIMITS.shards)] = 1
    shard_rows: Annotated[int, Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        for name in _WRITTEN:
            try:
                require_text(getattr(self, name), optional=name in _OPTIONAL)
            except (BadTextError, UnicodeError):
                rule = f"at most {LIMITS.text_bytes} bytes of printable text, without blanks around it"
                raise ValueError(f"{name} must be {rule}") from None
        if (self.suite is Suite.HYBRID_1) is (self.ml_kem_thumbprint is None):
            raise ValueError("suite hybrid-1 and ml_kem_thumbprint belong together")
        if self.shards > 1 and self.shard_rows is not None:
            raise ValueError("a job has either shards or shard_rows")


class _Recipients(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a spec that decides who opens results."""

    recipients: Annotated[tuple[_Jwk, ...], Meta(min_length=1, max_length=MOST_RECIPIENTS)]
    escrow: tuple[_Jwk, ...] = ()
    suite: Suite = Suite.CLASSICAL_1


_WHO: Final = _Recipients.__struct_fields__


def decode_spec(text: bytes | str) -> JobSpec:
    """The job spec in this TOML text; its file names are not changed."""
    return _spec(_table(text), Path())


def load_spec(file: FileName | None, *, defaults: Mapping[str, object] = MappingProxyType({})) -> JobSpec:
    """The job spec in this file over `defaults`; recipients are read in, other file names become absolute.

    `defaults` are fields of a spec, as under `job` in a profile; without a file, they form the whole spec.
    """
    folder, found = Path(), dict[str, object]()
    if file is not None:
        folder = Path(file).parent
        found = _table(read_file_bytes(Path(file)))
    spec = _spec({**defaults, **found}, folder)
    return _with_escrow(spec, [*_escrow(defaults), *spec.escrow], folder)


def with_escrow(spec: JobSpec, defaults: Mapping[str, object]) -> JobSpec:
    """The spec with the keys of `escrow`, its own and those of a profile's `defaults`, among its recipients."""
    more = [*_escrow(defaults), *spec.escrow]
    return _with_escrow(spec, more, Path()) if more else spec


def _with_escrow(spec: JobSpec, more: Iterable[str], folder: Path) -> JobSpec:
    named = (_recipient(str(absolute_recipient(item, folder))) for item in (*spec.recipients, *more))
    recipients = tuple(dict.fromkeys(named))
    if len(recipients) > MOST_RECIPIENTS:
        raise SpecError(f"the job has {len(recipients)} recipients, and may have {MOST_RECIPIENTS}")
    return msgspec.structs.replace(spec, recipients=recipients, escrow=())


def _escrow(defaults: Mapping[str, object]) -> tuple[str, ...]:
    try:
        found: tuple[str, ...] = convert(defaults.get("escrow", ()), tuple[_Jwk, ...])
    except ValueError as error:
        raise SpecError(f"[job] escrow: {error}", remedy="Compare it with docs/job.md.") from None
    return found


def recipients_of(defaults: Mapping[str, object]) -> tuple[list[str], Suite]:
    """The public JWKs that may open results of a profile's jobs, and their suite, by its `[job]`."""
    try:
        found = convert({name: defaults[name] for name in _WHO if name in defaults}, _Recipients)
    except ValueError as error:
        raise SpecError(f"[job]: {error}", remedy="Compare it with docs/job.md.") from None
    return list(dict.fromkeys(map(_recipient, (*found.recipients, *found.escrow)))), found.suite


def only(spec: JobSpec, kind: str) -> JobSpec:
    """The spec with only its operations of this kind, or if it has none, with one that has default parameters."""
    chosen = tuple(each for each in spec.operations if operation_of(each).name == kind)
    if not chosen:
        try:
            chosen = (convert({"kind": kind}, AnyParameters),)
        except ValueError as error:
            raise SpecError(f"{kind}: {error}", remedy="Add it to the job spec with its parameters.") from None
    return msgspec.structs.replace(spec, operations=chosen)


def read_file_bytes(path: Path) -> bytes:
    """All bytes of a file; SpecError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path} cannot be read ({error.strerror})") from None


def _table(text: bytes | str) -> dict[str, object]:
    try:
        return toml(text, dict[str, object])
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise SpecError(f"job spec: {error}", remedy="Compare it with docs/job.md.") from None


def _spec(table: dict[str, object], folder: Path) -> JobSpec:
    def below(kind: type, name: object) -> object:
        if kind is not Path or not isinstance(name, str) or not name:
            raise ValueError("expected a file name")
        return folder / name

    try:
        return convert(table, JobSpec, dec_hook=below)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"job spec: {error}", remedy="Compare it with docs/job.md.") from None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _recipient(item: str) -> str:
    if item.lstrip().startswith("{"):
        return item
    try:
        return Path(item).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SpecError(f"{item} cannot be read ({reason})") from None
