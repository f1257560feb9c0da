"""The rules of the review, from `rules.toml`: texts for the reader of a finding, by the name of its rule."""

from importlib.resources import files
from typing import Final

import msgspec

from cji_audit.review.model import Severity


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The texts of one kind of finding. `commands` are between backquotes."""

    severity: Severity
    title: str
    why: str
    remedy: str


RULES: Final[dict[str, Rule]] = msgspec.toml.decode(
    files("cji_audit.review").joinpath("rules.toml").read_bytes(), type=dict[str, Rule]
)
"""By name, in their order within a severity."""
