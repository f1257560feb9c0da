"""One job on three machines, and the other verbs of submitters, with a worker on a simulated machine."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import msgspec
import pytest

from cji_client.verbs import answers
from cji_core.jose import key_id
from tests.integration.cli.test_job import CSV, Desk, desk, material

__all__ = ["desk", "material"]


def told(desk: Desk, kind: type[msgspec.Struct], *arguments: str | Path) -> dict[str, object]:
    """The answer of a verb with --json, which has exactly the members of this kind."""
    done = desk.cji(*arguments, "--json")
    assert done.exit_code == 0, done.output
    msgspec.json.decode(done.stdout, type=kind, strict=True)
    found: dict[str, object] = json.loads(done.stdout)
    assert set(found) <= {field.name for field in msgspec.structs.fields(kind)}
    return found


def test_seal_send_open(desk: Desk) -> None:
    f = desk.folder
    profile = ("--profile", f / "client.toml")
    sealed = told(
        desk, answers.Sealed, "job", "seal", f / "people.csv", "--job", f / "job", "--spec", f / "job.toml", *profile
    )
    assert not desk.worker.receipts
    # the machine that sends has no key that signs or opens
    toml = (f / "client.toml").read_text()
    toml = toml.replace('signing_key = "signing.key"\n', "").replace('recipient_key = "recipient.key"\n', "")
    (f / "sender.toml").write_text(toml)
    sender = ("--profile", f / "sender.toml")
    assert desk.cji("job", "send", f / "job", *sender).exit_code == 2
    sent = told(desk, answers.Received, "job", "send", f / "job", *sender, "--save-sealed", f / "result")
    assert sent["job"] == sealed["job"]
    assert (sent["rows_in"], sent["sealed"], sent.get("out")) == (3, str(f / "result"), None)
    assert desk.cji("job", "send", f / "job", *sender, "--save-sealed", f / "result").exit_code == 2

    claimed = told(desk, answers.Claimed, "result", "info", f / "result")
    assert (claimed["job"], claimed["verified"], claimed["operations"]) == (sealed["job"], False, ["deidentify"])
    shown = desk.cji("result", "verify", f / "result", *profile)
    assert shown.exit_code == 0
    assert "verified, except" in shown.stdout
    # the machine that opens has the recipient's key, and reference values
    opened = told(
        desk, answers.Received, "result", "open", f / "result", "--recipient-key", f / "recipient.key", *sender,
        "--out", f / "opened",
    )  # fmt: skip
    assert opened["out"] == str(f / "opened")
    assert (f / "opened" / "result.csv").read_text().count("\n") == 4
    assert "1916-13-40" not in (f / "opened" / "result.csv").read_text()
    assert desk.cji("job", "open", f / "result", *profile, "--out", f / "again.parquet").exit_code == 0
    assert desk.cji("job", "open", f / "result", *sender, "--out", f / "no").exit_code == 2

    receipt = told(desk, answers.StoredReceipt, "receipt", "get", str(sealed["job"]), *profile, "--out", f / "got.jws")
    assert (
        (f / "got.jws").read_text().strip() == receipt["receipt"] == (f / "result" / "receipt.jws").read_text().strip()
    )
    files = (f / "result" / "receipt.jws", "--evidence", f / "result" / "evidence.json")
    claimed = told(desk, answers.ShownReceipt, "receipt", "show", f / "got.jws")
    assert (claimed["verified"], list(cast("dict[str, str]", claimed["not_checked"]))) == (False, ["everything"])
    proven = told(desk, answers.ShownReceipt, "receipt", "show", *files, *profile, "--html", f / "receipt.html")
    assert (proven["verified"], proven["claims"], proven["page"]) == (True, claimed["claims"], str(f / "receipt.html"))
    part = f / "result" / "parts" / "00000"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    refused = desk.cji("result", "verify", f / "result", *profile)
    assert refused.exit_code == 3
    assert "outputs[0].sha256" in refused.output


def test_run_keeps_the_sealed_result_too(desk: Desk) -> None:
    f = desk.folder
    received = told(
        desk, answers.Received, "job", "run", f / "people.csv", "--spec", f / "job.toml", "--profile",
        f / "client.toml", "--out", f / "out", "--save-sealed", f / "kept",
    )  # fmt: skip
    assert received["outputs"] == ["result", "row_status"]
    assert (f / "out" / "receipt.jws").read_text() == (f / "kept" / "receipt.jws").read_text()
    assert (
        desk.cji("job", "run", f / "people.csv", "--spec", f / "job.toml", "--profile", f / "client.toml").exit_code
        == 2
    )


def test_a_worker_is_described_and_attested(desk: Desk) -> None:
    profile = ("--profile", desk.folder / "client.toml")
    described = told(desk, answers.Described, "worker", "describe", *profile)
    assert described["audience"] == "pool"
    assert "thumbprint" in desk.cji("worker", "describe", *profile).stdout
    attested = told(desk, answers.Attested, "worker", "attest", *profile, "--evidence", desk.folder / "evidence.json")
    assert attested["simulated"] is True
    assert len(attested["checks"]) > 20  # type: ignore[arg-type]
    again = desk.cji("worker", "attest", *profile, "--evidence", desk.folder / "evidence.json")
    assert again.exit_code == 2


def test_the_public_key_of_a_worker_is_kept(desk: Desk) -> None:
    f = desk.folder
    describe = ("worker", "describe", "--profile", f / "client.toml")
    assert desk.cji(*describe, "--kek", f / "worker.jwk").exit_code == 0
    assert key_id(desk.worker.cmk.public_key()) in desk.cji("key", "show", f / "worker.jwk").stdout
    kept = (f / "worker.jwk").read_bytes()
    for fault, more in (
        ("worker.jwk exists", ("--kek", f / "worker.jwk")),
        ("offers 0 such keys", ("--kek", f / "other.jwk", "--kek-id", "https://v/keys/other/1")),
        ("no ML-KEM half", ("--ml-kem", f / "other.jwk")),
    ):
        found = desk.cji(*describe, *more)
        assert (found.exit_code, fault in found.stderr) == (2, True), found.output
    assert kept == (f / "worker.jwk").read_bytes()
    assert not (f / "other.jwk").exists()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs files in memory")
def test_records_from_standard_input_stay_in_memory(desk: Desk) -> None:
    f = desk.folder
    code = (
        "import sys; from cji_core.command import build; from cji_client.verbs.job.standard_input import records_file\n"
        "from pathlib import Path\n"
        "with records_file(Path('-'), 'csv') as file:\n"
        "    print(file.name, file.read_bytes() == file.read_bytes(), len(file.read_bytes()))\n"
        "print(file.exists())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=CSV.encode(), capture_output=True, check=False)
    assert done.stdout.split() == [b"stdin.csv", b"True", str(len(CSV)).encode(), b"False"], done.stderr
    common = ("--spec", f / "job.toml", "--profile", f / "client.toml", "--job", f / "piped")
    assert "need --format" in desk.cji("job", "seal", "-", *common).output
    assert "for standard input" in desk.cji("job", "seal", f / "people.csv", "--format", "csv", *common).output
