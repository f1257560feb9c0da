"""`python -m tools.tables`: write the tables of docs/ that the code already has the contents of; `--check` compares.

A table stands between two comments, `<!-- table: NAME -->` and `<!-- /table -->`, and is never edited by hand. Of a
table of parameters (`tools.parameters`) the meanings are.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import kept
from benchmarks.peers import GOALS, PEERS
from cji_attestation.appraisal.advisories import SHIPPED, Fix
from cji_attestation.checks import GROUPS
from cji_attestation.findings import Rule
from cji_attestation.provider_policy import RULES as PROVIDER_RULES
from cji_attestation.release.policy import RULES as RELEASE_RULES
from cji_audit.packet import walkthrough
from cji_core.format.records.nibrs.data import read_data
from cji_core.operations.registry import OPERATIONS
from cji_core.trail.events import KINDS
from cji_core.trail.rules import RULES as TRAIL_RULES
from cji_operations.nibrs.specification import RULE_SETS
from cji_worker.console import rows
from cji_worker.console.series import SERIES
from tools import format_tables, json_answers, parameters, samples

__all__ = ["main", "rewritten"]

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
PAGES: Final = (
    "advisories.md",
    "attestation.md",
    "audit.md",
    "benchmarks.md",
    "cjis-azure-commercial.md",
    "console.md",
    "format.md",
    "json.md",
    "nibrs.md",
    "release-policy.md",
    *(f"operations/{name}.md" for name in sorted({*samples.SAMPLES, *OPERATIONS})),
)
DOCUMENTS: Final[Mapping[str, Callable[[], str]]] = {
    "json.schema.json": json_answers.schema,
    "vectors/claims.schema.json": format_tables.claims_schema,
    "vectors/refusals.json": format_tables.refusals_json,
    "../deploy/sentinel/schema/cji-health.json": rows.schema,
}
"""Files that are written whole."""
_TABLE: Final = re.compile(r"(?<=<!-- table: )([a-z_-]+)( -->\n).*?(?=<!-- /table -->)", re.DOTALL)


def _checks() -> Iterator[str]:
    for group in GROUPS:
        yield f"\n**{group.title}**\n"
        yield "| check | requires | establishes | if it fails |"
        yield "|---|---|---|---|"
        for check in group.checks:
            yield f"| {check.id} | {check.requires} | {check.establishes} | {check.remedy} |"
    yield ""


def _advisories() -> Iterator[str]:
    yield "| id | what | class | affects | shown by | CVE | confidence, source, read |"
    yield "|---|---|---|---|---|---|---|"
    for row in SHIPPED.rows:
        shown = "; ".join(f"{stepping}: {_shown_by(fix)}" for stepping, fix in row.fixes.items())
        firmware = "; ".join(f"firmware {product} {pi}" for product, pi in row.pi.items())
        title = f"{row.title}; {row.note}" if row.note else row.title
        smt = (", with SMT" if row.smt_only else "") + (", host update needed" if row.host_update else "")
        origin = f"{row.confidence}: {row.source}, {row.read}"
        cells = (
            row.id,
            title,
            row.visibility,
            ", ".join(row.affects) + smt,
            shown or firmware,
            " ".join(row.cves),
            origin,
        )
        yield f"| {' | '.join(cells)} |"


def _shown_by(fix: Fix) -> str:
    levels = [f"{component} {level}" for component, level in fix.levels.items()]
    bit = [] if fix.mitigation_bit is None else [f"bit {fix.mitigation_bit}"]
    return ", ".join((*levels, *bit, *(["alias check"] if fix.alias_check else [])))


def _rules(rules: Mapping[str, Rule]) -> Iterator[str]:
    yield "| id | severity | finding | why it matters | what to do |"
    yield "|---|---|---|---|---|"
    for rule in rules.values():
        yield f"| {rule.id} | {rule.severity} | {rule.title} | {rule.why} | {rule.remedy} |"


def _trail_events() -> Iterator[str]:
    """The docstring of each event, without its tables of words."""
    yield "| event | meaning |"
    yield "|---|---|"
    for kind in KINDS:
        texts = (
            " ".join(text.split()) for text in inspect.cleandoc(kind.__doc__ or "").split("\n\n") if "  " not in text
        )
        yield f"| `{kind.__struct_config__.tag}` | {' '.join(texts)} |"


def _trail_rules() -> Iterator[str]:
    yield "| rule | severity | finding | why it matters | what to do | `verify` names | packet's check |"
    yield "|---|---|---|---|---|---|---|"
    for name, rule in TRAIL_RULES.items():
        severity = "error" if rule.is_error else rule.severity
        field, topic = (f"`{each}`" if each else "" for each in (rule.field, rule.topic))
        yield f"| `{name}` | {severity} | {rule.title} | {rule.why} | {rule.remedy} | {field} | {topic} |"


def _nibrs_rule_sets() -> Iterator[str]:
    yield "| rule set | default for submissions of | specification | source |"
    yield "|---|---|---|---|"
    for name, rules in RULE_SETS.items():
        period = f"{rules.first_period:06d}"
        since = f"{period[:4]}-{period[4:]} and later" if rules.first_period else "earlier months"
        yield f"| `{name}` | {since} | {rules.specification} | {rules.source} |"


def _nibrs_rules() -> Iterator[str]:
    """Rules that are the same in every rule set, then the lines of rules.csv that are not in all of them."""
    rows = read_data("rules.csv")
    every = [rules.short for rules in RULE_SETS.values()]
    differ = [row for row in rows if set(row["rule_sets"].split()) != set(every)]
    partial = {number for row in differ for number in row["rule"].split()}
    whole = {number for row in rows for number in row["rule"].split()} - partial
    yield f"\nThe same in every rule set: {' '.join(sorted(whole))}.\n"
    yield "What is not in every rule set; other data elements of these rules are.\n"
    yield "| rule | data element | rule sets | message, and why it is in no rule set |"
    yield "|---|---|---|---|"
    for row in differ:
        numbers = " ".join(dict.fromkeys(row["rule"].split()))
        sets = ", ".join(short for short in every if short in row["rule_sets"].split()) or "none"
        omitted = f": {row['omitted']}" if row["omitted"] else ""
        yield f"| {numbers} | {row['element']} | {sets} | {row['message']}{omitted} |"
    yield ""


def _nibrs_codes() -> Iterator[str]:
    yield "| table | code | meaning | rule sets |"
    yield "|---|---|---|---|"
    for row in read_data("codes.csv"):
        if row["rule_sets"]:
            yield f"| {row['table']} | {row['code']} | {row['meaning']} | {', '.join(row['rule_sets'].split())} |"


def _nibrs_unsourced() -> Iterator[str]:
    yield "| rule set | subject | what is open |"
    yield "|---|---|---|"
    for row in read_data("unsourced.csv"):
        yield f"| `{row['rule_set']}` | {row['subject']} | {row['what is open']} |"


def _benchmark_ratios() -> Iterator[str]:
    yield "| benchmark | ratio | over | goal | seen | on |"
    yield "|---|---|---|---|---|---|"
    for result in kept.read(DOCS / "benchmarks/seen.json"):
        for name, ratio in result.ratios.items():
            goal = GOALS.get((result.name, name))
            seen = f"{ratio:.2f}" if goal is None or ratio >= goal else f"**{ratio:.2f}**"
            cells = (f"`{result.name}`", f"`{name}`", PEERS[result.name, name], f"{goal or ''}", seen)
            yield f"| {' | '.join(cells)} | {result.machine['date']} |"


def _metrics() -> Iterator[str]:
    yield "| metric | labels | column | type | unit | meaning |"
    yield "|---|---|---|---|---|---|"
    for each in SERIES:
        name = f"{each.name}_total" if each.kind == "counter" else each.name
        labels = ", ".join(f"`{label}`" for label in each.labels)
        cells = (f"`{name}`", labels, f"`{rows.column(each)}`", rows.kind(each), f"`{each.unit}`", each.help)
        yield f"| {' | '.join(cells)} |"


TABLES: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "advisories": _advisories,
    "audit-events": _trail_events,
    "audit-rules": _trail_rules,
    "benchmark-ratios": _benchmark_ratios,
    "checks": _checks,
    "json-members": json_answers.members,
    "json-refusal": json_answers.refusal,
    "json-verbs": json_answers.printed,
    "json-without": json_answers.without,
    "kit": format_tables.kit,
    "metrics": _metrics,
    "nibrs-codes": _nibrs_codes,
    "nibrs-rule-sets": _nibrs_rule_sets,
    "nibrs-rules": _nibrs_rules,
    "nibrs-unsourced": _nibrs_unsourced,
    "release-policy-rules": lambda: _rules(RELEASE_RULES),
    "walkthrough": walkthrough.page,
    "ori-prefixes": format_tables.ori_prefixes,
    "receipt-claims": format_tables.receipt_claims,
    "statement-claims": format_tables.statement_claims,
    "refusals": format_tables.refusals,
    "provider-policy-rules": lambda: _rules(PROVIDER_RULES),
    **{f"sample-{name}": partial(samples.page, name) for name in samples.SAMPLES},
}


def rewritten(page: str) -> str:
    """The page with each of its tables as the code has it; KeyError for the name of an unknown table."""

    def table(found: re.Match[str]) -> str:
        return "\n".join((found[1] + found[2].rstrip("\n"), *TABLES[found[1]](), ""))

    return parameters.rewritten(_TABLE.sub(table, page))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with `--check` list those that differ and return 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.tables", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args(arguments)
    stale = []
    for name in (*PAGES, *DOCUMENTS):
        path = DOCS / name
        text = path.read_text("utf-8") if path.exists() else ""
        if text != (new := DOCUMENTS[name]() if name in DOCUMENTS else rewritten(text)):
            stale.append(name)
            if not options.check:
                path.write_text(new, "utf-8")
    if options.check and stale:
        print(f"docs/ differs from the code in {', '.join(stale)}; run `python -m tools.tables`", file=sys.stderr)
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
