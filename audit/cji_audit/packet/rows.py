"""The rows of a packet: every fragment of the policy with who acts, what this product does, and its computed status.

met          every check of the part held
not met      a check failed
gap          nothing failed, and the evidence for a check is missing
outside      the part is not this product's; the statement names who acts instead
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Final, Literal

import msgspec

from cji_audit.packet.catalog import Catalog, Fragment, Unit
from cji_audit.packet.checks import CHECKS, Result
from cji_audit.packet.checks.files import named_tests
from cji_audit.packet.controls import TESTS, Actor, Control, Controls, Part
from cji_audit.packet.material import Material

RowStatus = Literal["met", "not met", "gap", "outside"]
STATUSES: Final[tuple[RowStatus, ...]] = ("not met", "gap", "met", "outside")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One fragment. `checks` and the evidence in them are those of its part."""

    unit: str
    row: int
    title: str
    family: str
    text: str
    priority: str
    sanction: str
    responsibility: str
    by: Actor
    does: str
    how: str
    limits: str
    status: RowStatus
    checks: dict[str, Result]

    @property
    def id(self) -> str:
        """Its name in everything that a packet has: unit and row of the companion, as `AU-8/347`."""
        return f"{self.unit}/{self.row}"

    @property
    def why(self) -> str:
        """Why it is not met, or what is missing; otherwise what held."""
        wanted = {"not met": "fails", "gap": "missing"}.get(self.status)
        return " ".join(each.why for each in self.checks.values() if wanted in (None, each.status))


def rows(material: Material, catalog: Catalog, of: Controls) -> tuple[Row, ...]:
    """All rows, in the order of the catalog."""

    @cache
    def result(name: str, tests: tuple[str, ...]) -> Result:
        return named_tests(material, tests) if name == TESTS else CHECKS[name](material)

    def results(part: Part) -> dict[str, Result]:
        return {name: result(name, part.tests if name == TESTS else ()) for name in part.all_checks}

    return tuple(_rows(catalog.parts(of), results))


def _rows(
    parts: Iterable[tuple[Unit, Control, Part, tuple[Fragment, ...]]], results: Callable[[Part], dict[str, Result]]
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
                responsibility=_responsibility(fragment),
                by=part.by,
                does=part.text,
                how=control.how,
                limits=control.limits,
                status=status(part, tuple(checks.values())),
                checks=checks,
            )


def status(part: Part, results: Sequence[Result]) -> RowStatus:
    """The status that these results give a part: the worst counts."""
    if part.by != "product":
        return "outside"
    found = {each.status for each in results}
    return "not met" if "fails" in found else "gap" if "missing" in found else "met"


def _responsibility(fragment: Fragment) -> str:
    """The companion's word for each service model, once where they agree."""
    named = {"IaaS": fragment.iaas, "PaaS": fragment.paas, "SaaS": fragment.saas}
    given = {model: who for model, who in named.items() if who}
    if len(given) == len(named) and len(set(given.values())) == 1:
        return next(iter(given.values()))
    return "; ".join(f"{model}: {who}" for model, who in given.items()) or "not stated"
