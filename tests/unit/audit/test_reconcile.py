"""A vault's log against the trails of its workers."""

import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_audit.reconcile import Entry, LogError, LogFile, Release, Releases, Severity, Tolerance, entry_of, find, match
from cji_audit.reconcile.entry import Key
from cji_audit.reconcile.vault_log import MAX_LINE_BYTES
from cji_core.command import build
from cji_core.trail import GENESIS, Attested, Event, KeyReleased, TpmClock, WorkerStarted, append_record, utc_hundredths

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
VERSION, OTHER = "ab" * 16, "cd" * 16
VAULT = "https://v.vault.azure.net"
WORKER = "33333333-3333-4333-8333-333333333333"
ROGUE = "44444444-4444-4444-8444-444444444444"
REQUEST = "f3b1c2d4-5e6f-4a1b-8c2d-0123456789ab"
GRACE = timedelta(seconds=45)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def record(seconds: float, *, version: str = VERSION, operation: str = "KeyRelease", **changes: Any) -> dict[str, Any]:
    """An entry as a storage account has it."""
    status = changes.pop("status", 200)
    key = f"{VAULT}/keys/cmk/{version}".rstrip("/")
    found = {
        "time": at(seconds).strftime("%Y-%m-%dT%H:%M:%S.%f7Z"),
        "operationName": operation,
        "category": "AuditEvent",
        "resultType": "Success",
        "resultSignature": "OK",
        "callerIpAddress": "10.0.0.4",
        "correlationId": REQUEST.upper(),
        "identity": {"claim": {"http://schemas.microsoft.com/identity/claims/objectidentifier": WORKER}},
        "properties": {
            "requestUri": f"{key}{'/release' if operation.lower() == 'keyrelease' else ''}?api-version=7.4",
            "id": f"{VAULT}/keys/cmk",
            "httpStatusCode": status,
        },
    }
    return found | changes


def entry(seconds: float, **changes: Any) -> Entry:
    found = entry_of(record(seconds, **changes), f"log:{seconds}")
    assert found is not None
    return found


def trail(path: Path, *events: tuple[float, Event]) -> Path:
    head, data = GENESIS, b""
    for seconds, event in events:
        head, line = append_record(event, head=head, time=utc_hundredths(at(seconds)), worker="worker-1")
        data += line
    path.write_bytes(data)
    return path


def started() -> WorkerStarted:
    return WorkerStarted(
        version="1",
        code_sha384="0a" * 48,
        config_sha384="0b" * 48,
        policy_sha384="0c" * 48,
        simulated=False,
        host_profile="held",
    )


def attested(evidence: str = "01") -> Attested:
    return Attested(
        evidence_sha384=evidence * 48,
        maa_token_sha384="02" * 48,
        issuer="https://maa.example",
        tee="snp",
        accepted_advisories=(),
        chip="0f" * 64,
        region="usgovvirginia",
        expires="2026-11-24T20:00:00.00Z",
        tpm=TpmClock(clock=1, reset_count=1, restart_count=1),
        receipt_key="k" * 43,
    )


def released(version: str = VERSION, evidence: str = "01", **changes: Any) -> KeyReleased:
    fields: dict[str, Any] = {
        "kek_id": f"{VAULT}/keys/cmk/{version}",
        "request_id": REQUEST,
        "evidence_sha384": evidence * 48,
        "statement_sha384": "03" * 48,
        "policy_sha256": "04" * 32,
        "policy_immutable": True,
        "policy_accepted": (),
        "policy_warnings": (),
    }
    return KeyReleased(**fields | changes)


def release(seconds: float, version: str = VERSION, request: str = REQUEST) -> Release:
    return Release(
        trail="a",
        line=int(seconds * 100) + 1,
        hash=str(seconds),
        time=at(seconds),
        key=Key(vault="v.vault.azure.net", name="cmk", version=version),
        request_id=request,
        evidence_sha384="01" * 48,
        policy_sha256="04" * 32,
        policy_before=None,
        boot=None,
    )


def written(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def reconcile(*arguments: object) -> Result:
    return CliRunner().invoke(build(), ["audit", "reconcile", *map(str, arguments)], catch_exceptions=False)


# -- the forms of a log ------------------------------------------------------------------------------------------------

FORMS = {
    "storage account": record(0),
    "AZKVAuditLogs": {
        "TimeGenerated": at(0).isoformat(),
        "OperationName": "KeyRelease",
        "ResultType": "Success",
        "HttpStatusCode": 200,
        "Id": f"{VAULT}/keys/cmk/{VERSION}",
        "RequestUri": f"{VAULT}/keys/cmk/{VERSION}/release?api-version=7.4",
        "CallerIpAddress": "10.0.0.4",
        "Identity": json.dumps({"claim": {"oid": WORKER}}),
    },
    "AzureDiagnostics": {
        "TimeGenerated": at(0).isoformat(),
        "OperationName": "KeyRelease",
        "Category": "AuditEvent",
        "ResultType": "Success",
        "httpStatusCode_d": 200.0,
        "id_s": f"{VAULT}/keys/cmk/{VERSION}",
        "requestUri_s": f"{VAULT}/keys/cmk/{VERSION}/release?api-version=7.4",
        "CallerIPAddress": "10.0.0.4",
        "identity_claim_oid_g": WORKER.upper(),
    },
    "Managed HSM": {
        "time": at(0).isoformat(),
        "operationName": "KeyRelease",
        "category": "AuditEvent",
        "resultType": "Success",
        "httpStatusCode": 200,
        "requestUri": f"{VAULT}/keys/CMK/{VERSION.upper()}/release?api-version=7.4",
        "callerIpAddress": "10.0.0.4",
        "identity": {"claim": {"http_schemas_microsoft_com_identity": {"claims": {"objectidentifier": WORKER}}}},
        "properties": {"PoolType": "M-HSM"},
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_log_says_the_same(form: str) -> None:
    found = entry_of(FORMS[form], "log:1")
    assert found is not None
    assert (found.time, found.operation, found.succeeded, found.status) == (at(0), "KeyRelease", True, 200)
    assert found.key == Key(vault="v.vault.azure.net", name="cmk", version=VERSION)
    assert (found.caller, found.address) == (frozenset({WORKER}), "10.0.0.4")


def test_a_log_in_lines_as_a_document_and_compressed(tmp_path: Path) -> None:
    records = [record(n) for n in range(3)]
    lines = written(tmp_path / "lines", records)
    whole = tmp_path / "whole"
    whole.write_text(json.dumps({"records": records}, indent=1))
    array = tmp_path / "array"
    array.write_text(json.dumps(records))
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(lines.read_bytes()))
    times = [[each.time for each in LogFile(path).entries()] for path in (lines, whole, array, packed)]
    assert times == [[at(n) for n in range(3)]] * 4


@pytest.mark.parametrize(
    ("damage", "place", "why"),
    [
        (b"{not json}\n", "log:3", "not JSON"),
        (b"[1]\n", "log:3", "not an object"),
        (b'{"time":"2026-11-24T12:00:00Z"}\n', "log:3", "no operation name"),
        (b'{"operationName":"KeyRelease"}\n', "log:3", "no time"),
        (b'{"operationName":"KeyRelease","time":"yesterday"}\n', "log:3", "a time that cannot be read"),
        (b'"' + b"x" * MAX_LINE_BYTES + b'"\n', "log:3", "the line is longer than 1 MiB"),
        (b"[" * 100_000 + b"\n", "log:3", "nested too deep"),
        (b'{"time":"2026-11-24T12:00:00Z","time":"2026-11-24T13:00:00Z"}\n', "log:3", "a repeated member"),
    ],
    ids=[
        "no JSON",
        "no object",
        "no operation",
        "no time",
        "a bad time",
        "a long line",
        "a deep line",
        "a member twice",
    ],
)
def test_a_bad_record_is_refused_at_its_line(tmp_path: Path, damage: bytes, place: str, why: str) -> None:
    path = written(tmp_path / "log", [record(0), record(1)])
    path.write_bytes(path.read_bytes() + damage)
    with pytest.raises(LogError) as caught:
        list(LogFile(path).entries())
    assert (caught.value.place, caught.value.why) == (place, why)


@pytest.mark.parametrize("rest", [b'{"time":"2026-11-24T12:0', b"\0" * 40])
def test_a_torn_last_record_is_refused_in_a_complete_file(tmp_path: Path, rest: bytes) -> None:
    path = written(tmp_path / "log", [record(0)])
    path.write_bytes(path.read_bytes() + rest)
    assert len(list(LogFile(path).entries())) == 1
    with pytest.raises(LogError, match="log:2: not JSON"):
        list(LogFile(path, complete=True).entries())


def test_messages_with_records_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "log"
    messages = [json.dumps({"records": [record(n), record(n + 1)]}) for n in (0, 2)]
    path.write_bytes(b"\xef\xbb\xbf" + "\n".join(messages).encode())
    found = list(LogFile(path, complete=True).entries())
    assert [each.time for each in found] == [at(n) for n in range(4)]
    assert found[3].place == "log:2, record 2"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps([record(0)], indent=1).encode())
    assert [each.time for each in LogFile(path, complete=True).entries()] == [at(0)]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_outside_the_calendar_is_refused(time: str) -> None:
    with pytest.raises(LogError, match="cannot be read"):
        entry_of(record(0, time=time), "log:1")


def test_what_a_record_leaves_open_counts_against_it() -> None:
    uri = {"requestUri": f"{VAULT}:443/keys/cmk/{VERSION}/release"}
    for changes in (
        {"resultType": None, "properties": uri},
        {"resultType": "Accepted", "properties": uri},
        {"operationName": "KeyReleaseV2"},
        {"category": "auditevent"},
        {"category": "AuditEventV2"},
    ):
        found = entry(0, **changes)
        assert (found.release, found.succeeded) == (True, True), changes
        assert found.key == Key(vault="v.vault.azure.net", name="cmk", version=VERSION)
    assert not entry(0, resultType="Failure", properties=uri).succeeded


def test_one_entry_in_two_forms_is_one(tmp_path: Path) -> None:
    path = trail(tmp_path / "a", (0, started()), (1, attested()), (2, released()))
    table = {
        "TimeGenerated": record(1.9)["time"], "OperationName": "KeyRelease", "Category": "AuditEvent",
        "HttpStatusCode": 200, "CallerIpAddress": "10.0.0.4", "CorrelationId": record(1.9)["correlationId"],
        "Id": f"{VAULT}/keys/cmk/{VERSION}", "Identity": json.dumps(record(0)["identity"]),
    }  # fmt: skip
    logs = written(tmp_path / "storage", [record(1.9)]), written(tmp_path / "table", [table])
    shown = reconcile("--trail", path, "--log", logs[0], "--log", logs[1], "--json")
    assert (shown.exit_code, json.loads(shown.stdout)["counts"]["doubled"]) == (0, 1)
    table["CallerIpAddress"] = "10.0.0.5"
    assert reconcile("--trail", path, "--log", logs[0], "--log", written(logs[1], [table])).exit_code == 3


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    path = trail(tmp_path / "a", (0, started()), (1, attested()))
    logs = []
    for hour in (1, 2):
        (tmp_path / f"h={hour:02}").mkdir()
        logs += ["--log", written(tmp_path / f"h={hour:02}" / "PT1H.json", [record(3600 * hour)])]
    shown = reconcile("--trail", path, *logs, "--follow", "--seconds", 0, "--json")
    found = [json.loads(line)["places"] for line in shown.stdout.splitlines()]
    assert found == [[f"{tmp_path}/h=01/PT1H.json:1"], [f"{tmp_path}/h=02/PT1H.json:1"]]


def test_a_release_of_another_request_is_nobodys() -> None:
    other = "0" * 8 + REQUEST[8:]
    found = match([entry(1), entry(2)], [release(2, request=other), release(1)], Tolerance())
    assert [(one.time, two.request_id) for one, two in found.pairs] == [(at(1), REQUEST)]
    assert ([one.time for one in found.orphans], [each.request_id for each in found.unlogged]) == ([at(2)], [other])
    assert match([entry(1, correlationId="")], [release(1)], Tolerance()).pairs == []


def test_a_copy_of_a_trail_hides_no_orphan(tmp_path: Path) -> None:
    path = trail(tmp_path / "a", (0, started()), (1, attested()), (2, released()))
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    log = written(tmp_path / "log", [record(1.9), record(3)])
    shown = reconcile("--trail", path, "--trail", copy, "--trail", path, "--log", log)
    assert (shown.exit_code, "orphan_release" in shown.stdout) == (3, True)


def test_a_torn_gzip_file_and_a_long_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(b"{}" * 5000)[:-9])
    with pytest.raises(LogError, match=r"packed\.gz"):
        list(LogFile(packed).entries())
    monkeypatch.setattr("cji_audit.reconcile.vault_log.MAX_DOCUMENT_BYTES", 1000)
    whole = tmp_path / "whole"
    whole.write_text(json.dumps([record(n) for n in range(9)]))
    with pytest.raises(LogError, match="more than 64 MiB"):
        list(LogFile(whole).entries())


def test_a_bomb_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_audit.reconcile.vault_log.MAX_FILE_BYTES", 10_000)
    packed = tmp_path / "bomb.gz"
    packed.write_bytes(gzip.compress((json.dumps(record(0)) + "\n").encode() * 1000))
    with pytest.raises(LogError, match="8 GiB"):
        list(LogFile(packed).entries())


def test_a_growing_log_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(path)
    whole = [json.dumps(record(n)) + "\n" for n in range(3)]
    path.write_text(whole[0] + whole[1][:40])
    assert [each.time for each in log.entries()] == [at(0)]
    path.write_text("".join(whole))
    assert [each.time for each in log.entries()] == [at(1), at(2)]
    assert list(log.entries()) == []


def test_a_log_that_became_shorter_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "log", [record(0), record(1)])
    log = LogFile(path)
    assert len(list(log.entries())) == 2
    written(path, [record(2)])
    with pytest.raises(LogError, match="shorter"):
        list(log.entries())


def test_other_categories_and_refused_requests_are_no_releases() -> None:
    assert entry_of(record(0, category="AzurePolicyEvaluationDetails", operation="Evaluated"), "log:1") is None
    assert not entry(0, status=403).succeeded
    assert not entry(0, status=401).succeeded


# -- matching ----------------------------------------------------------------------------------------------------------


def test_releases_match_by_version_and_time() -> None:
    found = match(
        [entry(0), entry(0.5, version=OTHER), entry(100, version="")],
        [release(100.2, OTHER), release(0.6, OTHER), release(0.1)],
        Tolerance(),
    )
    assert [(e.time, r.time) for e, r in found.pairs] == [(at(0), at(0.1)), (at(0.5), at(0.6)), (at(100), at(100.2))]
    assert (found.orphans, found.unlogged) == ([], [])


@pytest.mark.parametrize("apart", [-31, 46])
def test_a_release_too_far_away_is_an_orphan(apart: float) -> None:
    found = match([entry(0)], [release(apart)], Tolerance())
    assert (len(found.orphans), len(found.unlogged)) == (1, 1)
    for near in (-30, 45):
        assert len(match([entry(0)], [release(near)], Tolerance()).pairs) == 1


def test_a_stranger_in_the_same_second_is_the_orphan() -> None:
    stranger = entry(0, identity={"claim": {"oid": ROGUE}})
    found = match([stranger, entry(0.1)], [release(0.2)], Tolerance(), frozenset({WORKER}))
    assert (found.orphans, [e for e, _ in found.pairs]) == ([stranger], [entry(0.1)])


@given(
    logged=st.lists(st.tuples(st.integers(0, 200), st.sampled_from([VERSION, OTHER])), max_size=7),
    own=st.lists(st.tuples(st.integers(0, 200), st.sampled_from([VERSION, OTHER])), max_size=7),
)
@settings(max_examples=300, deadline=None)
def test_no_other_choice_matches_more(logged: list[tuple[int, str]], own: list[tuple[int, str]]) -> None:
    entries = [entry(seconds, version=version) for seconds, version in logged]
    releases = [release(seconds, version) for seconds, version in own]
    found = match(entries, releases, Tolerance())
    assert len(found.pairs) + len(found.orphans) == len(entries)
    assert len(found.pairs) + len(found.unlogged) == len(releases)
    for e, r in found.pairs:
        assert e.key == r.key
        assert -30 <= (r.time - e.time).total_seconds() <= 45
    assert len(found.pairs) == most_pairs(entries, releases)


def most_pairs(entries: list[Entry], releases: list[Release]) -> int:
    """The size of a maximum matching, by augmenting paths."""
    taken: dict[int, int] = {}

    def assign(i: int, seen: set[int]) -> bool:
        for j, one in enumerate(releases):
            apart = (one.time - entries[i].time).total_seconds()
            if j not in seen and one.key == entries[i].key and -30 <= apart <= 45:
                seen.add(j)
                if j not in taken or assign(taken[j], seen):
                    taken[j] = i
                    return True
        return False

    return sum(assign(i, set()) for i in range(len(entries)))


# -- findings and the command ------------------------------------------------------------------------------------------


def rules(entries: list[Entry], releases: list[Release], *, now: datetime) -> list[tuple[str, Severity]]:
    matched = match(entries, releases, Tolerance())
    return [(f.rule, f.severity) for f in find(entries, matched, tolerance=Tolerance(), now=now, grace=GRACE)]


def test_an_orphan_is_named_after_its_grace_and_not_before() -> None:
    assert rules([entry(0)], [], now=at(44)) == []
    assert rules([entry(0)], [], now=at(46)) == [("orphan_release", Severity.INCIDENT)]
    assert rules([entry(0)], [], now=at(-45)) == []
    assert rules([entry(0)], [], now=at(-46)) == [("orphan_release", Severity.INCIDENT)]  # no clock is that wrong


@pytest.mark.parametrize("operation", ["KeyDecrypt", "KeyUnwrap"])
def test_a_use_of_a_workers_key_in_the_vault_is_an_incident(operation: str) -> None:
    used = (operation, Severity.INCIDENT)
    assert used in rules([entry(0, operation=operation)], [release(9)], now=at(100))
    assert used not in rules([entry(0, operation=operation, status=403)], [release(9)], now=at(100))
    assert used not in rules([entry(0, operation=operation)], [], now=at(100))  # a key of somebody else


def test_a_second_release_is_named_with_its_neighbours() -> None:
    entries = [entry(0), entry(1, correlationId="x")]
    matched = match(entries, [release(0.2)], Tolerance())
    found = find(entries, matched, tolerance=Tolerance(), now=at(100), grace=GRACE)
    orphan = next(each for each in found if each.rule == "orphan_release")
    assert orphan.places == ("log:1", "log:0")
    assert "the orphan may be one of them" in orphan.what


def test_a_release_that_a_complete_log_lacks_is_named() -> None:
    early, late = entry(-10, operation="KeyGet"), entry(2000, operation="KeyGet")
    lacking = [("unlogged_release", Severity.WARNING), ("release_without_attestation", Severity.WARNING)]
    assert sorted(rules([early, late], [release(5)], now=at(3000))) == sorted(lacking)
    assert rules([early, entry(60, operation="KeyGet")], [release(5)], now=at(3000)) == [lacking[1]]
    assert rules([late], [release(5)], now=at(3000)) == [lacking[1]]


@pytest.mark.parametrize(
    ("operation", "severity"),
    [
        ("KeyUpdate", Severity.WARNING),
        ("KeyBackup", Severity.WARNING),
        ("KeyPurge", Severity.INCIDENT),
        ("VaultPatch", Severity.WARNING),
        ("SecurityDomainDownload", Severity.INCIDENT),
    ],
)
def test_changes_of_a_key_and_its_vault_are_named(operation: str, severity: Severity) -> None:
    assert rules([entry(0, operation=operation)], [], now=at(1)) == [(operation, severity)]
    assert rules([entry(0, operation=operation, status=403)], [], now=at(1)) == [("refused", Severity.NOTE)]


def test_a_denied_release_is_a_warning() -> None:
    assert rules([entry(0, status=403)], [], now=at(1)) == [("refused", Severity.WARNING)]
    assert rules([entry(0, status=429)], [], now=at(1)) == [("refused", Severity.NOTE)]
    assert rules([entry(0, status=401)], [], now=at(1)) == []


def test_trails_that_match_are_quiet(tmp_path: Path) -> None:
    one = trail(tmp_path / "a", (0, started()), (1, attested()), (2.5, released()), (1802, released()))
    two = trail(tmp_path / "b", (0, started()), (1, attested()), (2.7, released()))
    log = written(tmp_path / "log", [record(1801), record(2), record(2.2), record(2.2)])
    shown = reconcile("--trail", one, "--trail", two, "--log", log, "--json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert found["counts"] == {
        "entries": 3, "doubled": 1, "releases_in_trails": 3, "matched": 3, "orphans": 0, "unlogged": 0,
    }  # fmt: skip
    assert found["findings"] == []
    assert {(pair["worker"], pair["boot"], pair["attested"]) for pair in found["pairs"]} == {("worker-1", 1, 2)}
    assert [pair["receipt_keys"] for pair in found["pairs"]] == [["k" * 43]] * 3


@pytest.mark.parametrize("position", range(6))
def test_a_planted_release_is_found_wherever_it_stands(tmp_path: Path, position: int) -> None:
    times = [600.0 * n for n in range(1, 6)]
    events: list[tuple[float, Event]] = [(0, started()), (1, attested()), *((t + 1, released()) for t in times)]
    path = trail(tmp_path / "a", *events)
    planted = 600.0 * position + 300
    log = written(tmp_path / "log", [record(t) for t in (*times, planted)])
    shown = reconcile("--trail", path, "--log", log)
    assert shown.exit_code == 3
    assert "INCIDENT orphan_release" in shown.stdout
    assert "log:6" in shown.stdout
    assert f"https://v.vault.azure.net/keys/cmk/{VERSION} was released to {WORKER} at 10.0.0.4" in shown.stdout


def test_a_wrong_version_and_another_workers_release_are_orphans(tmp_path: Path) -> None:
    path = trail(tmp_path / "a", (0, started()), (1, attested()), (2, released()))
    log = written(tmp_path / "log", [record(2), record(1.9, version=OTHER), record(900)])
    found = json.loads(reconcile("--trail", path, "--log", log, "--json").stdout)
    assert [each["places"] for each in found["findings"]] == [["log:2"], ["log:3"]]


def test_a_changed_policy_and_missing_evidence_are_named(tmp_path: Path) -> None:
    path = trail(
        tmp_path / "a",
        (0, started()),
        (1, attested()),
        (2, released(policy_before="05" * 32)),
        (3, released("ab" * 16, "77")),
    )
    log = written(tmp_path / "log", [record(2), record(3)])
    found = json.loads(reconcile("--trail", path, "--log", log, "--json").stdout)["findings"]
    assert {each["rule"]: each["places"] for each in found} == {
        "release_policy_changed": ["a:3"],
        "release_without_attestation": ["a:4"],
    }


def test_hostile_texts_stay_text(tmp_path: Path) -> None:
    path = trail(tmp_path / "a", (0, started()))
    log = written(tmp_path / "log", [record(2, callerIpAddress="\x1b[2J\u202e")])
    shown = reconcile("--trail", path, "--log", log)
    assert "\x1b" not in shown.stdout
    assert "⟨U+202E⟩" in shown.stdout


@pytest.mark.parametrize("as_json", [True, False])
def test_an_orphan_is_named_while_the_log_grows(tmp_path: Path, as_json: bool) -> None:
    path = trail(tmp_path / "a", (0, started()), (1, attested()), (2, released()))
    log = written(tmp_path / "log", [record(2), record(500)])
    arguments = ["--trail", path, "--log", log, "--follow", "--seconds", 0, *(["--json"] if as_json else [])]
    shown = reconcile(*arguments)
    assert shown.exit_code == 3
    assert "orphan_release" in shown.stdout


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    path = trail(tmp_path / "a", (0, started()), (1, attested()))
    assert reconcile("--trail", path).exit_code == 2
    log = written(tmp_path / "log", [record(2)])
    log.write_bytes(log.read_bytes() + b"{}\n")
    shown = reconcile("--trail", path, "--log", log)
    assert (shown.exit_code, "log:2: no operation name" in shown.output) == (2, True)
    path.write_bytes(path.read_bytes().replace(b"maa.example", b"bad.example"))
    shown = reconcile("--trail", path, "--log", written(tmp_path / "log", [record(2)]))
    assert (shown.exit_code, "audit line 2: hash" in shown.output) == (3, True)


def test_a_trail_is_read_on_where_it_ended(tmp_path: Path) -> None:
    path = trail(tmp_path / "a", (0, started()), (1, attested()))
    following = Releases(path)
    assert list(following.read()) == []
    trail(path, (0, started()), (1, attested()), (2, released()))
    found = list(following.read())
    assert [(each.line, each.attested_at) for each in found] == [(3, 2)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(name=st.sampled_from([*record(0), *FORMS["AzureDiagnostics"], *FORMS["AZKVAuditLogs"]]), value=JSON)
@settings(max_examples=200, deadline=None)
def test_no_record_breaks_the_reader(name: str, value: object) -> None:
    for form in FORMS.values():
        try:
            entry_of({**form, name: value}, "log:1")
        except LogError:
            continue
