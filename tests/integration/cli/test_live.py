"""The command against a live worker: what a submitter types, and what a submitter gets."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
from click.testing import CliRunner, Result

from cji_attestation import AZURE_US
from cji_core.command import build
from cji_core.format.keys import new_project_key, save_project_key
from cji_core.trail import Attested
from cji_simulator.raw import events
from cji_simulator.site import Site, people
from tests.support.job_specs import head

SPEC = """
[input]
schema = "person/1"

[[operations]]
kind = "deidentify"
project = "p1"
project_key = "p1.json"
columns = { last = "keep", first = "drop", SOC = { do = "hmac_token", domain = "soc" } }
"""


def write(folder: Path, site: Site, *, ori: str = "GA0600000") -> Path:
    spec = site.spec()
    save_project_key(new_project_key("p1"), folder / "p1.json")
    path = folder / "job.toml"
    header = head(
        recipient=spec.recipients[0],
        kek_thumbprint=spec.kek_thumbprint,
        kek_id=spec.kek_id,
        audience=spec.audience,
        originating_ori="GA0600000",
        requesting_ori=ori,
    )
    path.write_text(header + SPEC)
    pyarrow.parquet.write_table(people(5000), folder / "people.parquet")
    return path


def cji(site: Site, *arguments: object) -> Result:
    command = build(AZURE_US, site.simulation.trust)
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)


def test_a_job_runs_and_its_receipt_verifies_with_no_worker(tmp_path: Path, site: Site) -> None:
    spec = write(tmp_path, site)
    out = tmp_path / "out"
    ran = cji(
        site, "job", "run", tmp_path / "people.parquet", "--spec", spec, "--profile", site.files.profile, "--out", out
    )
    assert ran.exit_code == 0, ran.output
    table = pyarrow.parquet.read_table(out / "result.parquet")
    assert table.column_names == ["last", "SOC"]
    assert table["last"] == people(5000)["last"]
    assert table["SOC"].type == pa.string()
    verified = cji(
        site, "receipt", "verify", out / "receipt.jws", "--evidence", out / "evidence.json",
        "--expect-header", out / "header.bin", "--profile", site.files.profile,
    )  # fmt: skip
    assert verified.exit_code == 0, verified.output
    assert "5000 in, 5000 out" in verified.stdout
    trusted = ("--evidence", out / "evidence.json", "--profile", site.files.profile)
    audit_the_worker(tmp_path, site, *trusted)


def audit_the_worker(folder: Path, site: Site, *trusted: object) -> None:
    """The evidence that came with a job verifies the running worker's checkpoints, and a proof against one."""
    trail, index, proof = site.files.audit, folder / "index", folder / "proof.json"
    shown = cji(site, "audit", "verify", trail, *trusted, "--json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert sum(found["checkpoints_verified"].values()) == found["checkpoints"] >= 1
    attested = next(event for event in events(site) if isinstance(event, Attested))
    assert list(found["checkpoints_verified"]) == [attested.receipt_key]
    line = 1 + [event.kind for event in events(site)].index("worker_started")
    assert cji(site, "audit", "prove", trail, "--line", line, "--index", index, "-o", proof).exit_code == 0
    shown = cji(site, "audit", "verify-proof", proof, *trusted)
    assert f"verified: line {line}, worker_started" in shown.output


def test_what_link_adds_is_a_column_like_others(tmp_path: Path, site: Site) -> None:
    spec, out = write(tmp_path, site), tmp_path / "out.parquet"
    text = spec.read_text().replace("columns = { ", 'columns = { cluster = "keep", ')
    spec.write_text(text.replace("[[operations]]", '[[operations]]\nkind = "link"\n\n[[operations]]', 1))
    ran = cji(
        site, "job", "run", tmp_path / "people.parquet", "--spec", spec, "--profile", site.files.profile, "--out", out
    )
    assert ran.exit_code == 0, ran.output
    assert pyarrow.parquet.read_table(out).column_names == ["last", "SOC", "cluster"]


def test_a_refusal_leaves_nothing_behind(tmp_path: Path, site: Site) -> None:
    spec = write(tmp_path, site, ori="GA0610000")
    before = sorted(tmp_path.iterdir())
    ran = cji(
        site, "job", "run", tmp_path / "people.parquet", "--spec", spec, "--profile", site.files.profile,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert ran.exit_code == 1
    assert "POLICY_DENIED" in ran.stderr
    assert "correlation id" in ran.stderr
    assert sorted(tmp_path.iterdir()) == before
