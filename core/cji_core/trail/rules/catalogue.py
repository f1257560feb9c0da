"""The rules by id, from `rules.toml`: what a finding means, and what each reader does with it."""

from importlib.resources import files
from typing import Final, Literal

import msgspec

from cji_core.documents import toml

Severity = Literal["alert", "warning", "notice"]
SEVERITIES: Final[tuple[Severity, ...]] = ("alert", "warning", "notice")


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of finding. `commands` are between backquotes.

    `field` is the name that `cji audit verify` stops with; a finding of a rule without one leaves the trail in order.
    `topic` is the check of a packet that the finding fails.
    """

    severity: Severity
    title: str
    why: str
    remedy: str
    field: str | None = None
    topic: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether a trail with such a finding is not a true one."""
        return self.field is not None


RULES: Final[dict[str, Rule]] = toml(files("cji_core.trail.rules").joinpath("rules.toml").read_bytes(), dict[str, Rule])
"""By id, in their order within a severity."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a rule at a line. Every reader of a trail gets the same.

    `what` has words of ours, ids and numbers only; `detail` may have texts of operators. `subject` is what findings of
    one rule are grouped by: a worker, a submitter, a key.
    """

    rule: str
    line: int
    time: str
    subject: str
    what: str
    detail: str
    found: str = ""
    expected: str = ""
    count: int = 1

    @property
    def severity(self) -> Severity:
        """That of its rule."""
        return RULES[self.rule].severity

    @property
    def is_error(self) -> bool:
        """That of its rule."""
        return RULES[self.rule].is_error
