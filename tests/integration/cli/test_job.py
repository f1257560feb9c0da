"""`cji job run` and `cji receipt verify` with a worker that attests itself on a simulated machine."""

import base64
import datetime
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation import AZURE_US
from cji_client.profile import load_profile
from cji_client.retry import RetryPolicy
from cji_core.command import build
from cji_core.errors import Reason
from cji_core.format.keys import new_recipient_key, new_signing_key, save_private_key
from cji_core.jose import key_id, public_jwk
from cji_core.operations.registry import CODES
from cji_core.trail import sign
from cji_simulator import Simulation
from tests.support.job_specs import head
from tests.support.paths import ROOT
from tests.support.private_files import put_private
from tests.support.reviews import decided_toml
from tests.support.sdk_server import (
    Certificates,
    ReferenceWorker,
    served,
)
from tests.support.workbooks import workbook

SPEC = """
[input]
schema = "person/1"
rename = { surname = "last", given_name = "first" }

[[operations]]
kind = "deidentify"
project = "study-17"
project_key = "study-17.json"

[operations.columns]
record_id = "keep"
last = { do = "hmac_token", domain = "name" }
first = { do = "mask", keep_first = 1 }
DOB = { do = "date_to", unit = "year" }
"""
CSV = (
    "record_id,surname,given_name,DOB\n007,neumann,michaela,19151111\n008,painter,courtney,\n009,neumann,,1916-13-40\n"
)


@dataclass(kw_only=True)
class Desk:
    """A submitter's folder, and a worker to talk to."""

    folder: Path
    worker: ReferenceWorker
    simulation: Simulation

    def cji(self, *arguments: str | Path, trusts: tuple[object, ...] | None = None) -> Result:
        command = build(*(trusts or (self.simulation.trust,)))
        return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)

    def run(self, out: str, file: str = "people.csv", *more: str) -> Result:
        f = self.folder
        return self.cji(
            "job", "run", f / file, "--spec", f / "job.toml", "--profile", f / "client.toml", "--out", f / out, *more
        )

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture(scope="module")
def material() -> tuple[object, Certificates]:
    return new_recipient_key(), Certificates.make()


@pytest.fixture
def desk(tmp_path: Path, material: tuple[object, Certificates], simulation: Simulation) -> Iterator[Desk]:
    cmk, tls = material
    signing = new_signing_key()
    worker = ReferenceWorker(cmk=cmk, submitter=signing.public_key())  # type: ignore[arg-type]
    worker.attest(simulation)
    with served(worker, tls) as target:
        desk = Desk(folder=tmp_path, worker=worker, simulation=simulation)
        save_private_key(signing, tmp_path / "signing.key", passphrase=None)
        assert desk.cji("key", "new-recipient", tmp_path / "recipient.key").exit_code == 0
        assert desk.cji("key", "project", "study-17", tmp_path / "study-17.json").exit_code == 0
        for name, pem in (
            ("ca", tls.client.ca_pem),
            ("client", tls.client.cert_pem),
            ("client-key", tls.client.key_pem),
        ):
            put_private(tmp_path / f"{name}.pem", pem)
        (tmp_path / "client.toml").write_text(
            f'target = "{target}"\ncloud = "simulation"\nmaa_url = "{simulation.maa_url}"\n'
            'ca = "ca.pem"\ncertificate = "client.pem"\nprivate_key = "client-key.pem"\n'
            f'signing_key = "signing.key"\nrecipient_key = "recipient.key"\n[reference]\nproducts = ["Genoa"]\n'
            + decided_toml(simulation.reference)
        )
        key = key_id(worker.cmk.public_key())
        (tmp_path / "job.toml").write_text(head(recipient="recipient.key.jwk", kek_thumbprint=key) + SPEC)
        (tmp_path / "people.csv").write_text(CSV)
        yield desk


def test_csv_to_a_folder_and_the_receipt_verifies_offline(desk: Desk) -> None:
    result = desk.run("out")
    assert result.exit_code == 0, result.output
    assert "attested: simulated snp Genoa" in result.stderr
    assert "3 in, 3 out, counted in the outputs" in result.stdout
    out = desk.folder / "out"
    assert {p.name for p in out.iterdir()} == {
        "result.csv",
        "row_status.csv",
        "receipt.jws",
        "evidence.json",
        "header.bin",
    }
    table = pyarrow.csv.read_csv(
        out / "result.csv",
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(("record_id", "DOB"), pa.string())),
    )
    assert table["record_id"].to_pylist() == ["007", "008", "009"]
    assert table["DOB"].to_pylist() == ["1915", "", ""]
    assert table["last"][0] == table["last"][2] != table["last"][1]
    status = pyarrow.csv.read_csv(out / "row_status.csv")
    assert status["status"].to_pylist() == [0, 0, 2]
    assert out.stat().st_mode & 0o777 == 0o700

    verified = desk.cji(
        "receipt", "verify", out / "receipt.jws", "--evidence", out / "evidence.json",
        "--expect-header", out / "header.bin", "--profile", desk.folder / "client.toml",
    )  # fmt: skip
    assert verified.exit_code == 0, verified.output
    assert "verified" in verified.stdout
    assert "SIMULATED" in verified.stdout
    assert "accepted by the operator: " in verified.stdout
    undecided = desk.cji("receipt", "verify", out / "receipt.jws", "--evidence", out / "evidence.json")
    assert (undecided.exit_code, "attestation E52" in undecided.output) == (3, True)
    evidence = ("--evidence", out / "evidence.json", "--profile", desk.folder / "client.toml")
    as_json = json.loads(desk.cji("receipt", "verify", out / "receipt.jws", *evidence, "--json").stdout)
    assert as_json["claims"]["volumes"]["rows_in"] == 3
    missing = {"E11", "E19", "E49", "E54", "E56", "E57", "E58", "E60", "T16", "T18", "counts", "job", "sequence"}
    assert set(as_json["not_checked"]) == missing
    assert verified.stdout.startswith(f"verified, except {len(missing) - 1} points:")  # here the header is given
    listed = verified.stdout.partition("not checked:")[2].strip().splitlines()
    assert {line.split()[0] for line in listed} == missing - {"job"}


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv"])
def test_files_beside_each_other(desk: Desk, suffix: str) -> None:
    table = pyarrow.csv.read_csv(
        desk.folder / "people.csv",
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(("record_id", "DOB"), pa.string())),
    )
    pyarrow.parquet.write_table(table, desk.folder / "people.parquet")
    result = desk.run(f"tokens{suffix}", "people.parquet", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    beside = {name for name in desk.files() if name.startswith("tokens")}
    assert beside == {
        f"tokens{suffix}",
        f"tokens.row_status{suffix}",
        "tokens.receipt.jws",
        "tokens.evidence.json",
        "tokens.header.bin",
    }
    path = desk.folder / f"tokens{suffix}"
    if suffix == ".parquet":
        assert pyarrow.parquet.read_table(path).num_rows == 3
    if suffix == ".arrow":
        assert pa.ipc.open_file(path).read_all().num_rows == 3
        assert pa.ipc.open_file(desk.folder / "tokens.row_status.arrow").read_all()["codes"].type == pa.list_(
            pa.uint16()
        )


def test_nothing_is_left_when_anything_fails(desk: Desk) -> None:
    before = desk.files()
    desk.worker.refusals = [(Reason.POLICY_DENIED, 0.0)]
    refused = desk.run("out")
    assert refused.exit_code == 1
    assert "POLICY_DENIED at admit (correlation id c-1)" in refused.stderr
    assert "policy" in refused.stderr
    desk.worker.twist = lambda messages: messages[:-1]
    cut = desk.run("out")
    assert cut.exit_code == 3
    assert desk.files() == before


def test_later_or_never_is_told_by_the_exit_status(desk: Desk) -> None:
    desk.worker.vanish = True
    assert desk.run("out").exit_code == 4
    profile = desk.folder / "client.toml"
    profile.write_text(profile.read_text().replace("127.0.0.1:", "127.0.0.1:1 #"))
    profile.write_text("\n".join(['target = "127.0.0.1:1"', *profile.read_text().splitlines()[1:]]))
    assert desk.run("out").exit_code == 4


def test_existing_outputs_are_not_touched(desk: Desk) -> None:
    (desk.folder / "out").mkdir()
    (desk.folder / "out" / "mine").write_text("x")
    (desk.folder / "tokens.receipt.jws").write_text("x")
    for out in ("out", "tokens.csv", "people.csv", "missing/out"):
        result = desk.run(out)
        assert result.exit_code == 2, out
    assert not desk.worker.seen


def test_unusable_input_is_told_before_anything_is_sent(desk: Desk) -> None:
    f = desk.folder
    spec, profile, people = (f / n for n in ("job.toml", "client.toml", "people.csv"))
    texts = {path: path.read_text() for path in (spec, profile, people)}
    for path, old, new, says in [
        (spec, "audience", "audiance", "audiance"),
        (spec, 'purpose_code = "C"\n', "", "purpose_code"),
        (spec, 'DOB = { do = "date_to", unit = "year" }\n', "", "no rule for DOB"),
        (spec, 'record_id = "keep"', 'record_id = "keep"\nSOC = "drop"', "no column for the rule of SOC"),
        (spec, 'unit = "year"', 'unit = "week"', "unit"),
        (spec, "project_key", "#project_key", "project key"),
        (spec, 'project = "study-17"', 'project = "study-18"', "another project"),
        (spec, "recipient.key.jwk", "absent.jwk", "absent.jwk"),
        (spec, "recipient.key.jwk", "signing.key", "public JWK"),
        (spec, "surname =", "sirname =", "sirname"),
        (spec, "person/1", "person/9", "person/9"),
        (profile, 'cloud = "simulation"', 'cloud = "azure-us"', "is unknown"),
        (profile, "signing.key", "recipient.key", "P-384"),
        (profile, 'recipient_key = "recipient.key"', "", "recipient_key"),
        (profile, 'ca = "ca.pem"', 'ca = "absent.pem"', "absent.pem"),
        (people, "DOB", "BIRTH", "BIRTH"),
        (people, CSV, "", "people.csv is empty"),
        (people, "DOB", "record_id", "distinct"),
        (spec, 'schema = "person/1"', 'schema = "person/1"\ndelimiter = ";"', "surname"),
        (spec, 'schema = "person/1"', 'schema = "person/1"\ndelimiter = ";;"', "delimiter"),
        (spec, 'schema = "person/1"', 'schema = "person/1"\nencoding = "utf-7"', "utf-7"),
        (spec, 'schema = "person/1"', 'schema = "person/1"\nencoding = "utf-16"', "mark of utf-16"),
        (spec, 'schema = "person/1"', 'schema = "person/1"\nsheet = "A"', "sheet could apply"),
        (spec, 'schema = "person/1"', 'schema = "person/1"\ndrop = ["DOB", "gone"]', "no column gone"),
        (spec, 'schema = "person/1"', 'schema = "person/1"\ndate_format = "MM/DD/YY"', "date format"),
        (spec, 'schema = "person/1"', 'schema = "person/1"\ndate_format = { SEX = "MM/DD/YYYY" }', "SEX is not"),
        (people, "19151111", "11-13", "column DOB: 2 of 2 values cannot be read as dates; line 2: found 99-99"),
        (people, "19151111", "03/04/1980\n1,,,03/05/1980", "DD/MM/YYYY or MM/DD/YYYY"),
        (people, "michaela,19151111", "michaela", "line 2 has 3 fields, wanted 4"),
        (people, "record_id", "PAR1", "is a Parquet file, not a text file"),
        (spec, "[[operations]]", '[[operations]]\nkind = "link"\n[[operations]]', "no rule for cluster"),
        (spec, "[input]", '[sides.oris]\nschema = "nibrs_ori/1"\nfile = "absent.csv"\n[input]', "absent.csv"),
        (spec, "[input]", '[sides.oris]\nschema = "nibrs_ori/1"\nfile = "people.csv"\n[input]', "nibrs_ori/1"),
    ]:
        path.write_text(texts[path].replace(old, new))
        result = desk.run("out")
        assert (result.exit_code, says in result.stderr) == (2, True), (new, result.output)
        path.write_text(texts[path])
    nowhere = desk.run("/proc/out")
    assert (nowhere.exit_code, "/proc cannot be written" in nowhere.stderr) == (2, True), nowhere.output
    assert not desk.worker.seen
    assert "out" not in desk.files()


def test_the_page_on_pipelines_runs_as_printed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/how-to/in-a-pipeline.md").read_text()
    (command,) = re.findall(r"^cji job run .*$", page, re.MULTILINE)
    (table,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    profile = desk.folder / "client.toml"
    profile.write_text(f"{profile.read_text()}\n{table}")
    monkeypatch.chdir(desk.folder)
    result = desk.cji(*shlex.split(command)[1:])
    assert (result.exit_code, json.loads(result.stdout)["rows_in"]) == (0, 3), result.output
    assert load_profile(profile).retry == RetryPolicy(seconds=600, longest_pause=30)


def test_no_rows_are_a_loud_warning_and_strict_refuses(desk: Desk) -> None:
    people = desk.folder / "people.csv"
    whole = people.read_text()
    people.write_text(whole.splitlines()[0] + "\n")
    result = desk.run("out", "people.csv", "--strict")
    assert (result.exit_code, "records: the input has 0 rows: --strict refuses it" in result.stderr) == (2, True)
    assert not desk.worker.seen
    assert "step: reading\n" in result.stderr
    people.write_text("".join(line + "\n" for line in whole.splitlines() if not line.startswith("008")))
    words = "DOB: 1 of 2 values cannot be read or used"
    result = desk.run("open", "people.csv")
    assert (result.exit_code, f"WARNING: {words}\n" in result.stderr) == (0, True), result.output
    steps = [line.removeprefix("step: ") for line in result.stderr.splitlines() if line.startswith("step: ")]
    assert [step for step in steps if step != "rows"] == ["reading", "checking", "sending", "opening"]
    result = desk.run("closed", "people.csv", "--strict")
    assert (result.exit_code, words in result.stderr, "still sealed" in result.stderr) == (5, True, True), result.output
    assert "closed" not in desk.files()


def test_rows_are_summed_up_after_every_job(desk: Desk) -> None:
    result = desk.run("out")
    assert "input: people.csv: utf-8, 4 columns, delimiter a comma\n" in result.stderr
    assert "input: DOB: 1 of 2 values cannot be read as dates and are sent as they are\n" in result.stderr
    assert "deidentify: tokens, whose frequency may rank their values: last" in result.stderr
    status = [line for line in result.stdout.splitlines() if line.startswith(("status", "  "))]
    assert status == [
        "status   2 ok, 0 warned, 1 partly used, 0 not usable",
        f"    101 DOB                      1 rows, first line 4: {CODES[101].meaning}",
    ]
    assert desk.run("silent", "people.csv", "--quiet").output == ""


def test_a_workbook_and_a_fixed_width_file_give_the_same_result(desk: Desk) -> None:
    names = ["record_id", "surname", "given_name", "DOB", "officer"]
    person = ["007", "neumann", "michaela", datetime.date(1915, 11, 11), "x"]
    workbook(desk.folder / "people.xlsx", {"People": [names, person]})
    (desk.folder / "people.txt").write_bytes("007Müller  michaela11/13/1915".encode("cp1252"))
    spec = desk.folder / "job.toml"
    text = spec.read_text()
    spec.write_text(text.replace("[input]", '[input]\ndrop = ["officer"]'))
    assert desk.run("book.csv", "people.xlsx").exit_code == 0
    places = "record_id = [1, 3], surname = [4, 11], given_name = [12, 19], DOB = [20, 29]"
    spec.write_text(text.replace("[input]", f'[input]\nencoding = "windows-1252"\nfixed_width = {{ {places} }}'))
    fixed = desk.run("fixed.csv", "people.txt")
    assert fixed.exit_code == 0, fixed.output
    assert "input: DOB: dates in MM/DD/YYYY" in fixed.stderr
    for name in ("book.csv", "fixed.csv"):
        (row,) = pyarrow.csv.read_csv(desk.folder / name).to_pylist()
        assert (row["record_id"], row["first"], str(row["DOB"])) == (7, "m*******", "1915")


def test_opened_files_hold_no_formulas(desk: Desk) -> None:
    (desk.folder / "evil.csv").write_text(CSV.replace("007,", "=1+1,"))
    safe = desk.run("safe.csv", "evil.csv", "--safe-csv")
    assert safe.exit_code == 0, safe.output
    assert pyarrow.csv.read_csv(desk.folder / "safe.csv")["record_id"].to_pylist() == ["'=1+1", "008", "009"]
    assert desk.run("book.xlsx", "evil.csv").exit_code == 0
    sheet = openpyxl.load_workbook(desk.folder / "book.xlsx").worksheets[0]
    assert [(cell.value, cell.data_type) for cell in sheet["A"]][1:] == [("=1+1", "s"), ("008", "s"), ("009", "s")]
    assert "book.row_status.xlsx" in desk.files()
    desk.worker.seen.clear()
    for out in ("b.xlsx", "b.parquet"):
        refused = desk.run(out, "evil.csv", "--safe-csv")
        assert (refused.exit_code, "none is written" in refused.stderr) == (2, True), refused.output
    assert not desk.worker.seen


def test_a_key_that_is_not_pinned_stops_before_sealing(desk: Desk) -> None:
    spec = desk.folder / "job.toml"
    spec.write_text(spec.read_text().replace(key_id(desk.worker.cmk.public_key()), "A" * 43))
    result = desk.run("out")
    assert result.exit_code == 3
    assert "kek" in result.stderr
    assert not desk.worker.seen


def test_s08_simulated_evidence_is_refused_by_production_roots(desk: Desk) -> None:
    profile = desk.folder / "client.toml"
    text = profile.read_text().replace('"simulation"', '"azure-us"')
    profile.write_text(text.replace(desk.simulation.maa_url, "https://sharedeus.eus.attest.azure.net"))
    f = desk.folder
    result = desk.cji(
        "job", "run", f / "people.csv", "--spec", f / "job.toml", "--profile", profile, "--out", f / "out",
        trusts=(AZURE_US,),
    )  # fmt: skip
    assert result.exit_code == 3
    assert "E04" in result.stderr
    assert not desk.worker.seen


def test_every_flipped_byte_of_receipt_and_header_is_named(desk: Desk) -> None:
    assert desk.run("out").exit_code == 0
    out = desk.folder / "out"
    receipt = (out / "receipt.jws").read_text().strip()
    header, payload, signature = receipt.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    def verify(text: str) -> Result:
        (desk.folder / "changed.jws").write_text(text)
        return desk.cji(
            "receipt", "verify", desk.folder / "changed.jws", "--evidence", out / "evidence.json",
            "--expect-header", out / "header.bin", "--profile", desk.folder / "client.toml",
        )  # fmt: skip

    assert verify(receipt).exit_code == 0
    for name in ("job_id", "header_sha384", "requesting_ori", "purpose_code", "operations", "kek_id", "simulated"):
        other = {**claims, name: _other(claims[name])}
        encoded = base64.urlsafe_b64encode(json.dumps(other, separators=(",", ":")).encode()).rstrip(b"=").decode()
        result = verify(f"{header}.{encoded}.{signature}")
        assert result.exit_code == 3, name
        assert name in result.stderr, (name, result.stderr)
    for at in range(0, len(receipt), 97):
        changed = receipt[:at] + ("A" if receipt[at] != "A" else "B") + receipt[at + 1 :]
        assert verify(changed).exit_code == 3
    for text in ("", "\x00", "a.b.c", receipt[:-1], receipt + "A"):
        assert verify(text).exit_code == 3
    stranger = sign(desk.worker.claims_of(receipt), ec.generate_private_key(ec.SECP384R1()))
    assert "kid" in verify(stranger).stderr

    raw = bytearray((out / "header.bin").read_bytes())
    raw[20] ^= 1
    (out / "header.bin").write_bytes(raw)
    assert verify(receipt).exit_code in {2, 3}


def test_evidence_of_another_machine_or_key_is_refused(desk: Desk) -> None:
    assert desk.run("out").exit_code == 0
    out = desk.folder / "out"
    good = json.loads((out / "evidence.json").read_text())

    def verify(**changes: object) -> Result:
        (desk.folder / "changed.json").write_text(json.dumps({**good, **changes}))
        changed, profile = desk.folder / "changed.json", desk.folder / "client.toml"
        return desk.cji("receipt", "verify", out / "receipt.jws", "--evidence", changed, "--profile", profile)

    assert verify().exit_code == 0
    other = public_jwk(ec.generate_private_key(ec.SECP384R1()).public_key())
    assert "E16" in verify(receipt_jwk=other).stderr
    assert "E16" in verify(nonce=base64.b64encode(bytes(32)).decode()).stderr
    assert verify(receipt_jwk=public_jwk(desk.worker.cmk.public_key())).exit_code == 3
    assert "T01" in verify(maa_token="x.y.z").stderr
    assert "T03" in verify(jwks="").stderr
    assert verify(cloud="azure-us").exit_code == 2
    assert {verify(version=other).exit_code for other in (1, 2, 3, 4)} == {2}
    assert verify(extra=1).exit_code == 2
    assert verify(attested_at="2026-01-01T00:00:00").exit_code == 2
    for claimed in ("2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"):  # nobody believes it
        assert verify(attested_at=claimed).exit_code == 0
    desk.worker.attest(desk.simulation)
    assert desk.run("again").exit_code == 0
    good = json.loads((desk.folder / "again" / "evidence.json").read_text())
    assert "maa token" in verify().output  # another one of the same key: not checked


def test_several_receipts_and_their_gaps(desk: Desk) -> None:
    jobs = []
    for i in range(2):
        assert desk.run(f"out{i}").exit_code == 0
        jobs.append(desk.folder / f"out{i}")
    both = [job / "receipt.jws" for job in jobs]
    headers = [argument for job in jobs for argument in ("--expect-header", job / "header.bin")]
    evidence = ("--evidence", jobs[0] / "evidence.json", "--profile", desk.folder / "client.toml")
    assert desk.cji("receipt", "verify", *both, *evidence, *headers).exit_code == 0
    missing = desk.cji("receipt", "verify", both[0], *evidence, *headers)
    assert missing.exit_code == 3
    assert "job_id" in missing.stderr
    repeated = desk.cji("receipt", "verify", *both, *evidence, "--sequence")  # this worker numbers every receipt 1
    assert repeated.exit_code == 3
    assert "repeated" in repeated.stderr


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [_other(value[0])]
    text = str(value)
    return text[:-1] + ("1" if text[-1] != "1" else "2")
