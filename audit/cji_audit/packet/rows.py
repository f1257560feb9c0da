"""The rows of a packet: every fragment of the policy with who acts, what this product does, and its computed status.

met          every check of the part held, and the product does what the fragment requires
partial      every check held, and the product does a part of it; the statement has what is missing
not met      a check failed
gap          nothing failed, and the evidence for a check is missing
agency       not this product's: the agency acts, for the reason in the statement
provider     not this product's: the provider of the cloud or of the landing zone acts
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Final, Literal

import msgspec

from cji_audit.packet.catalog import Catalog, Fragment, Unit
from cji_audit.packet.checks import CHECKS, Result
from cji_audit.packet.checks.files import named_tests
from cji_audit.packet.controls import TESTS, Actor, Control, Controls, NamedTest, Part
from cji_audit.packet.material import Material

RowStatus = Literal["met", "partial", "not met", "gap", "agency", "provider"]
STATUSES: Final[tuple[RowStatus, ...]] = ("not met", "gap", "partial", "met", "agency", "provider")
ZERO_CYCLE: Final = "Zero-cycle"
ZERO_CYCLE_ENDS: Final = "2027-10-01"
"""From this day on a requirement that the companion calls zero-cycle is sanctionable; until then it is audited only."""
Sanctionable = Literal["now", "later", "not stated"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One fragment. `checks` and the evidence in them are those of its part."""

    unit: str
    row: int
    title: str
    family: str
    text: str
    priority: str
    sanction: str
    sanctionable: Sanctionable
    responsibility: str
    by: Actor
    does: str
    missing: str
    how: str
    limits: str
    status: RowStatus
    checks: dict[str, Result]
    tests: tuple[NamedTest, ...]

    @property
    def id(self) -> str:
        """Its name in everything that a packet has: unit and row of the companion, as `AU-8/347`."""
        return f"{self.unit}/{self.row}"

    @property
    def sanctionable_from(self) -> str:
        """The first day on which an audit may sanction it; empty if that is so already, or not stated."""
        return sanctioned_from(self.sanction) if self.sanctionable == "later" else ""

    @property
    def why(self) -> str:
        """Why it is not met, or what is missing; otherwise what held."""
        if self.status == "partial":
            return self.missing
        wanted = {"not met": "fails", "gap": "missing"}.get(self.status)
        return " ".join(each.why for each in self.checks.values() if wanted in (None, each.status))


def rows(material: Material, catalog: Catalog, of: Controls) -> tuple[Row, ...]:
    """All rows, in the order of the catalog."""

    @cache
    def result(name: str, tests: tuple[str, ...]) -> Result:
        return named_tests(material, tests) if name == TESTS else CHECKS[name](material)

    def results(part: Part) -> dict[str, Result]:
        return {name: result(name, part.tests if name == TESTS else ()) for name in part.all_checks}

    last = material.period.last.isoformat()
    return tuple(_rows(catalog.parts(of), results, of, last))


def _rows(
    parts: Iterable[tuple[Unit, Control, Part, tuple[Fragment, ...]]],
    results: Callable[[Part], dict[str, Result]],
    of: Controls,
    last: str,
) -> Iterator[Row]:
    for unit, control, part, fragments in parts:
        checks = results(part)
        for fragment in fragments:
            yield Row(
                unit=unit.id,
                row=fragment.row,
                title=unit.title,
                family=unit.family,
                text=fragment.text,
                priority=fragment.priority or "",
                sanction=(fragment.sanction or "").partition("T")[0],
                sanctionable=sanctionable(fragment.sanction or "", last),
                responsibility=_responsibility(fragment),
                by=part.by,
                does=part.text,
                missing=part.missing,
                how=control.how,
                limits=control.limits,
                status=status(part, tuple(checks.values())),
                checks=checks,
                tests=tuple(of.tests[name] for name in part.tests),
            )


def status(part: Part, results: Sequence[Result]) -> RowStatus:
    """The status that these results give a part: the worst counts, and what it says is missing."""
    if part.by != "product":
        return part.by
    found = {each.status for each in results}
    if "fails" in found:
        return "not met"
    return "gap" if "missing" in found else "partial" if part.missing else "met"


def sanctionable(sanction: str, on: str) -> Sanctionable:
    """Whether an auditor may sanction a fragment on a day, by the companion's word: a date is the first such day."""
    if not sanction or sanction == "None":
        return "not stated"
    return "now" if sanctioned_from(sanction) <= on else "later"


def sanctioned_from(sanction: str) -> str:
    """The first day of sanctions by the companion's word; empty for requirements of before."""
    return {"Existing": "", ZERO_CYCLE: ZERO_CYCLE_ENDS}.get(sanction, sanction.partition("T")[0])


def label(name: str) -> str:
    """The part of a name before its colon as a label: `ac` for `AC: ACCESS CONTROL`; a number gets a word before it."""
    found = name.partition(":")[0].lower()
    return f"section-{found}" if found[:1].isdigit() else found


def _responsibility(fragment: Fragment) -> str:
    """The companion's word for each service model, once where they agree."""
    named = {"IaaS": fragment.iaas, "PaaS": fragment.paas, "SaaS": fragment.saas}
    given = {model: who for model, who in named.items() if who}
    if len(given) == len(named) and len(set(given.values())) == 1:
        return next(iter(given.values()))
    return "; ".join(f"{model}: {who}" for model, who in given.items()) or "not stated"
