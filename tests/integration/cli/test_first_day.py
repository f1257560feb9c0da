"""`cji support first-day` against the simulator: what comes in is named, and canaries and secrets do not."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.strict import b64url, hex_decode
from cji_core.trail import KeyReleased
from cji_core.trail.chain import Record
from cji_core.trail.trail import verified
from cji_simulator.site import Site, people
from cji_worker.support import first_day
from cji_worker.support.first_day import FirstDay, encode_first_day
from cji_worker.verbs.support import WrittenFirstDay
from tests.integration.cli.test_live import write
from tests.support.json_answers import answered

CANARY = "SMITHJOHNCANARY"
LEAST_SECRET = 24


def cji(site: Site, *arguments: object) -> Result:
    command = build(AZURE_US, site.simulation.trust)
    return CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)


@dataclass(frozen=True, kw_only=True)
class Day:
    """The inputs, each with canaries wherever a value is not named, and the file."""

    site: Site
    inputs: dict[str, Path]
    out: Path
    records: list[Record]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Day:
    folder = tmp_path_factory.mktemp(CANARY)
    spec = write(folder, site)
    pyarrow.parquet.write_table(people(100, tag=CANARY), folder / "people.parquet")
    given: tuple[object, ...] = ("--spec", spec, "--profile", site.files.profile)
    assert cji(site, "job", "run", folder / "people.parquet", *given, "--out", folder / "r").exit_code == 0
    attested = cji(site, "worker", "attest", "--profile", site.files.profile, "--evidence", folder / "evidence.json")
    assert attested.exit_code == 0, attested.output
    (folder / "status.json").write_text(cji(site, "status", "--config", site.files.config, "--json").stdout)
    trail = folder / f"{CANARY}.log"
    trail.write_bytes(b"".join(line for line, _ in verified(site.files.audit)))
    records = [record for _, record in verified(trail)]
    documents = {"rows": rows(records), "vault-rows": vault_rows(records), "key": key()}
    for name, found in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(found))
    inputs = {name: folder / f"{name}.json" for name in ("evidence", "status", *documents)} | {"trail": trail}
    out = folder / "first-day.json"
    done = cji(site, "support", "first-day", *options(inputs), "--out", out, "--json")
    assert answered(done, WrittenFirstDay).missing == ("--export",)
    return Day(site=site, inputs=inputs, out=out, records=records)


def options(inputs: dict[str, Path]) -> Iterator[object]:
    for name, path in inputs.items():
        yield from (f"--{name}", path)


def rows(records: list[Record]) -> list[dict[str, Any]]:
    """As Azure Monitor prints them: every value is text, and there are more columns."""
    return [
        {
            "EventId": CANARY,
            "EventTime": each.time,
            "Hash": b64url(hex_decode(each.hash)),
            "Kind": each.event.kind,
            "PreviousHash": b64url(hex_decode(each.prev)),
            "Seq": str(each.seq),
            "TableName": CANARY,
            "TimeGenerated": each.time[:-1] + "5Z",
            "Worker": each.worker,
            "AttributionRequestor": CANARY,
            CANARY: {CANARY: CANARY},
            **columns(each),
        }
        for each in records
    ]


def columns(record: Record) -> dict[str, str]:
    """The columns that a first day names, as the rule makes them; truth values as text."""
    named = ("simulated", "code_sha384", "tee", "evidence_sha384", "maa_token_sha384", "statement_sha384")
    names = (*named, "policy_sha256", "policy_immutable", "request_id", "cause")
    found = {name: getattr(record.event, name, "") for name in names}
    return {"".join(part.title() for part in name.split("_")): str(value) for name, value in found.items()}


def vault_rows(records: list[Record]) -> list[dict[str, Any]]:
    released = next(each for each in records if isinstance(each.event, KeyReleased))
    assert isinstance(released.event, KeyReleased)
    row = {
        "CallerIPAddress": CANARY,
        "CorrelationId": released.event.request_id,
        "DurationMs": "31.5",
        "HttpStatusCode": "200",
        "Identity": {CANARY: CANARY},
        "OperationName": "KeyRelease",
        "TimeGenerated": released.time,
    }
    return [row, {**row, "CorrelationId": CANARY, "OperationName": CANARY}]


def key() -> dict[str, Any]:
    policy = base64.urlsafe_b64encode(json.dumps({"version": CANARY}).encode()).decode()
    return {
        "attributes": {"enabled": True, "exportable": True, CANARY: CANARY},
        "key": {
            "kid": CANARY,
            "kty": "RSA-HSM",
            "n": b64url(b"\xff" * 384),
            "keyOps": ["wrapKey", CANARY],
            "d": CANARY,
        },
        "releasePolicy": {"contentType": CANARY, "encodedPolicy": policy, "immutable": False},
        "tags": {CANARY: CANARY},
    }


def forms(text: str) -> Iterator[str]:
    """A text as it stands, and as it is inside of base64 at each of its three offsets."""
    yield text
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + text.encode()).decode()
        yield encoded[4 if offset else 0 : len(encoded) // 4 * 4 - 4]


def secrets_of(folder: Path) -> Iterator[str]:
    """Lines of private keys, and private members of keys in JSON."""
    for path in folder.rglob("*"):
        if not path.is_file() or path.stat().st_size > 1 << 20:
            continue
        text = path.read_bytes().decode("latin-1")
        if "PRIVATE KEY" in text:
            yield from (line for line in text.splitlines() if len(line) >= LEAST_SECRET and "-----" not in line)
        elif '"secret"' in text or '"d":' in text or '"key":' in text:
            yield from (each for each in text.split('"') if len(each) >= LEAST_SECRET and each.isascii())


def test_no_record_no_name_and_no_secret_is_in_it(day: Day) -> None:
    text = day.out.read_text()
    people_ = [f"{part}{CANARY}{number:07d}" for part in ("NAME", "FIRST") for number in range(3)]
    for canary in (CANARY, *people_, "Test desk", "fulton-pd", "GA0600000", str(day.site.files.folder)):
        for form in forms(canary):
            assert form.lower() not in text.lower(), canary
    found = {*secrets_of(day.site.files.folder), *secrets_of(day.inputs["key"].parent)}
    assert len(found) > 20
    assert not [each for each in found if each in text]


def test_evidence_in_it_verifies_as_a_vector(day: Day, tmp_path: Path) -> None:
    found = json.loads(day.out.read_bytes())
    (tmp_path / "evidence.json").write_text(json.dumps(found["evidence"][0]))
    given = ("--profile", day.site.files.profile, "--cloud", day.site.simulation.trust.name)
    done = cji(day.site, "evidence", "verify", tmp_path / "evidence.json", *given)
    assert done.exit_code == 0, done.output
    original = json.loads(day.inputs["evidence"].read_bytes())
    changed = {name for name, value in original.items() if found["evidence"][0].get(name) != value}
    assert changed == {"reference"}


def test_starts_releases_keys_and_rows_are_facts(day: Day) -> None:
    found = json.loads(day.out.read_bytes())
    assert found["support"]["trails"][0]["verified"]
    released = [each.event for each in day.records if isinstance(each.event, KeyReleased)]
    assert [each["statement_sha384"] for each in found["releases"]] == [each.statement_sha384 for each in released]
    assert {each["tee"] for each in found["starts"] if each.get("tee")} == {"snp"}
    assert [(each["kind"], each["bits"], each["operations"]) for each in found["keys"]] == [
        ("RSA-HSM", 3072, ["wrapKey", "other"])
    ]
    assert [each["line"] for each in found["rows"]] == [each.seq for each in day.records]
    assert {each["same"] for each in found["rows"]} == {True}
    assert {each["continues"] for each in found["rows"][1:]} == {True}
    assert {each["delay_ms"] for each in found["rows"]} == {5}
    assert [(each["operation"], each["in_trail"]) for each in found["vault_rows"]] == [
        ("KeyRelease", True),
        ("other", False),
    ]


@pytest.mark.parametrize("column", ["Hash", "PreviousHash", "Kind", "EventTime"])
def test_a_row_that_azure_changed_is_seen(day: Day, tmp_path: Path, column: str) -> None:
    changed = rows(day.records)
    changed[0][column] = {"EventTime": "2020-01-01T00:00:00Z", "Kind": "worker_ready"}.get(column, CANARY)
    (tmp_path / "rows.json").write_text(json.dumps(changed))
    given = ("--trail", day.inputs["trail"], "--rows", tmp_path / "rows.json", "--out", tmp_path / "o.json")
    assert cji(day.site, "support", "first-day", *given).exit_code == 0
    first, *others = json.loads((tmp_path / "o.json").read_bytes())["rows"]
    assert first["same"] is False
    assert {each["same"] for each in others} == {True}
    assert others[0]["continues"] is (column != "Hash")
    assert CANARY not in (tmp_path / "o.json").read_text()


def _private(found: dict[str, Any]) -> None:
    jwks = json.loads(base64.b64decode(found["jwks"]))
    jwks["keys"][0]["d"] = CANARY
    found["jwks"] = base64.b64encode(json.dumps(jwks).encode()).decode()


SPOILED: dict[str, Callable[[dict[str, Any]], None]] = {
    "a member more": lambda found: found.update({CANARY: CANARY}),
    "a private key of the issuer": _private,
    "a token of another form": lambda found: found.update(maa_token=CANARY),
    "a private receipt key": lambda found: found.update(
        receipt_jwk=json.dumps({**json.loads(found["receipt_jwk"]), "d": CANARY})
    ),
    "another address": lambda found: found.update(maa_url=f"https://x.example/{CANARY}"),
    "another cloud": lambda found: found.update(cloud=CANARY),
    "a list that is none": lambda found: found.update(amd_crl=base64.b64encode(CANARY.encode()).decode()),
    "evidence of another form": lambda found: found.update(evidence=base64.b64encode(b"{}").decode()),
}


@pytest.mark.parametrize("what", SPOILED)
def test_evidence_with_more_than_its_members_is_refused(day: Day, tmp_path: Path, what: str) -> None:
    found = json.loads(day.inputs["evidence"].read_bytes())
    SPOILED[what](found)
    (tmp_path / "e.json").write_text(json.dumps(found))
    done = cji(day.site, "support", "first-day", "--evidence", tmp_path / "e.json", "--out", tmp_path / "o.json")
    assert (done.exit_code, (tmp_path / "o.json").exists()) == (2, False)
    assert "--evidence: not the evidence" in done.output
    assert CANARY not in done.output


@pytest.mark.parametrize("option", ["rows", "vault-rows", "key"])
@pytest.mark.parametrize("data", [b"", b"{}", b"[7]", b"[{}]", b"\xff", b"[" * 100_000])
def test_what_is_not_an_export_is_refused(day: Day, tmp_path: Path, option: str, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    given = ("--trail", day.inputs["trail"], f"--{option}", tmp_path / "x", "--out", tmp_path / "o.json")
    done = cji(day.site, "support", "first-day", *given)
    assert (done.exit_code, (tmp_path / "o.json").exists()) == (2, False)
    assert f"--{option}: " in done.output


def test_rows_alone_have_starts_and_releases_too(day: Day, tmp_path: Path) -> None:
    """A machine without login gives its trail to nobody: the log has it."""
    given = ("--rows", day.inputs["rows"], "--vault-rows", day.inputs["vault-rows"], "--out", tmp_path / "o.json")
    assert cji(day.site, "support", "first-day", *given).exit_code == 0
    alone, both = (json.loads(path.read_bytes()) for path in (tmp_path / "o.json", day.out))
    assert {each["same"] for each in alone["rows"]} == {None}
    assert [alone[name] for name in ("starts", "vault_rows")] == [both[name] for name in ("starts", "vault_rows")]
    shared = ("time", "cause", "statement_sha384", "evidence_sha384", "policy_sha256", "policy_immutable")
    assert len(alone["releases"]) == len(both["releases"]) > 0
    for one, other in zip(alone["releases"], both["releases"], strict=True):
        assert [one[name] for name in shared] == [other[name] for name in shared]


@pytest.mark.parametrize("column", ["StatementSha384", "EvidenceSha384", "PolicySha256", "Kind"])
def test_a_named_column_has_no_room_for_another_text(day: Day, tmp_path: Path, column: str) -> None:
    changed = rows(day.records)
    next(each for each in changed if each["Kind"] == "key_released")[column] = CANARY
    (tmp_path / "rows.json").write_text(json.dumps(changed))
    given = ("--rows", tmp_path / "rows.json", "--out", tmp_path / "o.json")
    done = cji(day.site, "support", "first-day", *given)
    assert (done.exit_code, (tmp_path / "o.json").exists()) == (2, False)
    assert CANARY not in done.output


def test_a_trail_of_more_than_a_first_day_is_named(day: Day, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attestations count as starts, and there are many of them in a year."""
    monkeypatch.setattr(first_day, "_MAX_LISTED", 1)
    done = cji(day.site, "support", "first-day", "--trail", day.inputs["trail"], "--out", tmp_path / "o.json")
    assert (done.exit_code, (tmp_path / "o.json").exists()) == (2, False)
    assert "--trail: more than 1 starts" in done.output
    first = tmp_path / "first.log"
    first.write_bytes(day.inputs["trail"].read_bytes().partition(b"\n")[0] + b"\n")
    assert cji(day.site, "support", "first-day", "--trail", first, "--out", tmp_path / "o.json").exit_code == 0
    assert json.loads((tmp_path / "o.json").read_bytes())["support"]["trails"][0]["verified"]


def test_only_lines_of_rows_are_kept(day: Day) -> None:
    one = json.dumps(rows(day.records)[1:2]).encode()
    assert first_day.Trails([day.inputs["trail"]]).lines == {}
    assert len(first_day.Trails([day.inputs["trail"]], one).lines) == 1


def test_nothing_is_refused(day: Day, tmp_path: Path) -> None:
    assert "nothing to report" in cji(day.site, "support", "first-day", "--out", tmp_path / "o.json").output


def test_a_kind_of_nobodys_list_is_not_written(day: Day) -> None:
    found = json.loads(day.out.read_bytes())
    found["rows"][0]["kind"] = CANARY
    with pytest.raises(ValueError, match="lists"):
        encode_first_day(msgspec.convert(found, FirstDay))
