"""A new advisory: a host without its fix is refused, and the same host is accepted after its update."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from cji_attestation.appraisal.advisories.table import SHIPPED
from cji_deploy.runbooks.values import RunbookError
from cji_simulator.snp import Tcb
from tests.support.runbook_drill import Agency

pytestmark = pytest.mark.timeout(900)
ROW = """
[[rows]]
id = "AMD-SB-9001"
title = "a drill"
class = "fixed"
affects = ["Genoa"]
source = "this drill"
read = {day}
confidence = "primary"
[rows.fixes]
Genoa = {{ levels = {{ microcode = {level} }} }}
"""


def test_a_new_advisory_refuses_the_old_host(agency: Agency) -> None:
    before, now, table = (agency.folder / name for name in ("before", "now", "table.toml"))
    agency.job(before)
    signed = agency.folder / "table.jws"

    def edited() -> None:
        day = max(datetime.now(UTC).date() - timedelta(days=1), SHIPPED.reviewed)
        shown = subprocess.run([*agency.cji(), "advisories", "show", "--toml"], capture_output=True, check=True)
        text = shown.stdout.decode().replace(f"reviewed = {SHIPPED.reviewed}", f"reviewed = {day}")
        table.write_text(text + ROW.format(day=day, level=Tcb().microcode + 1))

    def publish() -> None:
        for folder in (agency.files.folder, agency.files.profile.parent):
            shutil.copy(signed, folder / "advisories.jws")

    values = {
        "evidence": str(before / "evidence.json"),
        "evidence_now": str(now / "evidence.json"),
        "table": str(table),
        "signer_key": str(agency.files.folder / "operator" / "signer.key"),
        "signed_table": str(signed),
    }
    acts = {"edited": edited, "accept": lambda: None, "publish": publish, "after": lambda: agency.job(now)}
    with pytest.raises(RunbookError, match="restart-each") as caught:
        agency.run("host-tcb", values, acts=acts)
    assert "the other workers still serve" in caught.value.remedy
    assert '"check": "E32", "reason": "ATTESTATION_REJECTED"' in agency.worker_log

    agency.simulation.update_host()
    agency.run("host-tcb", values, acts=acts)
    assert "   already so: a signed table of this review exists" in agency.said

    verify = [*agency.cji(), "evidence", "verify", "--config", str(agency.files.config)]
    old = subprocess.run([*verify, values["evidence"]], capture_output=True, text=True, check=False)
    assert old.returncode == 3
    assert "AMD-SB-9001" in old.stdout + old.stderr
    subprocess.run([*verify, values["evidence_now"]], capture_output=True, check=True)
