"""Advisories as lines of text: the table, and what one machine's report shows about each row."""

import json
from collections.abc import Iterator
from datetime import datetime

from cji_attestation import AttestationError
from cji_attestation.appraisal.advisories import (
    Advisory,
    AdvisoryFinding,
    Review,
    Shown,
    accepted,
    evaluate,
    evaluate_domain,
    kind_of,
    product_of_cpuid,
)
from cji_attestation.evidence import Evidence, parse_hcl, parse_snp_report
from cji_core.command.common import Failure


def machine_findings(bundle: Evidence, review: Review, now: datetime) -> tuple[AdvisoryFinding, ...]:
    """Findings on the report in a bundle, nothing of it verified; Failure 2 where it shows no product.

    On TDX the rows of the table alone: what Intel's statements name is for an appraisal, which verifies them.
    """
    try:
        raw = parse_hcl(bundle.hcl_report)
        report = parse_snp_report(raw.hardware) if raw.tee == "snp" else None
    except AttestationError as error:
        raise Failure(f"the report cannot be read ({error.check})", remedy=error.remedy, status=2) from error
    if report is None:
        return accepted(evaluate_domain(review.rows), review.acceptances, "TDX", now)
    product = product_of_cpuid(*report.cpuid[:2])
    if product is None:
        remedy = "Use a report of version 3 or later of an AMD machine."
        raise Failure("the report names no AMD product", remedy=remedy, status=2)
    found = evaluate(review.rows, Shown.of(report, product))
    return accepted(found, review.acceptances, kind_of(report.cpuid, product), now)


def finding_text(finding: AdvisoryFinding) -> str:
    """One line: id, state, details, and who accepted it."""
    by = f"; accepted by {finding.accepted_by}" if finding.accepted_by else ""
    return f"{finding.id:18} {finding.state:16} {finding.detail}{by}"


def shown_rows(review: Review, findings: tuple[AdvisoryFinding, ...] | None) -> Iterator[str]:
    """The table, or what a report shows about it, then the acceptances."""
    origin = "signed table" if review.own else "shipped table"
    yield f"{origin}, reviewed {review.reviewed}, in force until {review.expires}"
    if findings is None:
        for row in review.rows:
            yield from _row(row)
    else:
        yield "not verified: what the evidence claims"
        for finding in findings:
            yield f"  {finding_text(finding)}"
    for one in review.acceptances:
        yield f"acceptance {one.id}, {one.since} to {one.until}, {', '.join(one.machines)}, by {plain(one.decided_by)}"
        yield f"  {' '.join(one.advisories)}"
        yield f"  {plain(one.reason)}"


def _row(row: Advisory) -> Iterator[str]:
    yield f"{row.id}  {plain(row.title)}"
    yield f"  {row.visibility}; {', '.join(row.affects)}{'; only with SMT' if row.smt_only else ''}"
    if row.host_update:
        yield "  the host's system needs an update too, which no report states"
    if row.cves:
        yield f"  {' '.join(row.cves)}"
    for stepping, fix in row.fixes.items():
        levels = [f"{component} {level}" for component, level in fix.levels.items()]
        bit = [] if fix.mitigation_bit is None else [f"mitigation bit {fix.mitigation_bit}"]
        yield f"  {stepping}: {', '.join((*levels, *bit, *(['alias check'] if fix.alias_check else [])))}"
    for product, pi in row.pi.items():
        yield f"  {product}: firmware {plain(pi)}"
    if row.note:
        yield f"  {plain(row.note)}"
    yield f"  {row.confidence}, read {row.read}: {plain(row.source)}"


def plain(text: str) -> str:
    """Foreign text escaped, so that it cannot move the cursor."""
    return json.dumps(text, ensure_ascii=False)[1:-1]
