"""The requirements on a deployment, as data. `python -m cji_deploy.expected` writes them from deploy/."""

import functools
from importlib.resources import files
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from cji_core import documents

NAME: Final = "expected.json"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts."""


class Rule(_Part, frozen=True, kw_only=True):
    """Each value at `path` is one of `allowed`, or at least `least`; with neither, it must be set."""

    path: str
    why: str
    allowed: tuple[str | int | bool, ...] = ()
    least: int | None = None


class Subject(_Part, frozen=True, kw_only=True):
    """Resources of a type, and their rules. A type with several subjects has resources of several roles.

    `name` is for people. Each resource is held to the subject whose rules it fails least.
    """

    name: str
    type: str
    rules: tuple[Rule, ...]
    named: str = ""
    """The last part of the name of the one resource that it is about; all others are held to the other subjects."""
    optional: bool = False
    """Whether a deployment may have none."""


class Grant(_Part, frozen=True, kw_only=True):
    """A role that may be assigned on resources of a type: to at most `most` identities on one resource.

    `role` is the id of a built-in role. A custom role is known by its rights, `rights`.
    """

    type: str
    role: str = ""
    rights: tuple[str, ...] = ()
    most: Annotated[int, Meta(ge=1)] = 1


class Expected(_Part, frozen=True, kw_only=True):
    """All requirements."""

    version: Annotated[int, Meta(ge=1, le=1)] = 1
    regions: tuple[str, ...]
    global_types: tuple[str, ...]
    """Types whose location is `global` or absent."""
    subjects: tuple[Subject, ...]
    logged: tuple[str, ...]
    """Types of which every resource needs a diagnostic setting."""
    forbidden: dict[str, str]
    """Types that must not occur, and why."""
    grants: tuple[Grant, ...]
    data_roles: dict[str, str]
    """Built-in roles over keys and data, by id, which nobody may have from a wider scope."""
    release_policies: tuple[dict[str, Any], ...]
    """Reviewed policies of master keys; `__ATTESTATION_AUTHORITY__` stands for the agency's provider."""


def decode(data: bytes) -> Expected:
    """The requirements in a file. Raises StrictError."""
    return documents.decode(data, Expected, limit=len(data))


@functools.cache
def expected() -> Expected:
    """Those that this version was released with."""
    return decode(files(__package__).joinpath(NAME).read_bytes())
