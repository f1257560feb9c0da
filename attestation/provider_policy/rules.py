"""The rules: what each one means, why it matters and what to do. docs/release-policy.md has the same table.

MP1x what each permission must demand, MP2x claims and properties that a policy makes, MP4x grammar. An id is never
used for another rule.
"""

from typing import Final

from attestation.errors import AttestationError, Fault
from attestation.findings import Rule, Severity, table

__all__ = ["RULES", "MaaPolicyError"]


class MaaPolicyError(AttestationError):
    """A policy that is refused; `check` is the rule's id, `where` the place in the text."""

    def __init__(self, check: str, *, where: str = "") -> None:
        super().__init__(Fault.CONFIG_INVALID, check=check)
        self.where = where

    @property
    def remedy(self) -> str:
        """What the provider's owner can do."""
        rule = RULES[self.check]
        return f"Attestation policy: {rule.title}. {rule.remedy}"


_E, _W = Severity.ERROR, Severity.WARNING
_BUILD: Final = "`cji policy build --for maa` writes a policy that has it."
_EACH: Final = f"Demand it in every rule that permits. {_BUILD}"

RULES: Final = table(
    Rule(
        id="MP10",
        severity=_E,
        title="permits without a condition",
        why="Rules that deny something do not help: a rule whose claim is missing does not fire, and the permission "
        "after it does. Microsoft's default policies are of this kind.",
        remedy=f"Write conditions that must hold, not ones that must not. {_BUILD}",
    ),
    Rule(
        id="MP11",
        severity=_E,
        title="secure boot not demanded",
        why="Without secure boot any kernel gets a token.",
        remedy=_EACH,
    ),
    Rule(
        id="MP12",
        severity=_E,
        title="debuggers not ruled out",
        why="A debugger of boot chain, hypervisor or kernel runs what its operator likes, in spite of secure boot.",
        remedy=_EACH,
    ),
    Rule(
        id="MP13",
        severity=_E,
        title="test signing not ruled out",
        why="With test signing on, code that nobody trusted has signed is loaded.",
        remedy=_EACH,
    ),
    Rule(
        id="MP14",
        severity=_E,
        title="secure boot's keys not validated",
        why="Secure boot under other keys, or without the revocation list, boots what it should refuse.",
        remedy=_EACH,
    ),
    Rule(
        id="MP15",
        severity=_W,
        title="condition takes a claim of any issuer",
        why="The machine that is judged can add claims of its own, with the issuer CustomClaim, and the policy can add "
        "some. Only those of AttestationService were read from evidence.",
        remedy='Add issuer=="AttestationService" to the condition.',
    ),
    Rule(
        id="MP16",
        severity=_E,
        title="nothing is permitted",
        why="No machine gets a token.",
        remedy=f"Write a rule that permits. {_BUILD}",
    ),
    Rule(
        id="MP20",
        severity=_E,
        title="policy makes a claim that the service makes",
        why="Whoever reads the token, Key Vault first, takes it for a fact that the service found.",
        remedy="Give it a name of your own: Key Vault reads such claims as x-ms-policy.NAME.",
    ),
    Rule(
        id="MP21",
        severity=_E,
        title="policy passes on what the machine said of itself",
        why="Claims with the issuer CustomClaim, client-payload and x-ms-runtime hold what the caller sent. Under a "
        "name of the policy's own they look like its verdict.",
        remedy='Pass on claims with issuer=="AttestationService" only.',
    ),
    Rule(
        id="MP22",
        severity=_E,
        title="configuration weakens the service's own checks",
        why="Without a valid certificate of the attestation key, or with a part of the PCRs, the quote proves less.",
        remedy="Drop the configuration rule; the service's defaults are strict.",
    ),
    Rule(
        id="MP23",
        severity=_E,
        title="token lives longer",
        why="report_validity_in_minutes can make a token good for a year. The service's own limit is 8 hours.",
        remedy="Drop it.",
    ),
    Rule(
        id="MP24",
        severity=_W,
        title="property of unknown meaning",
        why="These rules know require_valid_aik_cert, required_pcr_mask and report_validity_in_minutes.",
        remedy="Find out what it does before you trust the policy.",
    ),
    Rule(
        id="MP40",
        severity=_E,
        title="not a text",
        why="What cannot be read cannot be judged.",
        remedy="Write UTF-8, at most 64 KiB.",
    ),
    Rule(
        id="MP41",
        severity=_E,
        title="outside the grammar",
        why="The service refuses it, or reads it in its own way.",
        remedy="Compare it with the output of `cji policy build --for maa`. Conditions compare with ==, a rule ends in "
        "a semicolon, and so does a section.",
    ),
    Rule(
        id="MP42",
        severity=_E,
        title="unknown version of the grammar",
        why="These rules are for versions 1.0, 1.1 and 1.2.",
        remedy="Write version=1.0; at the beginning.",
    ),
    Rule(
        id="MP43",
        severity=_E,
        title="section missing, repeated or out of order",
        why="Two readers take different ones of two sections.",
        remedy="Write configurationrules (or leave it out), authorizationrules, issuancerules (or leave it out).",
    ),
    Rule(
        id="MP45",
        severity=_E,
        title="property, type or action in the wrong place",
        why="Each section has its own actions, each claim has type and value, and only numbers have an order.",
        remedy="Permit and deny in authorizationrules, issue in issuancerules, issueproperty in configurationrules.",
    ),
    Rule(
        id="MP46",
        severity=_E,
        title="not in this version of the grammar",
        why="Configuration rules came with 1.1; functions, eight deep at most, and ! came with 1.2.",
        remedy="Raise the version, or do without.",
    ),
    Rule(
        id="MP47",
        severity=_E,
        title="unknown name",
        why="A name means the claim of an earlier condition of the same rule, or one of six functions.",
        remedy="Name the condition before it is used, once; count the function's arguments.",
    ),
)
