"""Samples of the operations: the examples with made-up rows, run in this process, for the pages of docs/operations.

A sample is a job spec and records of `examples/`, read as the client reads them and computed by the operation itself.
So a page shows what the code does, or `python -m tools.tables --check` fails.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from cji_client.prepared import prepare
from cji_client.report import Job
from cji_client.seal import INPUT_NAME
from cji_client.spec import JobSpec, load_spec, read_file_bytes
from cji_core.operations.parameters import Sealing
from cji_core.operations.registry import operation_of
from tests.support.report_tools import opened
from tools.links import ROOT

__all__ = ["SAMPLES", "Sample", "Shown", "job", "page"]

_EXAMPLES: Final = ROOT / "examples"
_DAY: Final = date(2026, 2, 1)
_KEY: Final = bytes(range(32))
_WRAPPED_KEY_BYTES: Final = 96
"""The operations get the key itself: a wrapped one only has to have the length of one."""
_RULES: Final = ROOT / "core/cji_core/operations/clear/california.toml"
"""The table of rules that `cji clear example` writes."""
_SUBMISSION: Final[dict[str, object]] = {"input": {"schema": "nibrs.flat/3.1"}, "operations": [{"kind": "validate"}]}
_PROFILE: Final[dict[str, object]] = {
    "audience": "worker",
    "originating_ori": "VA0000000",
    "requesting_ori": "VA0000000",
    "operator_id": "clerk",
    "requestor": "clerk",
    "reason": "sample",
    "purpose_code": "C",
    "kek_id": "https://vault.example/keys/cmk/1",
    "kek_thumbprint": "A" * 43,
    "recipients": ["{}"],
}
"""Fields that the profile of a submitter gives to every job; they change no result."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A table on a page: an input or output by name, its columns, and how many of its first rows."""

    name: str
    columns: str
    rows: int = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Records and a spec of `examples/`, and the tables of the job that a page shows; changes to parameters, if any."""

    records: str
    spec: str | None
    """None: `validate` of a NIBRS submission with all its defaults, as `--op validate` runs it."""
    tables: Sequence[Shown]
    changes: Mapping[str, Any] = field(default_factory=dict)


_IN: Final = INPUT_NAME
_PERSON: Final = "last first DOB SEX SOC postcode"
SAMPLES: Final[Mapping[str, Sample]] = {
    "validate": Sample(
        records="persons/people.csv",
        spec="persons/job.toml",
        tables=(
            Shown(_IN, "NAM SEX DOB HGT SOC OLS"),
            Shown("result", "row column code finding value", 9),
        ),
    ),
    "validate-nibrs": Sample(
        records="validate/submission.txt",
        spec=None,
        tables=(
            Shown("result", "row element rule value message"),
            Shown("incidents", "ori number action errors warnings accepted"),
            Shown("rates", "ori rule_set reports rejected rejected_per_10000"),
        ),
    ),
    "link": Sample(
        records="link/people.csv",
        spec="link/job.toml",
        tables=(
            Shown(_IN, f"record_id {_PERSON}"),
            Shown("result", "record_id last first cluster"),
            Shown("pairs", "left_id right_id weight probability match"),
        ),
    ),
    "screen": Sample(
        records="screen/inquiries.csv",
        spec="screen/job.toml",
        changes={"retain_seconds": 0},
        tables=(
            Shown(_IN, "record_id NAM SEX DOB SOC"),
            Shown("reference", "NIC file_code NAM SEX DOB SOC"),
            Shown("result", "row outcome best hits"),
            Shown("hits", "row rank class score agreement NIC"),
        ),
    ),
    "deidentify": Sample(
        records="deidentify/people.csv",
        spec="deidentify/job.toml",
        tables=(
            Shown(_IN, "SID last DOB SEX postcode SOC", 4),
            Shown("result", "SID DOB SEX postcode SOC", 4),
            Shown("k_anonymity", "stage size classes rows"),
        ),
    ),
    "aggregate": Sample(
        records="aggregate/people.csv",
        spec="aggregate/job.toml",
        tables=(Shown(_IN, "SID SEX county", 4), Shown("result", "grouping key_1 key_2 hidden rows persons", 12)),
    ),
    "aggregate-forms": Sample(
        records="validate/submission.txt",
        spec="aggregate/return_a.toml",
        tables=(Shown("result", "form ori month line title actual cleared"), Shown("accounting", "outcome reports")),
    ),
    "disseminate": Sample(
        records="disseminate/events.csv",
        spec="disseminate/job.toml",
        tables=(
            Shown(_IN, "subject date charge disposition sealed juvenile non_conviction", 7),
            Shown("result", "subject date charge disposition", 7),
            Shown("withheld", "reason rows", 8),
            Shown("ledger", "subject purpose requestor recipient_class rows"),
        ),
    ),
    "clear": Sample(
        records="clear/events.csv",
        spec="clear/job.toml",
        tables=(
            Shown(_IN, "subject DOB date offense level disposition sentence sentence_length", 9),
            Shown("determinations", "row subject relief rule reason"),
            Shown("not_decided", "row subject cause words"),
        ),
    ),
    "match_orders": Sample(
        records="match_orders/events.csv",
        spec="match_orders/job.toml",
        tables=(
            Shown(_IN, "subject cycle date charge disposition"),
            Shown("orders", "order_id action cycle charge last first"),
            Shown("result", "subject cycle charge sealed expunged"),
            Shown("work_list", "order_id action outcome subject events"),
        ),
    ),
    "redact": Sample(
        records="redact/reports.csv",
        spec="redact/job.toml",
        tables=(
            Shown(_IN, "narrative", 2),
            Shown("result", "narrative", 2),
            Shown("spans", "row class rule start end", 4),
        ),
    ),
    "standardize": Sample(
        records="standardize/people.csv",
        spec="standardize/job.toml",
        tables=(
            Shown(_IN, "NAM DOB address_1 state postcode"),
            Shown("result", "last first suffix DOB address_1 state postcode"),
            Shown("row_status", "row status codes"),
        ),
    ),
}
"""By the page of docs/operations that shows it."""


@cache
def job(name: str) -> Job:
    """The job of a sample, as its recipient opens it."""
    sample = SAMPLES[name]
    spec, records, sides = _read(sample)
    given = msgspec.structs.replace(spec.operations[0], **sample.changes)
    parameters = operation_of(given).complete(given, _sealing(spec))
    return opened(
        parameters,
        spec.input.schema,
        records,
        sides,
        project_key=_KEY,
        purpose_code=spec.purpose_code,
        secondary_recipient=spec.secondary_recipient,
    )


def page(name: str) -> Iterator[str]:
    """The lines of a sample on its page: what goes in, the operation as a spec has it, and what comes out."""
    sample = SAMPLES[name]
    _, records, sides = _read(sample)
    inputs = {_IN: records, **{side: table for side, (_, table) in sides.items()}}
    yield f"\n**In:** made-up rows of {_link(sample.records)}."
    if _IN not in {shown.name for shown in sample.tables}:
        yield from ("\n```", *(line.as_py().decode().rstrip() for line in records.column(0)[:2]), "```")
        yield f"\n{records.num_rows - 2} more lines."
    for shown in sample.tables:
        if shown.name in inputs:
            yield from _table(shown, inputs[shown.name], "" if shown.name == _IN else f"The side table `{shown.name}`:")
    yield f"\n**The operation**{f', in {_link(sample.spec)}' if sample.spec else ''}:\n"
    yield f"```toml\n{_text(sample)}\n```"
    yield "\n**Out:**"
    made = job(name)
    for shown in sample.tables:
        if shown.name not in inputs:
            batches = [*made.read(shown.name)]
            yield from _table(shown, pa.Table.from_batches(batches) if batches else None, f"`{shown.name}`:")
    yield ""


def _link(path: str) -> str:
    return f"[{path}](../../examples/{path})"


def _text(sample: Sample) -> str:
    """The operation as its spec has it."""
    if sample.spec is None:
        return 'kind = "validate"'
    return (_EXAMPLES / sample.spec).read_text("utf-8").partition("[[operations]]")[2].strip()


@cache
def _read(sample: Sample) -> tuple[JobSpec, pa.Table, Mapping[str, tuple[str, pa.Table]]]:
    """The spec, the records, and the side tables with their schemas."""
    if sample.spec is None:
        spec = load_spec(None, defaults=_PROFILE | _SUBMISSION)
    else:
        spec = load_spec(_EXAMPLES / sample.spec, defaults=_PROFILE)
    tables = {
        name: pa.Table.from_batches(source.open().batches, source.schema)
        for name, source in prepare(_EXAMPLES / sample.records, spec).inputs.items()
    }
    return spec, tables[_IN], {name: (side.schema, tables[name]) for name, side in spec.sides.items()}


def _sealing(spec: JobSpec) -> Sealing:
    def read(path: Path) -> bytes:
        return read_file_bytes(_RULES if path.name == "rules.toml" else path)

    return Sealing(
        today=_DAY, schema=spec.input.schema, read=read, wrap_project_key=lambda *_: bytes(_WRAPPED_KEY_BYTES)
    )


def _table(shown: Shown, table: pa.Table | None, title: str) -> Iterator[str]:
    """Some columns of the first rows, and how many more rows there are."""
    columns = shown.columns.split()
    if title:
        yield f"\n{title}"
    if table is None or not table.num_rows:
        yield "\nNo row."
        return
    yield f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    for row in table.select(columns).slice(0, shown.rows).to_pylist():
        yield f"| {' | '.join(_value(row[name]) for name in columns)} |"
    if (more := table.num_rows - shown.rows) > 0:
        yield f"\n{more} more."


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, list):
        return " ".join(map(_value, value))
    text = value.decode() if isinstance(value, bytes) else str(value)
    return text.strip().replace("|", "\\|").replace("[", "\\[").replace("*", "\\*")
