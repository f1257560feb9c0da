"""`missing.toml`: values that say nothing about a person."""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cji_core.documents import toml
from cji_core.format.records import SCHEMAS

_Values = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=10_000)]


class Missing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By column: codes for `unknown`, and `placeholders`, whose rows are partly used."""

    version: Literal[1]
    unknown: dict[str, _Values]
    placeholders: dict[str, _Values]

    def __post_init__(self) -> None:
        known = {name for schema in SCHEMAS.values() for name in schema.columns}
        for name in (*self.unknown, *self.placeholders):
            if name not in known:
                raise ValueError(f"values of the column {name}, which no schema has")


@cache
def shipped() -> Missing:
    """The table that is shipped; for who has no `Tables`, as before a job is sealed."""
    return toml((Path(__file__).parent / "missing.toml").read_bytes(), Missing)
