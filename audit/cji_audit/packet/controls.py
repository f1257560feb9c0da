"""The statements of this product, from `controls.toml`: who acts on each fragment of the policy, and what proves it."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from cji_core.documents import toml

Actor = Literal["product", "agency", "provider"]
_Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*\Z")]
TESTS: Final = "tests"
"""The check that the named tests of a part passed."""


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all tables of the file."""


class NamedTest(_Table, frozen=True, kw_only=True):
    """A test of this repository, and what it tries to break."""

    test: Annotated[str, Meta(pattern=r"^tests/[a-z0-9_/]+\.py::test_[a-z0-9_]+\Z")]
    breaks: Annotated[str, Meta(min_length=1)]


class Part(_Table, frozen=True, kw_only=True):
    """One statement, and the fragments that it is about. Only a part of the product has checks.

    `missing` is what its fragments require and the product does not do: the part is at best partial.
    """

    rows: Annotated[str, Meta(pattern=r"^[0-9]+(-[0-9]+)?( [0-9]+(-[0-9]+)?)*\Z")]
    by: Actor
    text: Annotated[str, Meta(min_length=1)]
    missing: str = ""
    checks: tuple[_Name, ...] = ()
    tests: tuple[_Name, ...] = ()

    def __post_init__(self) -> None:
        if (self.by == "product") is not bool(self.checks or self.tests):
            raise ValueError(f"rows {self.rows}: a part has checks or tests if, and only if, it is the product's")
        if self.missing and self.by != "product":
            raise ValueError(f"rows {self.rows}: only a part of the product can have something missing")

    @property
    def numbers(self) -> tuple[int, ...]:
        """Its rows, in the order of the file."""
        pairs = (each.partition("-") for each in self.rows.split())
        return tuple(n for first, _, last in pairs for n in range(int(first), int(last or first) + 1))

    @property
    def all_checks(self) -> tuple[str, ...]:
        """Names of everything that decides its status."""
        return (*self.checks, *([TESTS] if self.tests else []))


class Control(_Table, frozen=True, kw_only=True):
    """One unit of the policy."""

    id: Annotated[str, Meta(pattern=r"^([A-Z]{2}-[0-9]+(\([0-9]+\))?|[0-9]+(\.[0-9]+)+)\Z")]
    how: str = ""
    limits: str = ""
    parts: Annotated[tuple[Part, ...], Meta(min_length=1)]

    @property
    def numbers(self) -> tuple[int, ...]:
        """All rows, sorted."""
        return tuple(sorted(n for part in self.parts for n in part.numbers))


class Controls(_Table, frozen=True, kw_only=True):
    """The whole file, for one version of the policy."""

    version: str
    tests: Mapping[_Name, NamedTest]
    controls: tuple[Control, ...]

    def __post_init__(self) -> None:
        numbers = [n for control in self.controls for n in control.numbers]
        if len(set(numbers)) != len(numbers) or len({each.id for each in self.controls}) != len(self.controls):
            raise ValueError("a unit or a row occurs twice")
        unknown = {name for control in self.controls for part in control.parts for name in part.tests} - set(self.tests)
        if unknown:
            raise ValueError(f"unknown tests: {', '.join(sorted(unknown))}")


@cache
def controls() -> Controls:
    """The file, read once."""
    data = files("cji_audit.packet").joinpath("controls.toml").read_bytes()
    return toml(data, Controls)
