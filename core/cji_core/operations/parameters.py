"""Parameters of operations: one frozen type each, in job.toml, in the header and in the code.

A `Parameters` object is valid by construction: types and ranges stand in its annotations, what they cannot say in
`__post_init__`, and every way in (job.toml, a header, a constructor) passes through them. Fields that only a submitter
can know may be left out of a job.toml; `Operation.complete` fills them from a `Sealing`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Meta

from cji_core.digests import Hex64
from cji_core.documents import convert_sent
from cji_core.errors import OperationsError, Reason, Refusal, Stage
from cji_core.operations.tables import Tables

PROJECT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")
"""Names of projects and of their token domains: without NUL, which separates the two where keys are derived."""

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Sha256 = Hex64
T = TypeVar("T")


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of the parameters of an operation, whose name in the proto's oneof is the subclass's tag."""


P = TypeVar("P", bound=Parameters)


class ParametersError(OperationsError, ValueError):
    """Parameters cannot be completed, or do not fit the columns; for the submitter, before anything is sealed."""

    code = "parameters-invalid"

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "docs/operations.md describes every parameter.",
        without_rule: frozenset[str] = frozenset(),
    ) -> None:
        """`without_rule` are columns of the records that the parameters should name, and do not."""
        super().__init__(message)
        self.remedy = remedy
        self.without_rule = without_rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """The facts that a submitter has when a job is sealed.

    `today` is the day of sealing, `schema` the schema id of the records. `read` returns the bytes of a file.
    `wrap_project_key` returns the key of a project, wrapped to the worker's key; the key is in the file, or was handed
    over for the whole job where there is none.
    """

    today: date
    schema: str
    read: Callable[[Path], bytes]
    wrap_project_key: Callable[[str, Path | None], bytes]


def bad_parameters(stage: Stage) -> Refusal:
    """The refusal of parameters that no input could make right."""
    return Refusal(Reason.BAD_PARAMETERS, stage=stage)


def decoded(kind: type[P], values: Mapping[str, object]) -> P:
    """The parameters with these fields. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    try:
        return convert_sent(values, kind)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise bad_parameters(Stage.ADMIT) from error


class OfProject(Protocol):
    """Parameters, or a part of them, that may be keyed by a project."""

    @property
    def project(self) -> str | None:
        """Its name."""

    @property
    def project_key(self) -> Path | None:
        """The file of its key; None: the key of the whole job."""


K = TypeVar("K", bound=OfProject)


def with_key(parameters: K, sealing: Sealing) -> K:
    """With the key of the project wrapped in `wrapped_project_key`; the same without a project."""
    if parameters.project is None:
        return parameters
    key = sealing.wrap_project_key(parameters.project, parameters.project_key)
    changed: Any = msgspec.structs.replace  # of whatever struct this is
    made: K = changed(parameters, project_key=None, wrapped_project_key=key)
    return made


def known(value: T | None) -> T:
    """A field that may be left out of a job.toml, but not out of a header: `complete` has filled it."""
    if value is None:
        raise TypeError("the parameters are not complete")
    return value


def check_digest(expected: str | None, tables: Tables) -> None:
    """Refuse a worker whose tables are not those that the job expects. Raises: Refusal(BAD_PARAMETERS) at ADMIT."""
    if expected not in {None, tables.sha256.hex()}:
        raise bad_parameters(Stage.ADMIT)
