"""Each analytics rule on sample rows: what makes it fire, and what is close to that and must not.

Rows of audit events are real events, through the native mapping and the transformation of the data collection rule.
"""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import msgspec
import pytest

from cji_core.trail.chain import Record
from cji_deploy.check.kusto import Bound, why_not
from cji_deploy.check.log_table import KQL_TYPES, log_table
from cji_deploy.check.sentinel import bound_queries, workspaces
from cji_deploy.check.sentinel_rule import duration
from cji_worker.console import rows as health
from cji_worker.console.expiry import EXPIRING
from cji_worker.console.view import View
from tests.support.any_event import KINDS
from tests.support.console_tools import SICK, SILENT, VIEW
from tests.support.kql import Node, Table, UnsupportedError, World, run
from tests.support.kql.lines import KEK, event, events_table, line, streamed
from tests.support.kql.tables import ARRIVED
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "deploy/sentinel"
NO_TICKET: Final[dict[str, Any]] = {"FleetTickets": {"jobs": 0.0, "poison": 0.0}}
TRAIL_WELL: Final[dict[str, Any]] = {
    "AuditDeliveryStalledSeconds": {"sink": 600.0},
    "AuditDiskBytes": {"free": 10.0, "size": 100.0},
}
RULES: Final = sorted(path.name for path in (FOLDER / "rules").glob("*.yaml"))
NOW: Final = datetime(2026, 11, 25, 18, 10, tzinfo=UTC)  # a Wednesday; 12:10 in Chicago
WORKER, STRANGER = "11111111-1111-4111-8111-111111111111", "99999999-9999-4999-8999-999999999999"
GROUP: Final = "55555555-5555-4555-8555-555555555555"
EMERGENCY: Final = "22222222-2222-4222-8222-222222222222"
COUNTRIES: Final = {"203.0.113.7": "United States", "198.51.100.9": "Norway", "192.0.2.5": "Guam"}
REQUEST: Final = "00000000-0000-4000-8000-000000000001"
UPN: Final = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
OID: Final = "http://schemas.microsoft.com/identity/claims/objectidentifier"

# each of these alone keeps a rule from firing, an incident from being seen, or gives somebody a worker's rights
BLINDING: Final = (
    "Microsoft.Authorization/policyAssignments/write",
    "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/runCommands/write",
    "Microsoft.Insights/dataCollectionRuleAssociations/delete",
    "Microsoft.KeyVault/vaults/accessPolicies/write",
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write",
    "Microsoft.OperationalInsights/workspaces/purge/action",
    "Microsoft.OperationalInsights/workspaces/tables/write",
    "Microsoft.OperationalInsights/workspaces/write",
    "Microsoft.SecurityInsights/automationRules/write",
    "Microsoft.SecurityInsights/incidents/delete",
    "Microsoft.SecurityInsights/onboardingStates/delete",
    "Microsoft.SecurityInsights/watchlists/watchlistItems/delete",
    "Microsoft.SecurityInsights/watchlists/watchlistItems/write",
)

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


@dataclass(frozen=True)
class Sample:
    """Rows of the tables that a rule reads."""

    lines: list[Record] = field(default_factory=list)
    vault: list[dict[str, Any]] = field(default_factory=list)
    blobs: list[dict[str, Any]] = field(default_factory=list)
    diagnostics: list[dict[str, Any]] = field(default_factory=list)
    """The vault's log in the table of all services."""
    signins: list[dict[str, Any]] = field(default_factory=list)
    silent_signins: list[dict[str, Any]] = field(default_factory=list)
    """Non-interactive ones."""
    applications: list[dict[str, Any]] = field(default_factory=list)
    """Sign-ins of service principals."""
    identities: list[dict[str, Any]] = field(default_factory=list)
    """Sign-ins of managed identities."""
    directory: list[dict[str, Any]] = field(default_factory=list)
    activity: list[dict[str, Any]] = field(default_factory=list)
    journals: list[dict[str, Any]] = field(default_factory=list)
    """Of the agency's log and its witnesses."""
    health: list[dict[str, Any]] = field(default_factory=list)
    """Of consoles that send."""
    late: timedelta = timedelta()
    """How long everything takes to arrive."""
    late_by: dict[int, timedelta] = field(default_factory=dict)
    """The same for single lines, by their numbers."""


@cache
def bound() -> dict[str, Bound]:
    return dict(bound_queries(FOLDER, trees=True))


@cache
def tree(name: str) -> Node:
    return Node(bound()[name].tree)


def period(name: str) -> timedelta:
    """What a rule is given at most, by its queryPeriod; a query of the workbook is given all."""
    if not name.endswith(".yaml"):
        return timedelta(days=90)
    text = (FOLDER / "rules" / name).read_text()
    found = duration(text.partition("queryPeriod: ")[2].split()[0])
    assert found is not None
    return found


def arriving(rows: list[dict[str, Any]], late: timedelta) -> list[dict[str, Any]]:
    return [{ARRIVED: row["TimeGenerated"] + late, **row} for row in rows]


def world(name: str, sample: Sample) -> World:
    """The workspace once everything of the sample has arrived."""
    known = workspaces(FOLDER)
    columns = known["logs"].tables
    azure = {
        "AZKVAuditLogs": sample.vault,
        "AzureDiagnostics": sample.diagnostics,
        "StorageBlobLogs": sample.blobs,
        "SigninLogs": sample.signins,
        "AADNonInteractiveUserSignInLogs": sample.silent_signins,
        "AADServicePrincipalSignInLogs": sample.applications,
        "AADManagedIdentitySignInLogs": sample.identities,
        "AuditLogs": sample.directory,
        "AzureActivity": sample.activity,
        "Syslog": sample.journals,
        "CjiHealth_CL": [{**row, "TimeGenerated": row["TimeGenerated"] + sample.late} for row in sample.health],
    }
    now = NOW + sample.late
    tables = {table: Table.of(columns[table], arriving(rows, sample.late)) for table, rows in azure.items()}
    source = known["cji-audit.json"].tables["source"]
    tables["CjiAudit_CL"] = events_table(
        sample.lines, tree("cji-audit.json"), source, late=sample.late, late_by=sample.late_by
    )
    given = {table: each.since(now - period(name)) for table, each in tables.items()}
    watchlists = {"cji-worker-identities": [WORKER], "cji-break-glass": [EMERGENCY], "cji-groups": [GROUP]}
    return World(tables=given, now=now, watchlists=watchlists, countries=COUNTRIES)


def result(name: str, sample: Sample) -> Table:
    found = run(tree(name), world(name, sample))
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


def denied(
    at: datetime, code: str = "C", *, reason: str = "POLICY_DENIED", submitter: str = "metro-pd", seq: int = 900
) -> Record:
    stated = {"submitter": submitter, "requesting_ori": "WI0130000", "purpose_code": code, "denied_by": "purpose"}
    return line("job_refused", at, seq=seq, reason=reason, **stated)


def release(at: datetime, *, caller: str = WORKER, status: int = 200, **more: Any) -> dict[str, Any]:
    return {
        "TimeGenerated": at,
        "OperationName": "KeyRelease",
        "HttpStatusCode": status,
        "CallerIpAddress": "10.1.0.9",
        "CorrelationId": REQUEST.upper(),
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


def review(week: str, at: datetime, **more: Any) -> dict[str, Any]:
    name = f"/audit/reviews/{week}/review.signed.json"
    usual: dict[str, Any] = {"OperationName": "PutBlob", "StatusCode": "201", "RequestBodySize": 9000}
    usual |= {"ObjectKey": name}
    return blob(1, at=at, **usual | more)


def noted(at: datetime, document: str = "review") -> Record:
    return line("document_recorded", at, seq=990, document=document)


def chained(*numbers: int, after: int | None = None) -> list[Record]:
    """Lines with these numbers, each of which continues the one before it, and the first one `after` or its own."""
    found, before = [], numbers[0] - 1 if after is None else after
    for number in numbers:
        made = line("trail_anchored" if number > 1 else "trail_started", ago(80 - number), seq=number)
        found.append(msgspec.structs.replace(made, prev=f"{before:096x}"))
        before = number
    return found


def removed(minutes: float, **more: Any) -> dict[str, Any]:
    operation = "Microsoft.Compute/virtualMachineScaleSets/delete/action"
    usual = {"TimeGenerated": ago(minutes), "OperationNameValue": operation, "ActivityStatusValue": "Success"}
    return {**usual, "Caller": "a@agency.gov", "CallerIpAddress": "203.0.113.7", "_ResourceId": "/x", **more}


def entra(operation: str, *, target: str = "CJI: x", minutes: float = 9, **more: Any) -> dict[str, Any]:
    who = {"user": {"userPrincipalName": "a@agency.gov"}}
    usual = {"TimeGenerated": ago(minutes), "Result": "success", "OperationName": operation, "InitiatedBy": who}
    return {**usual, "TargetResources": [{"displayName": target}], **more}


def member(operation: str, group: str = GROUP, **more: Any) -> dict[str, Any]:
    """A change of a group's members, as the directory logs it: the person is the target, the group a property."""
    changed = {"displayName": "Group.ObjectID", "newValue": f'"{group}"'}
    return entra(operation, TargetResources=[{"type": "User", "id": STRANGER, "modifiedProperties": [changed]}], **more)


def diagnosed(at: datetime, **more: Any) -> dict[str, Any]:
    """The same release in AzureDiagnostics."""
    usual = {"TimeGenerated": at, "ResourceProvider": "MICROSOFT.KEYVAULT", "Category": "AuditEvent"}
    usual |= {"OperationName": "KeyRelease", "httpStatusCode_d": 200.0, "CallerIPAddress": "10.1.0.9"}
    usual |= {
        "CorrelationId": REQUEST,
        "requestUri_s": f"{KEK}/release?api-version=7.4",
        "identity_claim_oid_g": WORKER,
    }
    return {**usual, **more}


def state(minutes: float, view: View = VIEW, machine: str = "cji-1", **more: Any) -> dict[str, Any]:
    """The row of a view, as a console sends it: made by what makes it, with other columns that are given."""
    row: dict[str, Any] = json.loads(health.row(view, machine, before=None))
    return {**row, "Time": datetime.fromisoformat(row["Time"]), "TimeGenerated": ago(minutes), **more}


def states(*minutes: float, view: View = VIEW, **more: Any) -> list[dict[str, Any]]:
    return [state(each, view, **more) for each in minutes]


def expiring(subject: str, seconds: float) -> dict[str, Any]:
    """Everything has time left, and this subject that much."""
    left = {each.subject: each.warn_s + 60.0 for each in EXPIRING}
    return state(3, ExpirySeconds={**left, subject: seconds})


def forked(lines: list[Record]) -> list[Record]:
    """The same lines with another last one."""
    return [*lines[:-1], msgspec.structs.replace(lines[-1], hash="f" * 96)]


def renamed(lines: list[Record], digit: str) -> list[Record]:
    """Lines of another trail: with other hashes."""
    return [msgspec.structs.replace(each, prev=digit + each.prev[1:], hash=digit + each.hash[1:]) for each in lines]


def application(**more: Any) -> dict[str, Any]:
    usual = {"TimeGenerated": ago(9), "ResultType": "0", "ServicePrincipalId": WORKER, "ServicePrincipalName": "x"}
    return {**usual, "IPAddress": "198.51.100.9", "Location": "US", **more}


def root_of(number: int) -> str:
    return base64.b64encode(number.to_bytes(32, "big")).decode()


def checkpoint(number: int, minutes: float, *, key: str = "AAAA", worker: str = "worker-1", seq: int = 0) -> Record:
    """The line of a checkpoint, whose root is a number and whose signer is a start of a worker."""
    signature = base64.b64encode(key.encode() + bytes(96)).decode()
    note = f"cji-worker/{worker}\n{number}\n{root_of(number)}\n\n\u2014 cji-worker/{worker} {signature}\n"
    return line("trail_checkpoint", ago(minutes), seq=seq or number, worker=worker, note=note)


def journal(entry: str, minutes: float, what: str = "", *, program: str = "cji-log", **more: Any) -> dict[str, Any]:
    message = json.dumps({"time": "2026-11-25T18:00:00.000+00:00", "event": entry, "pid": 7, "what": what})
    usual = {"TimeGenerated": ago(minutes), "Computer": "log-1", "ProcessName": program, "SyslogMessage": message}
    return {**usual, **more}


def taken(number: int, minutes: float, **more: Any) -> dict[str, Any]:
    """The line of the log about a checkpoint that it has under a quorum."""
    return journal("entry cosigned", minutes, root_of(number), **more)


WEEK: Final = datetime(2026, 11, 15, 12, 0, tzinfo=UTC)  # its last day
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
            (Sample(signins=[signin(Location="NO")]), {"Where": "Microsoft Entra, interactive", "Country": "NO"}),
            (Sample(silent_signins=[signin(Location="NO")]), {"Where": "Microsoft Entra, non-interactive"}),
            (Sample(applications=[application(Location="NO")]), {"Who": WORKER, "Country": "NO"}),
            (Sample(identities=[application(Location="NO")]), {"Where": "Microsoft Entra, managed identity"}),
            (Sample(activity=[removed(9, CallerIpAddress="198.51.100.9")]), {"Who": "a@agency.gov"}),
            (Sample(vault=[release(ago(9), CallerIpAddress="198.51.100.9")]), {"Who": WORKER, "Country": "Norway"}),
            (Sample(diagnostics=[diagnosed(ago(9), CallerIPAddress="198.51.100.9")]), {"Who": WORKER}),
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
            Sample(silent_signins=[signin()], applications=[application()], identities=[application(Location="")]),
            Sample(vault=[release(ago(9), CallerIpAddress="203.0.113.7"), release(ago(9))]),
            Sample(vault=[release(ago(9), CallerIpAddress="198.51.100.9", status=403)]),
            Sample(activity=[removed(9), removed(9, CallerIpAddress="198.51.100.9", ActivityStatusValue="Failure")]),
            Sample(blobs=[blob(1, CallerIpAddress="192.0.2.5:4431"), blob(2, CallerIpAddress="[2001:db8::1]:443")]),
        ],
    ),
    "denied-then-allowed.yaml": lambda: Case(
        fires=[
            (
                Sample(lines=[denied(ago(70)), *job(1, ago(30), code="F")]),
                {"PurposeCode": "F", "Denials": 1, "DeniedPurposes": ["C"], "Operator": "op-17", "Rules": ["purpose"]},
            ),
            # one more denial hides nothing: afterwards, or of the code that then passed
            (Sample(lines=[denied(ago(70)), *job(1, ago(30), code="F"), denied(ago(5), seq=901)]), {"Denials": 1}),
            (
                Sample(lines=[denied(ago(70)), denied(ago(60), "F", seq=901), *job(1, ago(30), code="F")]),
                {"DeniedPurposes": ["C"]},
            ),
            (
                Sample(lines=[denied(ago(110)), *job(1, ago(60), code="F")], late_by={900: timedelta(minutes=100)}),
                {"PurposeCode": "F"},  # the denial arrives long after the job
            ),
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
                Sample(vault=[release(ago(60), CorrelationId="another")], lines=boot()),
                {"Finding": "released, not recorded", "Address": "10.1.0.9"},
            ),
            # at the same moment as the recorded one of one of many workers
            (
                Sample(vault=[release(ago(298)), release(ago(60), CorrelationId="x")], lines=boot()),
                {"Address": "10.1.0.9"},
            ),
            (
                Sample(vault=[release(ago(70)), release(ago(60))], lines=boot()),
                {"Finding": "released twice, recorded once"},
            ),
            (Sample(diagnostics=[diagnosed(ago(60))]), {"Finding": "released, not recorded"}),
            (Sample(vault=[release(ago(60))]), {"Finding": "released, not recorded"}),
            (Sample(lines=boot(attested=False, at=60)), {"Finding": "recorded, not attested", "Worker": "worker-1"}),
        ],
        quiet=[
            Sample(vault=[release(ago(60))], lines=boot(at=62)),
            Sample(vault=[release(ago(60))], diagnostics=[diagnosed(ago(60))], lines=boot(at=62)),  # in both tables
            Sample(vault=[release(ago(60), status=403)], lines=boot()),
            Sample(vault=[release(ago(10))]),  # the worker's line may still come
            Sample(vault=[release(ago(60))], lines=boot(at=62), late_by={3: timedelta(minutes=29)}),
        ],
    ),
    "key-release-unknown-identity.yaml": lambda: Case(
        fires=[
            (Sample(vault=[release(ago(9), caller=STRANGER)]), {"Caller": STRANGER, "Granted": 1}),
            (Sample(vault=[release(ago(9), caller=STRANGER, status=403)]), {"Attempts": 1, "Granted": 0}),
            (Sample(vault=[release(ago(9), Identity={"claim": {"oid": STRANGER}})]), {"Caller": STRANGER}),
            (Sample(vault=[release(ago(9), Identity=None)]), {"Caller": ""}),
            (
                Sample(diagnostics=[diagnosed(ago(9), identity_claim_oid_g=STRANGER)]),
                {"Caller": STRANGER, "Granted": 1},
            ),
        ],
        quiet=[
            Sample(vault=[release(ago(9)), release(ago(8), caller=WORKER.upper())], diagnostics=[diagnosed(ago(7))]),
            Sample(vault=[release(ago(9), caller=STRANGER, OperationName="KeyGet")]),
            Sample(diagnostics=[diagnosed(ago(9), identity_claim_oid_g=STRANGER, ResourceProvider="MICROSOFT.SQL")]),
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
            (Sample(vault=[release(ago(9), OperationName="KeyUpdate")]), {"Change": "KeyUpdate", "Who": WORKER}),
            (
                Sample(
                    vault=[
                        release(
                            ago(9),
                            OperationName="VaultPatch",
                            Identity={"claim": {UPN: "a@agency.gov", "appid": "portal"}},
                        )
                    ]
                ),
                {"Who": "a@agency.gov"},  # the person, not the portal
            ),
            (
                Sample(diagnostics=[diagnosed(ago(9), OperationName="KeyPurge", identity_claim_upn_s="a@agency.gov")]),
                {"Who": "a@agency.gov", "Change": "KeyPurge"},
            ),
        ],
        quiet=[
            Sample(lines=[line("files_reloaded", ago(9)), line("key_released", ago(8), seq=2)]),
            Sample(vault=[release(ago(9)), release(ago(9), OperationName="KeyPurge", status=403)]),
        ],
    ),
    "identity-policy-change.yaml": lambda: Case(
        fires=[
            (
                Sample(directory=[entra("Update conditional access policy", target="CJI: phishing-resistant sign-in")]),
                {"Who": "a@agency.gov", "Target": "CJI: phishing-resistant sign-in"},
            ),
            (Sample(directory=[entra("Authentication Methods Policy Update")]), {"Target": "CJI: x"}),
            (
                Sample(directory=[entra("Delete named location", InitiatedBy={"app": {"displayName": "x"}})]),
                {"Who": "x"},
            ),
        ],
        quiet=[
            Sample(directory=[entra("Update user"), entra("Delete named location", Result="failure")]),
        ],
    ),
    "group-change.yaml": lambda: Case(
        fires=[
            (Sample(directory=[member("Add member to group")]), {"Who": "a@agency.gov"}),
            (Sample(directory=[member("Remove member from group")]), {"OperationName": "Remove member from group"}),
            (Sample(directory=[member("Add owner to group", InitiatedBy={"app": {"displayName": "x"}})]), {"Who": "x"}),
            (Sample(directory=[member("Add member to role completed (PIM activation)")]), {"Who": "a@agency.gov"}),
            (
                Sample(directory=[entra("Delete group", TargetResources=[{"type": "Group", "id": GROUP}])]),
                {"OperationName": "Delete group"},
            ),
        ],
        quiet=[
            Sample(
                directory=[member("Add member to group", STRANGER), member("Add member to group", Result="failure")]
            ),
            Sample(directory=[entra("Update user", TargetResources=[{"type": "User", "id": GROUP}])]),
        ],
    ),
    "resource-change.yaml": lambda: Case(
        fires=[
            (
                Sample(activity=[removed(9, OperationNameValue="microsoft.insights/diagnosticSettings/delete")]),
                {"Caller": "a@agency.gov", "Operation": "MICROSOFT.INSIGHTS/DIAGNOSTICSETTINGS/DELETE"},
            ),
            (
                Sample(activity=[removed(9, OperationNameValue="Microsoft.Authorization/roleAssignments/write")]),
                {"Address": "203.0.113.7"},
            ),
            (
                Sample(activity=[removed(9, OperationNameValue="Microsoft.Authorization/locks/delete")] * 2),
                {"ResourceId": "/x"},
            ),
            *(
                (Sample(activity=[removed(9, OperationNameValue=each)]), {"Operation": each.upper()})
                for each in BLINDING
            ),
        ],
        quiet=[
            Sample(activity=[removed(9)]),
            Sample(
                activity=[
                    removed(
                        9,
                        OperationNameValue="Microsoft.Authorization/locks/delete",
                        ActivityStatusValue="Failure",
                    )
                ]
            ),
        ],
    ),
    "audit-gap.yaml": lambda: Case(
        fires=[
            (Sample(lines=chained(2, 3, after=1)), {"Finding": "the lines before 2 are missing"}),
            (Sample(lines=[*chained(1, 2, 3), *chained(6, 7)]), {"Finding": "the lines before 6 are missing"}),
            # two trails of one name, as machines of one bundle have: the line 2 of one of them is missing
            (
                Sample(lines=[*chained(1, 2, 3), *renamed(chained(3, 4), "c")]),
                {"Finding": "the lines before 3 are missing"},
            ),
            # a made-up line that says it is the first one, to end the silence of a worker
            (Sample(lines=[line("worker_stopped", ago(60))]), {"Finding": "a trail begins with worker_stopped"}),
            (
                Sample(lines=[*chained(1, 2), *forked(chained(1, 2))]),
                {"Finding": "the trail has two lines 2"},
            ),
            (
                Sample(lines=[line("trail_anchored", ago(200))]),
                {"Finding": "silent, although it did not stop"},
            ),
            # one of two machines of one bundle, while the other goes on
            (
                Sample(lines=[line("trail_anchored", ago(200)), *renamed(chained(1, 2), "c")]),
                {"Finding": "silent, although it did not stop", "Until": ago(200)},
            ),
            (
                Sample(lines=[line("trail_anchored", ago(400))], activity=[removed(100)]),
                {"Finding": "silent, although it did not stop"},  # a machine went, but not this one
            ),
            (
                Sample(
                    lines=[line("trail_anchored", ago(200))], activity=[removed(190, ActivityStatusValue="Failure")]
                ),
                {"Finding": "silent, although it did not stop"},
            ),
            (
                Sample(lines=[line("trail_resumed", ago(9), explanation="VM replaced")]),
                {"Finding": "trail_resumed: VM replaced"},
            ),
            (Sample(lines=[line("delivery_overdue", ago(9))]), {"Finding": "delivery_overdue"}),
        ],
        quiet=[
            Sample(lines=chained(1, 2, 3)),
            Sample(lines=chained(1, 2, 3) * 2),
            Sample(lines=chained(1, 2, 3, 4), late_by={2: timedelta(minutes=40)}),  # out of order
            Sample(lines=[line("trail_started", ago(60))]),
            Sample(lines=[line("worker_stopped", ago(200))]),
            Sample(lines=[line("trail_anchored", ago(200))], activity=[removed(195)]),  # the machine was replaced
            Sample(lines=[line("trail_anchored", ago(9), seq=9)]),  # 8 may still come
        ],
    ),
    "late-checkpoint.yaml": lambda: Case(
        fires=[
            (Sample(lines=[checkpoint(5, 90)]), {"Host": "worker-1", "TimeGenerated": ago(90)}),
            # earlier ones are there: delivery was cut off
            (
                Sample(lines=[checkpoint(5, 200), checkpoint(9, 90)], journals=[taken(5, 199)]),
                {"Finding": "a checkpoint is not in the agency's log", "TimeGenerated": ago(90)},
            ),
            # two machines of one bundle, of which one delivers
            (
                Sample(lines=[checkpoint(5, 90, key="AAAA"), checkpoint(6, 80, key="BBBB")], journals=[taken(6, 79)]),
                {"TimeGenerated": ago(90)},
            ),
            # a line that only looks like the log's
            (Sample(lines=[checkpoint(5, 90)], journals=[taken(5, 89, program="sshd")]), {"Host": "worker-1"}),
            (Sample(lines=[checkpoint(5, 90)], journals=[journal("entry refused", 89, "signature")]), {}),
            (
                Sample(journals=[journal("log has two histories", 9, "of 5 leaves", program="cji-witness")]),
                {"Host": "log-1", "Finding": "log has two histories: of 5 leaves"},
            ),
            (
                Sample(journals=[journal("witness did not cosign", 9, "sheriff has another tree (HTTP 409)")]),
                {"Finding": "witness did not cosign: sheriff has another tree (HTTP 409)"},
            ),
            (Sample(journals=[journal("witness did not cosign", 9, "sheriff cosigned 9: it was restored")]), {}),
            (Sample(journals=[journal("log stopped", 9, "sheriff has a checkpoint of 5 leaves")]), {"Host": "log-1"}),
            (Sample(journals=[journal("trail frozen", 9, "fork: ab")]), {"Finding": "trail frozen: fork: ab"}),
            (Sample(journals=[journal("witness retired", 9, program="cji-witness")]), {"Host": "log-1"}),
        ],
        quiet=[
            Sample(lines=[checkpoint(5, 90)], journals=[taken(5, 20)]),
            Sample(lines=[checkpoint(5, 90), checkpoint(9, 80)], journals=[taken(9, 79)]),  # a later one covers it
            Sample(lines=[checkpoint(5, 70)]),  # it may still come
            Sample(lines=[checkpoint(5, 90), checkpoint(9, 60)], journals=[taken(5, 89)]),
            Sample(lines=[checkpoint(5, 90)] * 2, journals=[taken(5, 20)] * 2),  # delivered twice
            Sample(
                lines=[checkpoint(5, 200), line("trail_anchored", ago(90), seq=9)], journals=[taken(5, 190)]
            ),  # idle
            Sample(journals=[journal("witness did not cosign", 9, "sheriff: no answer")]),  # it is asked again
            Sample(journals=[journal("log stopped", 9, program="sshd"), journal("entry refused", 9, "unknown_key")]),
        ],
    ),
    "simulator-evidence.yaml": lambda: Case(
        fires=[(Sample(lines=[line("worker_started", ago(9), simulated=True)]), {"Worker": "worker-1"})],
        quiet=[Sample(lines=[line("worker_started", ago(9)), line("worker_started", ago(70), seq=2, simulated=True)])],
    ),
    "overdue-review.yaml": lambda: Case(
        # the week of 9 to 15 November ended ten days ago: it is 2026-W46
        fires=[
            (
                Sample(lines=job(1, WEEK)),
                {"Week": "2026-W46", "Worker": "worker-1", "Lines": 2, "Missing": "no review was recorded in a trail"},
            ),
            (
                Sample(lines=[*job(1, WEEK), noted(ago(9000))], blobs=[review("2026-W45", ago(9000))]),
                {"Week": "2026-W46"},
            ),
            (
                Sample(lines=[*job(1, WEEK), noted(ago(9000))], blobs=[review("2026-W46", ago(9), StatusCode="403")]),
                {"Missing": "the signed review is not in storage"},
            ),
            # an empty blob of the right name, and a review that no trail knows
            (
                Sample(lines=[*job(1, WEEK), noted(ago(9000))], blobs=[review("2026-W46", ago(9), RequestBodySize=0)]),
                {"Missing": "the signed review is not in storage"},
            ),
            (Sample(lines=job(1, WEEK), blobs=[review("2026-W46", ago(9))]), {"Lines": 2}),
            (Sample(lines=job(250, ago(60))), {"Lines": 2, "Worker": "worker-1"}),  # its older lines are out of sight
            (
                Sample(lines=[*job(1, WEEK), noted(ago(9000), "packet")], blobs=[review("2026-W46", ago(9))]),
                {"Lines": 3},
            ),
        ],
        quiet=[
            Sample(lines=[*job(1, WEEK), noted(ago(9000))], blobs=[review("2026-W46", ago(9000))]),
            Sample(lines=[line("worker_started", ago(60))]),  # a worker of today
            Sample(),
        ],
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
            (Sample(diagnostics=[diagnosed(ago(n), httpStatusCode_d=403.0) for n in (1, 2, 3)]), {"Failures": 3}),
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
            (Sample(silent_signins=[signin(UserId=EMERGENCY)]), {"Logs": ["non-interactive"]}),
        ],
        quiet=[Sample(signins=[signin()], silent_signins=[signin()])],
    ),
    "worker-not-ready.yaml": lambda: Case(
        fires=[
            (
                Sample(health=states(*range(1, 12), view=SICK)),
                {"Machine": "cji-1", "WorkerState": "not serving", "NotReady": "KEY_RELEASE_DENIED"},
            ),
            (Sample(health=states(*range(1, 12), view=SILENT)), {"WorkerSilence": "no answer"}),
        ],
        quiet=[
            Sample(health=states(*range(1, 12))),
            Sample(health=states(*range(1, 8), view=SICK)),  # a machine that started just now
            Sample(health=[*states(*range(2, 12), view=SICK), state(1)]),
            Sample(health=states(*range(1, 12), WorkerState="draining")),
            Sample(health=states(*range(20, 40), view=SICK)),  # it is silent: another rule
        ],
    ),
    "machine-silent.yaml": lambda: Case(
        fires=[
            (Sample(health=states(20, 21, 30)), {"Machine": "cji-1", "WorkerState": "serving"}),
            (Sample(health=states(20), activity=[removed(90)]), {"Machine": "cji-1"}),
            (Sample(health=[*states(20), state(3, machine="cji-2")]), {"Machine": "cji-1"}),
        ],
        quiet=[
            Sample(health=states(14, 20)),
            Sample(health=states(20), activity=[removed(18)]),
            Sample(health=states(200)),  # it was reported when it fell silent
        ],
    ),
    "key-lost.yaml": lambda: Case(
        fires=[(Sample(health=states(*range(1, 12), view=SICK)), {"Usable": 0.0, "Configured": 1.0})],
        quiet=[
            Sample(health=states(*range(1, 12))),
            Sample(health=[*states(*range(1, 11), view=SICK), state(11)]),
            Sample(health=states(*range(1, 12), view=SILENT)),
        ],
    ),
    "trail-at-risk.yaml": lambda: Case(
        fires=[
            (Sample(health=[state(2, **TRAIL_WELL | changed)]), {"Finding": finding})
            for changed, finding in (
                ({"AuditWritable": 0.0}, "it cannot be written. "),
                ({"AuditDiskBytes": {"free": 9.0, "size": 100.0}}, "its disk is nearly full. "),
                ({"AuditRequiredOverdue": 1.0}, "a required destination is behind. "),
                ({"AuditRequiredWaitsSeconds": 601.0}, "a required destination is behind. "),
                ({"AuditDeliveryStalledSeconds": {"sink": 601.0, "log": 0.0}}, "a sink is behind. "),
                ({"AuditUndeliveredLines": {"log": 10_001.0}}, "the log is behind. "),
            )
        ],
        quiet=[
            Sample(health=[state(2, **TRAIL_WELL)]),
            Sample(health=[state(2, **TRAIL_WELL), state(5, AuditWritable=0.0)]),
            Sample(health=[state(2, SILENT)]),
        ],
    ),
    "expires-soon.yaml": lambda: Case(
        fires=[
            (Sample(health=[expiring(each.subject, each.warn_s)]), {"Subjects": f"{each.subject} "})
            for each in EXPIRING
        ],
        quiet=[Sample(health=[expiring("key", 901)]), Sample(health=[state(2, SILENT)])],
    ),
    "worker-restarts.yaml": lambda: Case(
        fires=[
            (
                Sample(health=[state(each, WorkerStartTimeSeconds=float(each)) for each in (5, 25, 45)]),
                {"Machine": "cji-1", "Starts": 3},
            ),
            (Sample(health=[*states(3, UnitRestarts={"door": 2.0}), *states(5, UnitRestarts={"audit": 1.0})]), {}),
        ],
        quiet=[
            Sample(health=[state(each, WorkerStartTimeSeconds=float(each)) for each in (5, 25)]),
            Sample(health=states(3, 70, UnitRestarts={"door": 2.0})),
        ],
    ),
    "jobs-fail.yaml": lambda: Case(
        fires=[
            (Sample(health=[state(2, **NO_TICKET, JobEnds={"INTERNAL": 2.0, "CELL_FAILED": 1.0})]), {"Failed": 3.0}),
            (Sample(health=[state(2, FleetTickets={"poison": 1.0})]), {"Poisoned": 1.0}),
        ],
        quiet=[Sample(health=[state(2, **NO_TICKET, JobEnds={"DEADLINE": 9.0, "INTERNAL": 2.0})])],
    ),
}
# what a rule compares with the time of its query, and not with that of arrival
NOT_LATE: Final = ("audit-gap.yaml", "overdue-review.yaml")


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


@pytest.mark.parametrize("name", [name for name in RULES if name not in (*NOT_LATE, "off-hours.yaml")])
def test_a_rule_fires_for_what_comes_three_hours_late(name: str) -> None:
    for sample, shows in CASES[name]().fires:
        if sample.late_by:
            continue
        rows = result(name, replace(sample, late=timedelta(hours=3))).rows
        assert [row for row in rows if shows.items() <= row.items()], (shows, rows)


def test_the_rule_names_what_log_and_witness_write() -> None:
    """A line that they write under another name would never be seen."""
    rule = (FOLDER / "rules/late-checkpoint.yaml").read_text()
    named = set(re.findall('Entry == "([^"]+)"', rule))
    named |= set(re.findall('"([^"]+)"', rule.partition("refusals = dynamic([")[2].partition("]")[0]))
    sources = "".join(path.read_text() for path in (ROOT / "audit/cji_audit/tlog").glob("*.py"))
    assert len(named) == 6
    assert named <= set(re.findall(r'log\(\s*"([^"]+)"', sources))


def test_missing_lines_and_a_gone_trail_are_found_late() -> None:
    late = timedelta(hours=3)
    assert len(result("audit-gap.yaml", Sample(lines=chained(2, 3, after=1), late=late)).rows) >= 1
    stale = Sample(lines=job(1, WEEK), late=late)
    assert [row["Week"] for row in result("overdue-review.yaml", stale).rows] == ["2026-W46"]


def test_what_was_delivered_again_fires_once() -> None:
    again = Sample(lines=[line("worker_started", ago(9), simulated=True)] * 2)
    assert len(result("simulator-evidence.yaml", again).rows) == 1


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
    columns = known["cji-audit.json"].tables["source"]
    for kind in KINDS:
        tag = str(kind.__struct_config__.tag)
        stated: dict[str, Any] = {"attribution": {}} if "attribution" in kind.__struct_fields__ else {}
        record = line(tag, NOW, seq=7, **stated)
        table = run(tree("cji-audit.json"), World(tables={"source": streamed([record], columns)}, now=NOW))
        (row,) = table.rows
        assert (row["EventTime"], row["Seq"], row["Worker"], row["Kind"]) == (NOW, 7, "worker-1", tag)
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
    assert dict(bound()["cji-audit.json"].columns) == made
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
        ("audit-gap.yaml", "leftanti", "fullouter"),
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
        run(changed, world(name, sample))
