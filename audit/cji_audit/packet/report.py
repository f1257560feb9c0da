"""The document of a packet: cover, what is not met and what is missing first, the SSP section, families, evidence."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from cji_audit.packet.catalog import Catalog
from cji_audit.packet.checks import Evidence, Result
from cji_audit.packet.document import Badge, Block, Cell, Code, Document, Facts, Heading, Names, Section, Table, Text
from cji_audit.packet.material import Material
from cji_audit.packet.rows import STATUSES, ZERO_CYCLE, ZERO_CYCLE_ENDS, Row, RowStatus, label
from cji_audit.packet.ssp import ssp
from cji_audit.packet.walkthrough import blocks

NOTICE: Final = (
    "For the agency and its auditor. It has names of operators and requestors in the lines of the trail that it "
    "includes: handle it like the audit trail. It has no record and no key."
)
_BADGES: Final[dict[RowStatus, Badge]] = {
    "met": Badge("met", "good"),
    "partial": Badge("partial", "open"),
    "not met": Badge("not met", "bad"),
    "gap": Badge("gap", "open"),
    "agency": Badge("agency", "plain"),
    "provider": Badge("provider", "plain"),
}
_MEANING: Final[dict[RowStatus, str]] = {
    "met": "every check held, with evidence from this period",
    "partial": "every check held, and the product does a part of what is required; the statement has what is missing",
    "not met": "a check failed",
    "gap": "evidence for a check was not given",
    "agency": "not this product's: the agency acts",
    "provider": "not this product's: the provider of the cloud or of the landing zone acts",
}
MOST_OUTSIDE: Final = 8
"""Fragments of a part outside this product whose texts are shown; the part's row names all of them."""
_ACTOR: Final = {"product": "this product", "agency": "agency", "provider": "provider"}


def report(material: Material, catalog: Catalog, rows: Sequence[Row]) -> Document:
    """The document."""
    period = material.period
    return Document(
        title=f"CJIS Security Policy {catalog.version}: packet for the auditor",
        notice=NOTICE,
        cover=tuple(_cover(material, catalog, rows)),
        sections=(
            Section("not-met", "Not met, gaps, and what is missing", tuple(_open(rows))),
            Section("ssp", "Customer-managed keys and confidential computing (SSP)", ssp(material)),
            Section("walkthrough", "Microsoft's walkthrough, step by step", tuple(blocks(checks_of(rows)))),
            Section("deployment", "Deployment in Azure", tuple(_deployment(material))),
            *(_family(name, list(of)) for name, of in groupby(rows, key=lambda row: row.family)),
            Section("evidence", "Checks and their evidence", tuple(_evidence(rows))),
            Section("verify", "How to verify this packet", tuple(_verify(material, period.first.isoformat()))),
        ),
    )


def _cover(material: Material, catalog: Catalog, rows: Sequence[Row]) -> Iterator[Block]:
    yield Facts(
        {
            "period": f"{material.period.first} to {material.period.last}, UTC",
            "workers": ", ".join(trail.worker for trail in material.trails),
            "product": f"cji-worker {material.product}",
            "requirements": f"{len({row.unit for row in rows})} units, {len(rows)} fragments",
            "catalog": f"{catalog.version} of {catalog.published or 'a date that is not stated'}",
        }
    )
    if catalog.transcription:
        yield Text(f"Texts of the policy: {catalog.transcription}. Check them against the FBI's own file.")
    counts, now = Counter(row.status for row in rows), Counter(row.status for row in rows if row.sanctionable == "now")
    later = Counter(row.status for row in rows if row.sanctionable == "later")
    yield Table(
        ("status", "fragments", "sanctionable", "later", "meaning"),
        [
            (_BADGES[status], str(counts[status]), str(now[status]), str(later[status]), _MEANING[status])
            for status in STATUSES
        ],
        "counts",
    )
    yield Text(
        f"Sanctionable on {material.period.last}, the last day of the period, by the companion's column. Later: "
        f"audited without sanctions until then, which for zero-cycle requirements is until {ZERO_CYCLE_ENDS}."
    )


def _deployment(material: Material) -> Iterator[Block]:
    """The findings of `cji doctor --azure` in the exports that were given."""
    found = material.deployment
    if found is None:
        yield Text("Exports of the deployment: not given (--deployment). Whether it is as described is not known.")
        return
    yield Text(f"{found.holds} requirements hold, {len(found.deviations)} do not or could not be seen.")
    if found.deviations:
        rows = [(each.requirement, each.resource, each.state, each.found) for each in found.deviations]
        yield Table(("requirement", "resource", "state", "found"), rows, "open")
    again = " ".join(f"--export given/deployment/{each.name}" for each in found.files)
    files = [(each.name, Code(each.sha256), Code(f"cji doctor --azure {again}")) for each in found.files]
    yield Table(("export", "SHA-256", "re-check"), files, "pieces")


def _open(rows: Sequence[Row]) -> Iterator[Block]:
    """Failed checks and missing evidence, each with the rows that depend on it, and what partial rows lack."""
    for title, status, words in (
        ("Checks that failed", "fails", "None failed."),
        ("Evidence that is missing", "missing", "Nothing is missing."),
    ):
        affected: dict[tuple[str, str], list[str]] = {}
        for row in rows:
            for name, result in row.checks.items():
                if result.status == status:
                    affected.setdefault((name, result.why), []).append(row.id)
        yield Heading(title)
        if not affected:
            yield Text(words)
            continue
        yield Table(
            ("check", "what was found", "fragments"),
            [(name, why, Names([*ranges(ids)])) for (name, why), ids in affected.items()],
            "open",
        )
    yield Heading("Covered in part")
    partial = lacking(rows)
    if not partial:
        yield Text("No fragment is covered in part.")
        return
    yield Table(
        ("fragments", "what is missing"), [(Names([*ranges(ids)]), what) for what, ids in partial.items()], "open"
    )


def lacking(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The deficits of partial rows, each with the names of those rows."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.status == "partial":
            found.setdefault(row.missing, []).append(row.id)
    return found


def ranges(ids: Sequence[str]) -> Iterator[str]:
    """Fragments with consecutive rows as one: `AU-8/346-347`."""
    run: list[tuple[str, int]] = []
    for each in ids:
        unit, _, row = each.partition("/")
        if run and (unit, int(row)) != (run[-1][0], run[-1][1] + 1):
            yield _range(run)
            run = []
        run.append((unit, int(row)))
    if run:
        yield _range(run)


def _range(run: Sequence[tuple[str, int]]) -> str:
    (unit, first), (_, last) = run[0], run[-1]
    return f"{unit}/{first}" if first == last else f"{unit}/{first}-{last}"


def _family(name: str, rows: Sequence[Row]) -> Section:
    cells = [_cells(list(of)) for _, of in groupby(rows, key=lambda row: (row.unit, row.does))]
    heads = ("unit", "requirement", "responsibility", "what is done", "status")
    return Section(label(name), name, (Table(heads, cells, "family"),))


def where_and_limits(row: Row) -> list[str]:
    """Places where the product acts on a fragment, and its limits there, as far as either is stated."""
    where = [f"Where: {row.how}."] if row.how else []
    return [*where, f"Not covered: {row.limits}"] if row.limits else where


def _cells(rows: Sequence[Row]) -> tuple[Cell, ...]:
    first = rows[0]
    who = dict.fromkeys(row.responsibility for row in rows)
    done = [first.does]
    if first.by == "product":
        done += where_and_limits(first)
        done.append(f"Checks: {', '.join(first.checks)}.")
        done += [f"Rests on the test report: {each.test} {each.breaks}." for each in first.tests]
    why = [f"Found: {first.why}"] if first.status in {"not met", "gap"} else []
    why += [f"Missing: {first.missing}"] if first.missing else []
    shown = rows if first.by == "product" or len(rows) <= MOST_OUTSIDE else rows[:MOST_OUTSIDE]
    hidden = len(rows) - len(shown)
    more = [f"{hidden} more fragments; their texts are in catalog.json."] if hidden else []
    return (
        (first.unit, ", ".join(each.partition("/")[2] for each in ranges([row.id for row in rows]))),
        (first.title, *(f"{row.row}  {' '.join(row.text.split())}" for row in shown), *more),
        (*who, f"acts: {_ACTOR[first.by]}", *dict.fromkeys(map(_sanction, rows))),
        (*done, *why),
        _BADGES[first.status],
    )


def _sanction(row: Row) -> str:
    """When a fragment is sanctionable, in words."""
    match row.sanctionable:
        case "now":
            since = "" if row.sanction in {"Existing", ZERO_CYCLE} else f" since {row.sanction}"
            return f"sanctionable now{since}"
        case "later":
            return f"sanctionable from {row.sanctionable_from}"
        case "not stated":
            return "sanctions: not stated"


def checks_of(rows: Sequence[Row]) -> dict[str, Result]:
    """Each check once, by its name; named tests by their parts, as `tests of SC-39/1376`."""
    found: dict[str, Result] = {}
    for row in rows:
        for name, result in row.checks.items():
            if name != "tests":
                found[name] = result
            elif result not in found.values():
                found[f"tests of {row.id}"] = result
    return dict(sorted(found.items()))


def _evidence(rows: Sequence[Row]) -> Iterator[Block]:
    yield Text(
        "Each piece of evidence has a SHA-256, and a command that prints it again, run beside the files that are named."
    )
    words = {"holds": "held", "fails": "failed", "missing": "missing"}
    for name, result in checks_of(rows).items():
        yield Heading(f"{name}: {words[result.status]}")
        yield Text(result.why)
        if result.evidence:
            yield Table(
                ("kind", "evidence", "SHA-256", "re-check"), [_piece(each) for each in result.evidence], "pieces"
            )


def _piece(each: Evidence) -> tuple[Cell, ...]:
    return each.kind, each.what, Code(each.sha256), Code(each.recheck)


def _verify(material: Material, first: str) -> Iterator[Block]:
    yield Text(
        "packet.json lists every file with its SHA-256, packet.jws is the agency's signature over it, and packet.tsr a "
        "timestamp over that signature. No key in the packet vouches for it: give the agency's, the workers' and the "
        "reviewers' keys that you have from them. Without them nothing here is trusted."
    )
    trails = " ".join(f"--trail {trail.file}" for trail in material.trails)
    yield Text(
        "This compares every file, repeats every check on the facts in material.json, compares each included line with "
        "the root of its trail, writes every page again, and, with the trails, reads the facts again: `cji audit "
        "packet verify packet.zip --signer agency.pub --receipt-key receipt-keys.jwk --reviewer reviewer.pub "
        f"--tsa-root tsa.pem {trails}`."
    )
    rows = [
        (trail.file, str(trail.lines), Code(trail.head), Code(trail.root), trail.broken or "one chain")
        for trail in material.trails
    ]
    yield Text(f"Trails as they were read for the period from {first}:")
    yield Table(("trail", "lines", "hash of the last line", "Merkle root", "state"), rows, "pieces")
