"""The rules for release policies, RP01 and on; `rules.toml` has their texts and severities."""

from pathlib import Path
from typing import Final

from cji_attestation.errors import AttestationError, Fault
from cji_attestation.findings import load_rules


class PolicyError(AttestationError):
    """A release policy that is refused; `check` is the rule's id, `where` the place in the document."""

    def __init__(self, check: str, *, where: str = "") -> None:
        super().__init__(Fault.RELEASE_INVALID, check=check)
        self.where = where
        rule = RULES[check]
        self.remedy = f"Release policy: {rule.title}. {rule.remedy}"


RULES: Final = load_rules(Path(__file__).with_name("rules.toml"))
