"""`cji advisories`: the table is shown, compared and renewed; a decision names all that it is for. No network."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.appraisal.advisories import SHIPPED, SHIPPED_FILE, read_acceptance, read_table
from cji_core.command import build
from cji_core.format.keys import load_signing_key
from cji_core.jose import key_id, parse_p384
from cji_deploy.verbs.advisories import Differences, SignedAcceptance, SignedTable
from cji_deploy.verbs.public_half import PublicHalf
from cji_simulator.operator import operator
from tests.support.forge import decided, machine, patched
from tests.support.json_answers import answered, refusal
from tests.support.reviews import decided_profile
from tests.support.tdx_forge import intel

TODAY = datetime.now(UTC).date()
MONTH = str(TODAY + timedelta(days=30))
OPEN = (
    *("AMD-SB-3016", "AMD-SB-3030", "AMD-SB-3034", "AMD-SB-3036", "AMD-SB-3039"),
    *("AMD-SB-3024", "AMD-SB-3040", "AMD-SB-3048", "AMD-SB-3007", "AMD-SB-3011", "AMD-SB-3021"),
    *("CVE-2025-2884", "CVE-2026-6726", "CVE-2026-6727"),
)


def cji(*arguments: object) -> Result:
    return CliRunner().invoke(build(machine().trust), [str(one) for one in arguments], catch_exceptions=False)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    assert cji("key", "new-signing", tmp_path / "signer.key").exit_code == 0
    return tmp_path / "signer.key"


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.json"
    path.write_bytes(machine().evidence().to_json())
    return path


def accept(folder: Path, key: Path, *ids: str, machine: str = "Genoa", **options: object) -> Result:
    given = {"machine": machine, "until": MONTH, "reason": "no other host", "by": "CISO", "id": "genoa-1", "key": key}
    given |= {"out": folder / "genoa.jws", **options}
    return cji("advisories", "accept", *ids, *(part for name, value in given.items() for part in (f"--{name}", value)))


def test_the_table_is_shown() -> None:
    shown = cji("advisories", "show").output
    assert shown.startswith(f"shipped table, reviewed {SHIPPED.reviewed}, in force until {SHIPPED.expires}\n")
    for row in SHIPPED.rows:
        assert f"\n{row.id}  {row.title}\n" in shown
    assert "  Milan: snp 29, mitigation bit 4\n" in shown
    assert "  Genoa: firmware 1.0.0.H\n" in shown
    assert "  Genoa: alias check\n" in shown
    assert cji("advisories", "show", "--toml").output == SHIPPED_FILE.read_text()


def test_what_a_machine_shows_is_not_verified(tmp_path: Path, evidence: Path) -> None:
    shown = cji("advisories", "show", "--evidence", evidence, "--profile", decided_profile(tmp_path)).output
    assert "signed table" in shown
    assert "not verified" in shown
    assert f"{'AMD-SB-3030':18} cannot be shown  no level is known for Genoa; accepted by site-1" in shown
    assert f"{'AMD-SB-3019':18} fixed            snp 27 ≥ 23, microcode 88 ≥ 84\n" in shown
    assert "acceptance site-1" in shown
    found = json.loads(cji("advisories", "show", "--evidence", evidence, "--json").output)
    assert found["verified"] is False
    assert {one["id"] for one in found["findings"] if one["state"] in {"open", "cannot be shown"}} == set(OPEN)
    assert "findings" not in json.loads(cji("advisories", "show", "--json").output)


def test_evidence_that_shows_no_product(tmp_path: Path, evidence: Path) -> None:
    m = machine()
    raw = patched(patched(m.report(m.claims()), 0, b"\2"), 0x188, bytes(3))
    for report in (raw, bytes(1184)):
        evidence.write_bytes(m.evidence(report=report).to_json())
        assert cji("advisories", "show", "--evidence", evidence).exit_code == 2


def test_a_trust_domain_has_advisories_too(evidence: Path) -> None:
    evidence.write_bytes(intel().evidence(machine()).to_json())
    found = json.loads(cji("advisories", "show", "--evidence", evidence, "--json").output)["findings"]
    assert {one["id"] for one in found} == {row.id for row in SHIPPED.rows if "TDX" in row.affects}
    assert {one["state"] for one in found} == {"open", "cannot be shown"}


def test_a_decision_is_signed_and_accepted(tmp_path: Path, key: Path, evidence: Path) -> None:
    began = datetime.now(UTC).date()
    done = accept(tmp_path, key, *OPEN, "--json", evidence=evidence)
    told = answered(done, SignedAcceptance)
    assert (told.advisories, told.machines, told.id, str(told.until)) == (OPEN, ("Genoa",), "genoa-1", MONTH)
    signer = cji("advisories", "signer", key).output.strip()
    half = answered(cji("advisories", "signer", key, "--json"), PublicHalf)
    assert half == PublicHalf(jwk=signer, thumbprint=key_id(_public(key)))
    signed = (tmp_path / "genoa.jws").read_bytes()
    decision = read_acceptance(signed, (parse_p384(signer),))
    assert (decision.advisories, decision.machines) == (OPEN, ("Genoa",))
    assert began <= decision.since <= datetime.now(UTC).date()
    reference = decided(advisory_signers=(operator().signer, signer), acceptances=(signed,))
    assert set(machine().appraise(machine().evidence(), reference=reference).accepted) == set(OPEN)
    again = accept(tmp_path, key, *OPEN)
    assert (again.exit_code, "exists" in again.output) == (2, True)


def test_a_decision_must_name_all_that_is_open(tmp_path: Path, key: Path, evidence: Path) -> None:
    partly = accept(tmp_path, key, *OPEN[2:], evidence=evidence)
    assert (partly.exit_code, f"add it: {OPEN[0]} {OPEN[1]}" in partly.output) == (2, True)
    assert not (tmp_path / "genoa.jws").exists()
    assert accept(tmp_path, key).exit_code == 2


@pytest.mark.parametrize(
    "options",
    [
        {"reason": " "},
        {"by": ""},
        {"id": "a b"},
        {"until": "2020-01-01"},
        {"since": str(TODAY), "until": str(TODAY + timedelta(days=367))},
        {"until": "soon"},
        {"machine": "Rome"},
        {"since": MONTH, "until": str(TODAY)},
    ],
)
def test_decisions_that_no_reader_would_take(tmp_path: Path, key: Path, options: dict[str, str]) -> None:
    assert accept(tmp_path, key, "AMD-SB-3030", **options).exit_code == 2
    assert not (tmp_path / "genoa.jws").exists()


def _public(path: Path) -> ec.EllipticCurvePublicKey:
    key = load_signing_key(path).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def test_a_pair_signs_no_decision(tmp_path: Path) -> None:
    assert cji("key", "new-signing", "--hybrid", tmp_path / "pair").exit_code == 0
    refused = cji("advisories", "signer", tmp_path / "pair")
    assert (refused.exit_code, "is a pair" in refused.output) == (2, True)


def test_a_table_is_renewed(tmp_path: Path, key: Path) -> None:
    table, out = tmp_path / "table.toml", tmp_path / "advisories.jws"
    text = SHIPPED_FILE.read_text().replace('title = "Staleus"', 'title = "stale"', 1)
    extra = '\n[[rows]]\nid = "AMD-SB-9999"\ntitle = "new"\nclass = "physical"\naffects = ["Genoa"]\nsource = "s"\n'
    table.write_text(f'{text}{extra}read = 2026-11-26\nconfidence = "primary"\n')
    done = cji("advisories", "update", table, "--key", key, "--out", out)
    assert done.exit_code == 0, done.output
    assert "changed   AMD-SB-3039  stale\nadded     AMD-SB-9999  new\n" in done.output
    again = cji("advisories", "update", table, "--key", key, "--out", tmp_path / "again.jws", "--json")
    told = answered(again, SignedTable)
    assert (told.changed, told.added, told.rows) == (("AMD-SB-3039",), ("AMD-SB-9999",), len(SHIPPED.rows) + 1)
    found = read_table(out.read_bytes(), (_public(key),))
    assert len(found.rows) == len(SHIPPED.rows) + 1
    for bad in ("", "x = 1", text.replace("expires = ", "expires = 2020-01-01 #"), " " * (257 << 10)):
        table.write_text(bad)
        refused = cji("advisories", "update", table, "--key", key, "--out", tmp_path / "other.jws")
        assert (refused.exit_code, "table.toml: " in refused.output) == (2, True)


def test_records_are_compared(tmp_path: Path) -> None:
    cna = {"title": "\x1b[2J", "affected": [{"vendor": "AMD", "product": "EPYC 9004"}], "references": []}
    metadata = {"cveId": "CVE-2026-0001", "state": "PUBLISHED"}
    path = tmp_path / "CVE-2026-0001.json"
    record = {"dataType": "CVE_RECORD", "cveMetadata": metadata, "containers": {"cna": cna}}
    path.write_text(json.dumps(record))
    told = cji("advisories", "diff", path)
    assert (told.exit_code, "not in the table" in told.output, "\x1b" in told.output) == (3, True, False)
    both = cji("advisories", "diff", path, "--json")
    (other,) = (one for one in answered(both, Differences, status=3).differences if one.kind != "no record")
    assert (other.cve, "\x1b" in both.output) == ("CVE-2026-0001", False)
    assert refusal(both).reason == "UNVERIFIED"
    path.write_text(json.dumps(record | {"cveMetadata": metadata | {"state": "REJECTED"}}))
    assert (cji("advisories", "diff", path).exit_code) == 0
    path.write_text("{}")
    assert cji("advisories", "diff", path).exit_code == 2


def test_files_of_a_stranger_are_not_shown(tmp_path: Path) -> None:
    profile = decided_profile(tmp_path)
    profile.write_text(profile.read_text().replace("advisory_signers = [", f"advisory_signers = [{'{}'!r}, "))
    assert cji("advisories", "show", "--profile", profile).exit_code == 2
    other = tmp_path / "other.key"
    assert cji("key", "new-signing", other).exit_code == 0
    signer = cji("advisories", "signer", other).output.strip()
    stranger = decided_profile(tmp_path)
    stranger.write_text(stranger.read_text().replace(json.dumps(operator().signer), json.dumps(signer)))
    refused = cji("advisories", "show", "--profile", stranger)
    assert (refused.exit_code, refused.output.count("signed by no pinned key")) == (3, 2)
