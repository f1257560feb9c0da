"""One machine against the table: what its report shows about each advisory.

A row is "fixed" only if the report shows every condition of the fix. What a report cannot show is "cannot be shown",
never "fixed"; that includes levels that the row does not state for the machine's stepping.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Final, Literal, NamedTuple

from cji_attestation.appraisal.advisories.products import Product, Stepping, Target, stepping_of
from cji_attestation.appraisal.advisories.table import Advisory, Fix
from cji_attestation.evidence import SnpReport, Tcb
from cji_attestation.evidence.snp_report import parse_tcb

State = Literal["fixed", "not affected", "informational", "early", "open", "cannot be shown"]
SETTLED: Final[frozenset[State]] = frozenset({"fixed", "not affected", "informational", "early"})
"""The states that need no decision of anybody. "early" and "informational" are Intel's: a level that will be required
once it is standard, and a notice beside a machine that is up to date."""

_VERSION_OF_ALIAS_CHECK: Final = 3
_VERSION_OF_MITIGATIONS: Final = 5


class AdvisoryFinding(NamedTuple):
    """The state of one advisory on a machine, with the reason; `accepted_by` is the id of an acceptance, or empty."""

    id: str
    state: State
    detail: str
    accepted_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A machine as its report shows it. `stepping`, `mitigations` and `alias_check` are None where it shows nothing.

    `tcbs` are the reported, committed and launch TCB, each None if its reserved bytes are not zero. `mitigations` has
    the bits that both vectors, at launch and now, have.
    """

    product: Product
    stepping: Stepping | None
    tcbs: tuple[Tcb | None, ...]
    mitigations: int | None
    alias_check: bool | None
    smt: bool
    version: int

    @classmethod
    def of(cls, report: SnpReport, product: Product) -> "Shown":
        """From a report of this product."""
        raw = (report.reported_tcb, report.committed_tcb, report.launch_tcb)
        vectors = report.launch_mitigations & report.current_mitigations
        flags = report.platform_flags
        return cls(
            product=product,
            stepping=stepping_of(report.cpuid),
            tcbs=tuple(parse_tcb(one, turin=product == "Turin") for one in raw),
            mitigations=vectors if report.version >= _VERSION_OF_MITIGATIONS else None,
            alias_check="alias-check-complete" in flags if report.version >= _VERSION_OF_ALIAS_CHECK else None,
            smt="smt" in flags,
            version=report.version,
        )


def evaluate(rows: Iterable[Advisory], shown: Shown) -> tuple[AdvisoryFinding, ...]:
    """A finding for each row, in their order."""
    return tuple(AdvisoryFinding(row.id, *_row(row, shown)) for row in rows)


def evaluate_domain(rows: Iterable[Advisory]) -> tuple[AdvisoryFinding, ...]:
    """A finding for each row that is about trust domains: what Intel's statements do not have."""
    return tuple(
        AdvisoryFinding(row.id, *(_general(row, "TDX") or ("cannot be shown", "no level is known for TDX")))
        for row in rows
        if "TDX" in row.affects
    )


def _row(row: Advisory, shown: Shown) -> tuple[State, str]:
    if shown.product not in row.affects:
        return "not affected", f"{shown.product} is not affected"
    if row.smt_only and not shown.smt:
        return "not affected", "SMT is off"
    return _general(row, shown.product) or _fixed(row, shown)


def _general(row: Advisory, target: Target) -> tuple[State, str] | None:
    """The state that no machine changes; None for a row whose fix a report can show."""
    match row.visibility:
        case "physical":
            return "open", "a physical attack, which no firmware stops"
        case "not fixed":
            return "open", "nothing fixes it"
        case "not visible in a report":
            pi = None if target == "TDX" else row.pi.get(target)
            return "cannot be shown", f"fixed by firmware {pi}, which no report states" if pi else "no report states it"
    return None


def _fixed(row: Advisory, shown: Shown) -> tuple[State, str]:
    if shown.stepping is None:
        return "cannot be shown", f"the report of version {shown.version} names no known stepping"
    fix = row.fixes.get(shown.stepping)
    if fix is None:
        return "cannot be shown", f"no level is known for {shown.stepping}"
    hosts: tuple[tuple[State, str], ...] = ()
    if row.host_update:
        hosts = (("cannot be shown", "an update of the host's system, which no report states"),)
    return _worst((*_conditions(fix, shown), *hosts))


def _worst(found: tuple[tuple[State, str], ...]) -> tuple[State, str]:
    """The first open condition, else the first that cannot be shown, else all of them together."""
    for state in ("open", "cannot be shown"):
        for one in found:
            if one[0] == state:
                return one
    return "fixed", ", ".join(detail for _, detail in found)


def _conditions(fix: Fix, shown: Shown) -> Iterator[tuple[State, str]]:
    for component, level in fix.levels.items():
        levels = [asdict(tcb)[component] for tcb in shown.tcbs if tcb is not None]
        if len(levels) < len(shown.tcbs):
            yield "cannot be shown", "the TCB has unknown components"
        elif min(levels) < level:
            yield "open", f"{component} {min(levels)}, fixed from {level}"
        else:
            yield "fixed", f"{component} {min(levels)} ≥ {level}"
    if (bit := fix.mitigation_bit) is not None:
        if shown.mitigations is None:
            yield "cannot be shown", f"mitigation bit {bit}, which no report of version {shown.version} has"
        elif not shown.mitigations >> bit & 1:
            yield "open", f"mitigation bit {bit} is not set"
        else:
            yield "fixed", f"mitigation bit {bit}"
    if fix.alias_check:
        if shown.alias_check is None:
            yield "cannot be shown", f"a report of version {shown.version} has no alias check"
        elif not shown.alias_check:
            yield "open", "the alias check is not complete"
        else:
            yield "fixed", "alias check complete"
