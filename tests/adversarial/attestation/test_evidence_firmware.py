"""The vTPM's firmware, advisories that no level closes, and acceptances of ids that nobody published."""

import re
import struct
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from cji_attestation import AZURE_US, Fault
from cji_attestation.appraisal import ReferenceValues, check_reference
from cji_attestation.appraisal.advisories import SHIPPED, Shown, evaluate, sign_table
from cji_attestation.checks import Skipped
from cji_attestation.evidence import Tcb, parse_attest, parse_snp_report
from cji_core.command import build
from cji_simulator.operator import operator
from tests.support.evidence import refused
from tests.support.forge import QUALIFYING, decided, machine, quote_structure
from tests.support.refusals import rejected
from tests.support.tdx_forge import intel

ROWS = {row.id: row for row in SHIPPED.rows}
VTPM = ("CVE-2025-2884", "CVE-2026-6726", "CVE-2026-6727")
AZURE = 0x2020031200120003
TODAY = machine().now.date()


def quoted(firmware: int) -> bytes:
    """The machine's quote by a vTPM of this firmware."""
    plain = quote_structure(machine().pcrs, extra=QUALIFYING)
    at = plain.index(struct.pack(">QIIBQ", 481, 3, 1, 1, 7)) + 17
    return plain[:at] + firmware.to_bytes(8, "big") + plain[at + 8 :]


def test_the_firmware_of_the_quote_is_in_the_verdict() -> None:
    verdict = machine().appraise(machine().evidence(quote=quoted(AZURE)))
    assert verdict.vtpm_firmware == AZURE
    (check,) = (one for one in verdict.checks if one.id == "E58")
    assert isinstance(check, Skipped)
    assert check.finding == "vTPM firmware 0x2020031200120003, no floor"
    assert parse_attest(quoted((1 << 64) - 1)).firmware == (1 << 64) - 1


def test_a_floor_refuses_an_older_vtpm() -> None:
    floor = decided(vtpm_firmware=AZURE)
    assert machine().appraise(machine().evidence(quote=quoted(AZURE)), reference=floor)
    assert machine().appraise(machine().evidence(quote=quoted(AZURE + 1)), reference=floor)
    with rejected("E58", fault=Fault.POLICY_MISMATCH) as caught:
        machine().appraise(machine().evidence(quote=quoted(AZURE - 1)), reference=floor)
    found = caught.value.failures[0]
    assert found[1:] == ("vTPM firmware 0x2020031200120002", "at least 0x2020031200120003")
    refused(machine().evidence(), "E58", Fault.POLICY_MISMATCH, reference=floor)
    for wrong in (0, -1, 1 << 63):
        with rejected("reference-vtpm_firmware", fault=Fault.CONFIG_INVALID):
            check_reference(ReferenceValues(vtpm_firmware=wrong))


@pytest.mark.parametrize("advisory", VTPM)
def test_flaws_of_the_vtpm_cannot_be_shown_to_be_fixed(advisory: str) -> None:
    """On every kind of machine, whatever its firmware: Microsoft publishes no version."""
    row = ROWS[advisory]
    assert (row.visibility, row.affects) == ("not visible in a report", ("Milan", "Genoa", "Turin", "TDX"))
    assert row.confidence == "primary"
    others = operator().acceptance(*(one for one in ROWS if one != advisory))
    for evidence, trust in ((machine().evidence(), machine().trust), (intel().evidence(machine()), intel().trust)):
        verdict = machine().appraise(evidence, trust=trust)
        assert {one.id: one.state for one in verdict.findings}[advisory] == "cannot be shown"
        with rejected("E32", fault=Fault.POLICY_MISMATCH) as caught:
            machine().appraise(evidence, trust=trust, reference=decided(acceptances=(others,)))
        assert advisory in caught.value.failures[0].found


def test_rows_have_source_and_confidence() -> None:
    assert {"AMD-SB-3005", "AMD-SB-3007", "AMD-SB-3011", "AMD-SB-3021"} <= ROWS.keys()
    assert ROWS["AMD-SB-3016"].cves == ("CVE-2023-20585",)
    assert "CVE-2024-36315" in ROWS["AMD-SB-3030"].cves
    assert all(row.source.strip() and row.confidence for row in ROWS.values())


def shown(product: str, **changes: Any) -> Shown:
    tcb = Tcb(bootloader=255, tee=255, snp=255, microcode=255, fmc=255 if product == "Turin" else 0)
    values: dict[str, Any] = {
        "product": product, "stepping": product, "tcbs": (tcb,) * 3, "mitigations": (1 << 64) - 1,
        "alias_check": True, "smt": True, "version": 5,
    }  # fmt: skip
    return Shown(**(values | changes))


def test_an_update_of_the_host_is_visible_in_no_report() -> None:
    """The highest levels and every bit do not show that the host's system was updated too (AMD-SB-3016)."""
    found = {one.id: one for one in evaluate(SHIPPED.rows, shown("Genoa"))}["AMD-SB-3016"]
    assert (found.state, found.detail) == (
        "cannot be shown",
        "an update of the host's system, which no report states",
    )
    low = Tcb(bootloader=10, tee=0, snp=23, microcode=84)
    assert {one.id: one.state for one in evaluate(SHIPPED.rows, shown("Genoa", tcbs=(low,) * 3))}[
        "AMD-SB-3016"
    ] == "open"


@pytest.mark.parametrize(
    ("product", "level", "state"),
    [("Milan", 208, "open"), ("Milan", 209, "fixed"), ("Milan-X", 51, "open"), ("Milan-X", 52, "fixed")],
)
def test_cachewarp_by_level(product: str, level: int, state: str) -> None:
    tcb = Tcb(bootloader=4, tee=0, snp=29, microcode=level)
    given = shown("Milan", stepping=product, tcbs=(tcb,) * 3)
    assert {one.id: one.state for one in evaluate(SHIPPED.rows, given)}["AMD-SB-3005"] == state
    assert {one.id: one.state for one in evaluate(SHIPPED.rows, shown("Genoa"))}["AMD-SB-3005"] == "not affected"


# ---------------------------------------------------------------- acceptances


def cji(*arguments: object) -> Result:
    return CliRunner().invoke(build(AZURE_US), list(map(str, arguments)), catch_exceptions=False)


def accept(folder: Path, *more: object) -> Result:
    key = folder / "signer.key"
    if not key.exists():
        assert cji("key", "new-signing", key).exit_code == 0
    out = folder / f"{len(list(folder.iterdir()))}.jws"
    until = str(TODAY + timedelta(days=30))
    fixed = ("--machine", "TDX", "--until", until, "--reason", "r", "--by", "b", "--id", "i", "--key", key)
    return cji("advisories", "accept", *more, *fixed, "--out", out)


def test_ids_that_the_table_lacks_are_refused(tmp_path: Path) -> None:
    """A mistyped id would accept nothing, and be found when the machine is refused."""
    assert accept(tmp_path, "WireTap", *VTPM).exit_code == 0
    for wrong in ("Wiretap", "CVE-2026-67270", "AMD-SB-9999", "INTEL-SA-01397"):
        bad = accept(tmp_path, "WireTap", wrong)
        assert (bad.exit_code, f"the table has no {wrong}" in bad.output) == (2, True), bad.output
        assert accept(tmp_path, "WireTap", wrong, "--unknown").exit_code == 0


def test_ids_of_an_operator_s_own_table_are_known(tmp_path: Path) -> None:
    row = msgspec.structs.replace(ROWS["WireTap"], id="OWN-1", read=TODAY)
    table = msgspec.structs.replace(
        SHIPPED, rows=(*SHIPPED.rows, row), reviewed=TODAY, expires=TODAY + timedelta(days=30)
    )
    (tmp_path / "table.jws").write_bytes(sign_table(table, operator().key))
    profile = tmp_path / "client.toml"
    profile.write_text(
        f"[reference]\nadvisory_signers = ['{operator().signer}']\nadvisories = {{ file = \"table.jws\" }}\n"
    )
    assert accept(tmp_path, "OWN-1").exit_code == 2
    assert accept(tmp_path, "OWN-1", "--profile", profile).exit_code == 0


def test_evidence_of_a_trust_domain_names_what_must_be_decided(tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(intel().evidence(machine()).to_json())
    short = accept(tmp_path, "WireTap", "--evidence", path)
    assert (short.exit_code, "CVE-2026-6727" in short.output) == (2, True), short.output
    named = [one.id for one in SHIPPED.rows if "TDX" in one.affects]
    assert accept(tmp_path, *named, "--evidence", path).exit_code == 0
    listed = cji("advisories", "show", "--evidence", path).output
    assert re.search(r"WireTap +open", listed)
    assert parse_snp_report(machine().evidence().hcl_report[32 : 32 + 1184])
