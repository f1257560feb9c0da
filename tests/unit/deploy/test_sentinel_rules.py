"""Each analytics rule on sample rows: what makes it fire, and what is close to that and must not.

Rows of audit events are real events, through the native mapping and the transformation of the data collection rule.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import msgspec
import pytest

from cji_core.trail.chain import Record
from cji_deploy.check.kusto import Bound, why_not
from cji_deploy.check.log_table import KQL_TYPES, log_table
from cji_deploy.check.sentinel import bound_queries, workspaces
from tests.support.any_event import KINDS
from tests.support.kql import Node, Table, UnsupportedError, World, run
from tests.support.kql.lines import KEK, event, events_table, line, streamed
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "deploy/sentinel"
RULES: Final = sorted(path.name for path in (FOLDER / "rules").glob("*.yaml"))
NOW: Final = datetime(2026, 11, 25, 18, 10, tzinfo=UTC)  # a Wednesday; 12:10 in Chicago
WORKER, STRANGER = "11111111-1111-4111-8111-111111111111", "99999999-9999-4999-8999-999999999999"
EMERGENCY: Final = "22222222-2222-4222-8222-222222222222"
COUNTRIES: Final = {"203.0.113.7": "United States", "198.51.100.9": "Norway", "192.0.2.5": "Guam"}
OID: Final = "http://schemas.microsoft.com/identity/claims/objectidentifier"

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


@dataclass(frozen=True)
class Sample:
    """Rows of the tables that a rule reads."""

    lines: list[Record] = field(default_factory=list)
    vault: list[dict[str, Any]] = field(default_factory=list)
    blobs: list[dict[str, Any]] = field(default_factory=list)
    signins: list[dict[str, Any]] = field(default_factory=list)
    directory: list[dict[str, Any]] = field(default_factory=list)


@cache
def bound() -> dict[str, Bound]:
    return dict(bound_queries(FOLDER, trees=True))


@cache
def tree(name: str) -> Node:
    return Node(bound()[name].tree)


def world(sample: Sample) -> World:
    known = workspaces(FOLDER)
    columns = known["logs"].tables
    azure = {
        "AZKVAuditLogs": sample.vault,
        "StorageBlobLogs": sample.blobs,
        "SigninLogs": sample.signins,
        "AuditLogs": sample.directory,
    }
    tables = {table: Table.of(columns[table], rows) for table, rows in azure.items()}
    events = events_table(sample.lines, tree("transformKql"), known["stream"].tables["source"], NOW)
    watchlists = {"cji-worker-identities": [WORKER], "cji-break-glass": [EMERGENCY]}
    return World(tables={**tables, "CjiAudit_CL": events}, now=NOW, watchlists=watchlists, countries=COUNTRIES)


def result(name: str, sample: Sample) -> Table:
    found = run(tree(name), world(sample))
    # the interpreter and Microsoft's binder agree on what comes out
    assert dict(found.columns) == dict(bound()[name].columns)
    return found


# ------------------------------------------------------------------ samples


def job(number: int, at: datetime, *, operator: str = "op-17", code: str = "C", **volumes: int) -> list[Record]:
    """A job that was admitted and completed a minute later."""
    job_id = f"{number:032x}"
    who = {"job_id": job_id, "submitter": "metro-pd", "purpose_code": code}
    amount = {"rows_in": 1, "rows_out": 1, "bytes_in": 1, "bytes_out": 1, "chri_rows_out": 0, "subjects_out": 1}
    return [
        line("job_admitted", at, seq=number * 2, attribution={"operator_id": operator}, **who),
        line("job_completed", at + timedelta(minutes=1), seq=number * 2 + 1, volumes=amount | volumes, **who),
    ]


def denied(at: datetime, code: str = "C", *, reason: str = "POLICY_DENIED", submitter: str = "metro-pd") -> Record:
    stated = {"submitter": submitter, "requesting_ori": "WI0130000", "purpose_code": code, "denied_by": "purpose"}
    return line("job_refused", at, seq=900, reason=reason, **stated)


def release(at: datetime, *, caller: str = WORKER, status: int = 200, **more: Any) -> dict[str, Any]:
    return {
        "TimeGenerated": at,
        "OperationName": "KeyRelease",
        "HttpStatusCode": status,
        "CallerIpAddress": "10.1.0.9",
        "CorrelationId": f"c-{at.isoformat()}",
        "RequestUri": f"{KEK.upper().replace('HTTPS', 'https').replace('/KEYS/', '/keys/')}/release?api-version=7.4",
        "Identity": {"claim": {OID: caller}},
        **more,
    }


def blob(number: int, *, who: str = STRANGER, size: int = 1, at: datetime | None = None, **more: Any) -> dict[str, Any]:
    return {
        "TimeGenerated": at or ago(20),
        "OperationName": "GetBlob",
        "StatusCode": "200",
        "AccountName": "jobs",
        "ObjectKey": f"/jobs/results/{number}",
        "RequesterObjectId": who,
        "ResponseBodySize": size,
        "CallerIpAddress": "10.1.0.9:41234",
        **more,
    }


def signin(**more: Any) -> dict[str, Any]:
    usual = {"TimeGenerated": ago(9), "ResultType": "0", "UserId": STRANGER, "UserPrincipalName": "a@agency.gov"}
    return {**usual, "IPAddress": "198.51.100.9", "Location": "US", "AppDisplayName": "Azure Portal", **more}


def boot(*, attested: bool = True, at: float = 300) -> list[Record]:
    """A worker starts, attests, and gets a key."""
    lines = [line("worker_started", ago(at), seq=1)]
    lines += [line("attested", ago(at - 1), seq=2)] if attested else []
    return [*lines, line("key_released", ago(at - 2), seq=3, kek_id=KEK)]


def review(week: str, at: datetime) -> dict[str, Any]:
    return blob(
        1, OperationName="PutBlob", StatusCode="201", ObjectKey=f"/audit/reviews/{week}/review.signed.json", at=at
    )


def trail(*numbers: int, last: str = "worker_stopped") -> list[Record]:
    """Lines with these numbers, an hour ago."""
    kinds = ["trail_anchored"] * (len(numbers) - 1) + [last]
    return [line(kind, ago(200 - n), seq=n) for n, kind in zip(numbers, kinds, strict=True)]


CHANGED: Final[dict[str, Any]] = {"before": {"policy_file": "01" * 48}, "after": {"policy_file": "02" * 48}}


@dataclass(frozen=True)
class Case:
    """A rule, samples for which it fires with the values in `shows`, and samples for which it does not."""

    fires: list[tuple[Sample, dict[str, Any]]]
    quiet: list[Sample]


CASES: Final[dict[str, Callable[[], Case]]] = {
    "mass-release.yaml": lambda: Case(
        fires=[
            (
                Sample(lines=[*job(1, ago(40), subjects_out=6000), *job(2, ago(30), subjects_out=4000)]),
                {"Operator": "op-17", "Subjects": 10_000, "Jobs": 2, "Purposes": ["C"]},
            ),
            (Sample(lines=job(1, ago(40), chri_rows_out=10_000)), {"ChriRows": 10_000}),
            (Sample(lines=job(1, ago(40), rows_out=100_000)), {"Rows": 100_000}),
        ],
        quiet=[
            Sample(lines=job(1, ago(40), subjects_out=9999)),
            Sample(lines=[*job(1, ago(40), subjects_out=6000), *job(2, ago(30), operator="op-18", subjects_out=6000)]),
            Sample(lines=[*job(1, ago(90), subjects_out=6000), *job(2, ago(30), subjects_out=6000)]),
            Sample(lines=[*job(1, ago(40), subjects_out=6000)] * 2),  # delivered twice
        ],
    ),
    "mass-download.yaml": lambda: Case(
        fires=[
            (Sample(blobs=[blob(n) for n in range(500)]), {"Requester": STRANGER, "Blobs": 500}),
            (Sample(blobs=[blob(1, size=10 << 30)]), {"Bytes": 10 << 30}),
        ],
        quiet=[
            Sample(blobs=[blob(n) for n in range(499)]),
            Sample(blobs=[blob(n, who=WORKER.upper()) for n in range(600)]),
            Sample(blobs=[blob(n, StatusCode="403") for n in range(600)]),
            Sample(blobs=[blob(1) for _ in range(600)]),
        ],
    ),
    "access-outside-us.yaml": lambda: Case(
        fires=[
            (Sample(signins=[signin(Location="NO")]), {"Where": "Microsoft Entra", "Country": "NO"}),
            (Sample(vault=[release(ago(9), CallerIpAddress="198.51.100.9")]), {"Who": WORKER, "Country": "Norway"}),
            (
                Sample(blobs=[blob(1, CallerIpAddress="198.51.100.9:4431")]),
                {"Address": "198.51.100.9", "Where": "jobs"},
            ),
        ],
        quiet=[
            Sample(
                signins=[
                    signin(),
                    signin(Location="PR"),
                    signin(Location=""),
                    signin(Location="NO", ResultType="50126"),
                ]
            ),
            Sample(vault=[release(ago(9), CallerIpAddress="203.0.113.7"), release(ago(9))]),
            Sample(vault=[release(ago(9), CallerIpAddress="198.51.100.9", status=403)]),
            Sample(blobs=[blob(1, CallerIpAddress="192.0.2.5:4431"), blob(2, CallerIpAddress="[2001:db8::1]:443")]),
        ],
    ),
    "denied-then-allowed.yaml": lambda: Case(
        fires=[
            (
                Sample(lines=[denied(ago(70)), *job(1, ago(30), code="F")]),
                {"PurposeCode": "F", "Denials": 1, "DeniedPurposes": ["C"], "Operator": "op-17", "Rules": ["purpose"]},
            )
        ],
        quiet=[
            Sample(lines=[denied(ago(70)), *job(1, ago(30), code="C")]),
            Sample(lines=[denied(ago(10)), *job(1, ago(30), code="F")]),
            Sample(lines=[denied(ago(110)), *job(1, ago(30), code="F")]),
            Sample(lines=[denied(ago(70), reason="EXPIRED"), *job(1, ago(30), code="F")]),
            Sample(lines=[denied(ago(70), submitter="other-pd"), *job(1, ago(30), code="F")]),
        ],
    ),
    "off-hours.yaml": lambda: Case(
        fires=[],  # the time of the query decides; see the tests below
        quiet=[Sample(lines=job(1, ago(30)))],
    ),
    "key-release-without-boot.yaml": lambda: Case(
        fires=[
            (
                Sample(vault=[release(ago(200))], lines=boot()),
                {"Finding": "released, not recorded", "Address": "10.1.0.9"},
            ),
            (Sample(vault=[release(ago(200))]), {"Finding": "released, not recorded"}),
            (Sample(lines=boot(attested=False)), {"Finding": "recorded, not attested", "Worker": "worker-1"}),
        ],
        quiet=[
            Sample(vault=[release(ago(299))], lines=boot()),
            Sample(vault=[release(ago(200), status=403)], lines=boot()),
            Sample(vault=[release(ago(10))]),  # the worker's line may still come
        ],
    ),
    "key-release-unknown-identity.yaml": lambda: Case(
        fires=[
            (Sample(vault=[release(ago(9), caller=STRANGER)]), {"Caller": STRANGER, "Granted": 1}),
            (Sample(vault=[release(ago(9), caller=STRANGER, status=403)]), {"Attempts": 1, "Granted": 0}),
            (Sample(vault=[release(ago(9), Identity={"claim": {"oid": STRANGER}})]), {"Caller": STRANGER}),
            (Sample(vault=[release(ago(9), Identity=None)]), {"Caller": ""}),
        ],
        quiet=[
            Sample(vault=[release(ago(9)), release(ago(8), caller=WORKER.upper())]),
            Sample(vault=[release(ago(9), caller=STRANGER, OperationName="KeyGet")]),
        ],
    ),
    "policy-change.yaml": lambda: Case(
        fires=[
            (
                Sample(lines=[line("files_reloaded", ago(9), uid=1000, **CHANGED)]),
                {"Change": "policy", "Who": "uid 1000", "Before": "01" * 48, "After": "02" * 48},
            ),
            (Sample(lines=[line("reload_refused", ago(9), file="policy_file")]), {"Change": "refused: policy_file"}),
            (Sample(lines=[line("key_released", ago(9), policy_before="03" * 32)]), {"Before": "03" * 32}),
            (Sample(vault=[release(ago(9), OperationName="KeyUpdate")]), {"Change": "KeyUpdate"}),
        ],
        quiet=[
            Sample(lines=[line("files_reloaded", ago(9)), line("key_released", ago(8))]),
            Sample(vault=[release(ago(9)), release(ago(9), OperationName="KeyPurge", status=403)]),
        ],
    ),
    "identity-policy-change.yaml": lambda: Case(
        fires=[
            (
                Sample(
                    directory=[
                        {
                            "TimeGenerated": ago(9),
                            "Result": "success",
                            "OperationName": "Update conditional access policy",
                            "InitiatedBy": {"user": {"userPrincipalName": "a@agency.gov"}},
                            "TargetResources": [{"displayName": "CJI: phishing-resistant sign-in"}],
                        }
                    ]
                ),
                {"Who": "a@agency.gov", "Target": "CJI: phishing-resistant sign-in"},
            )
        ],
        quiet=[
            Sample(directory=[{"TimeGenerated": ago(9), "Result": "success", "OperationName": "Update user"}]),
            Sample(
                directory=[{"TimeGenerated": ago(9), "Result": "failure", "OperationName": "Delete named location"}]
            ),
        ],
    ),
    "audit-gap.yaml": lambda: Case(
        fires=[
            (Sample(lines=trail(1, 2, 5)), {"Finding": "2 lines are missing between 1 and 5"}),
            (Sample(lines=trail(1, 2, last="trail_anchored")), {"Finding": "silent, although it did not stop"}),
            (
                Sample(lines=[line("trail_resumed", ago(9), explanation="VM replaced")]),
                {"Finding": "trail_resumed: VM replaced"},
            ),
            (Sample(lines=[line("delivery_overdue", ago(9))]), {"Finding": "delivery_overdue"}),
        ],
        quiet=[
            Sample(lines=trail(7, 8, 9)),
            Sample(lines=trail(7, 8, 9) * 2),
            Sample(lines=[line("worker_ready", ago(60), seq=4, kek_ids=[KEK])]),
            Sample(lines=[*trail(7, 8), line("worker_stopped", ago(9), seq=11)]),  # 9 and 10 may still come
        ],
    ),
    "simulator-evidence.yaml": lambda: Case(
        fires=[(Sample(lines=[line("worker_started", ago(9), simulated=True)]), {"Worker": "worker-1"})],
        quiet=[Sample(lines=[line("worker_started", ago(9)), line("worker_started", ago(70), simulated=True)])],
    ),
    "overdue-review.yaml": lambda: Case(
        # the week of 9 to 15 November ended ten days ago: it is 2026-W46
        fires=[
            (Sample(lines=job(1, ago(60))), {"Week": "2026-W46", "Worker": "worker-1", "Lines": 2}),
            (Sample(lines=job(1, ago(60)), blobs=[review("2026-W45", ago(9000))]), {"Week": "2026-W46"}),
            (Sample(lines=job(1, ago(60)), blobs=[{**review("2026-W46", ago(9)), "StatusCode": "403"}]), {"Lines": 2}),
        ],
        quiet=[Sample(lines=job(1, ago(60)), blobs=[review("2026-W46", ago(9000))]), Sample()],
    ),
    "attestation-burst.yaml": lambda: Case(
        fires=[
            (
                Sample(
                    lines=[
                        line("key_dropped", ago(30), seq=1, cause="pcr-drift"),
                        line("worker_not_ready", ago(29), seq=2, reason="ATTESTATION_REJECTED"),
                        line("worker_not_ready", ago(20), seq=3, reason="KEY_RELEASE_DENIED"),
                    ]
                ),
                {"Machine": "worker-1", "Failures": 3},
            ),
            (Sample(vault=[release(ago(n), status=403) for n in (1, 2, 3)]), {"What": ["denied by the vault"]}),
        ],
        quiet=[
            Sample(lines=[line("key_dropped", ago(n), seq=n, cause="stopped") for n in (5, 6, 7)]),
            Sample(lines=[line("key_dropped", ago(5), seq=7, cause="evidence")] * 3),
            Sample(vault=[release(ago(n), status=429) for n in (1, 2, 3)]),
        ],
    ),
    "witness-disagreement.yaml": lambda: Case(
        fires=[
            (
                Sample(lines=[line("witnesses_disagreed", ago(9), submitter="metro-pd", about=["outputs"])]),
                {"Submitter": "metro-pd", "What": '["outputs"]', "Kind": "witnesses_disagreed"},
            ),
            (Sample(lines=[line("statements_refused", ago(9), about="proof")]), {"What": "proof"}),
        ],
        quiet=[Sample(lines=job(1, ago(30)))],
    ),
    "break-glass-sign-in.yaml": lambda: Case(
        fires=[
            (Sample(signins=[signin(UserId=EMERGENCY)]), {"UserId": EMERGENCY, "Succeeded": 1}),
            (Sample(signins=[signin(UserId=EMERGENCY, ResultType="50126")]), {"Attempts": 1, "Succeeded": 0}),
        ],
        quiet=[Sample(signins=[signin()])],
    ),
}


def test_every_rule_has_its_cases() -> None:
    assert sorted(CASES) == RULES
    assert [name for name in RULES if name != "off-hours.yaml" and not CASES[name]().fires] == []
    assert [name for name in RULES if not CASES[name]().quiet] == []


@pytest.mark.parametrize("name", RULES)
def test_a_rule_fires_for_its_cause(name: str) -> None:
    for sample, shows in CASES[name]().fires:
        rows = result(name, sample).rows
        assert [row for row in rows if shows.items() <= row.items()], (shows, rows)
        assert len(rows) == 1, rows


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_quiet_about_what_is_close(name: str) -> None:
    for sample in (*CASES[name]().quiet, Sample()):
        assert result(name, sample).rows == []


@pytest.mark.parametrize(
    ("now", "fires"),
    [
        (datetime(2026, 11, 25, 12, 10, tzinfo=UTC), False),  # 06:09 in Chicago, jobs at 06:00
        (datetime(2026, 11, 25, 12, 9, tzinfo=UTC), True),  # at 05:59
        (datetime(2026, 11, 26, 2, 9, tzinfo=UTC), False),  # at 19:59
        (datetime(2026, 11, 26, 2, 10, tzinfo=UTC), True),  # at 20:00
        (datetime(2026, 11, 28, 18, 10, tzinfo=UTC), True),  # a Saturday
        (datetime(2026, 11, 29, 18, 10, tzinfo=UTC), True),  # a Sunday
        (datetime(2026, 7, 22, 11, 10, tzinfo=UTC), False),  # at 06:00 in summer time
        (datetime(2026, 7, 22, 11, 9, tzinfo=UTC), True),
    ],
)
def test_hours_are_those_of_the_agency(now: datetime, fires: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.NOW", now)
    rows = result("off-hours.yaml", Sample(lines=job(1, now - timedelta(minutes=10)))).rows
    assert [row["Jobs"] for row in rows] == ([1] if fires else [])


# ------------------------------------------------------------------ the table, and the interpreter itself


def test_the_transformation_keeps_every_field_of_every_event() -> None:
    known = workspaces(FOLDER)
    columns = known["stream"].tables["source"]
    for kind in KINDS:
        tag = str(kind.__struct_config__.tag)
        stated: dict[str, Any] = {"attribution": {}} if "attribution" in kind.__struct_fields__ else {}
        record = line(tag, NOW, seq=7, **stated)
        table = run(tree("transformKql"), World(tables={"source": streamed([record], columns)}, now=NOW))
        (row,) = table.rows
        assert (row["TimeGenerated"], row["Seq"], row["Worker"], row["Kind"]) == (NOW, 7, "worker-1", tag)
        assert leaves(event(tag, **stated)) <= {repr(value) for value in row.values()}, tag


def leaves(found: Any) -> set[str]:
    """The values of an event as its columns would have them: a list is one value."""

    def walk(value: Any) -> list[Any]:
        return [leaf for each in value.values() for leaf in walk(each)] if isinstance(value, dict) else [value]

    values = [value for value in walk(json.loads(msgspec.json.encode(found))) if value is not None]
    times = [repr("2026-11-25T20:00:00.00Z")]
    return {repr(value) for value in values if value != []} - set(times)


def test_columns_have_the_types_of_the_table() -> None:
    made = {column["name"]: KQL_TYPES[column["type"]] for column in log_table()["table"]["columns"]}
    assert dict(bound()["transformKql"].columns) == made
    assert {"TimeGenerated": "datetime", "VolumesSubjectsOut": "long", "About": "dynamic"}.items() <= made.items()


def test_queries_of_the_workbook_run() -> None:
    lines = [*job(1, ago(30)), *boot(), denied(ago(20)), line("reload_refused", ago(9))]
    found = {name: result(name, Sample(lines=lines, vault=[release(ago(9))])).rows for name in bound() if "#" in name}
    assert len(found) >= 7
    assert [name for name, rows in found.items() if not rows] == []


@pytest.mark.parametrize(
    ("name", "known", "unknown"),
    [
        ("access-outside-us.yaml", "ExtendOperator", "TakeOperator"),
        ("access-outside-us.yaml", "EqualExpression", "MultiplyExpression"),
        ("access-outside-us.yaml", "extract", "hash"),
        ("overdue-review.yaml", "leftanti", "fullouter"),
        ("overdue-review.yaml", "count_distinct", "hll"),
        ("overdue-review.yaml", "14d", "14tick"),
    ],
)
def test_the_interpreter_refuses_what_it_does_not_know(name: str, known: str, unknown: str) -> None:
    sample = Sample(lines=job(1, ago(60)), blobs=[blob(1)], signins=[signin()])
    result(name, sample)
    text = json.dumps(bound()[name].tree)
    assert f'"{known}"' in text
    changed = Node(json.loads(text.replace(f'"{known}"', f'"{unknown}"')))
    with pytest.raises(UnsupportedError):
        run(changed, world(sample))
