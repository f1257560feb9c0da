"""examples/node, java and go: programs made from docs/format.md alone, whose jobs a real worker runs."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from cji_core.command import build
from cji_core.suites import Suite
from cji_core.trail.receipts import claims_unverified
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site
from tests.adversarial.peers.hostile import hostile_site
from tests.support.paths import ROOT
from tests.support.writers import settings

GO = ROOT / "examples/go"
JAVA = ROOT / "examples/java/Job.java"
NODE = ROOT / "examples/node/job.mjs"
PERSONS = ROOT / "examples/persons/people.csv"
SUBMISSION = ROOT / "examples/validate/submission.txt"
WRONG_KEY = ("kek_thumbprint", "A" * 43)


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command, compiled once."""
    assert shutil.which("javac"), "the tests need the package default-jdk-headless; run tools/setup"
    classes = tmp_path_factory.mktemp("classes")
    subprocess.run(["javac", "-Xlint:all", "-Werror", "-d", classes, JAVA], check=True)
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", str(classes), "Job"]


@pytest.fixture(scope="module")
def node() -> list[str]:
    subprocess.run([ROOT / "tools/node-example"], check=True)
    return ["node", str(NODE)]


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    assert shutil.which("go"), "the tests need the package golang-go; run tools/setup"
    folder = tmp_path_factory.mktemp("go")
    subprocess.run([ROOT / "tools/go-example", folder], check=True)
    return [str(folder / "job"), "run"]


@pytest.fixture(scope="module")
def lying(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A worker whose cells state what a job names in its reason."""
    with hostile_site(tmp_path_factory.mktemp("lying"), azure, zygote="false_witness") as site:
        yield site


def run(command: list[str], *arguments: Path) -> tuple[int, str, str]:
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def changed(site: Site, name: str, value: str) -> Path:
    """The settings with another value."""
    path = settings(site)
    wrong = path.with_name("wrong.properties")
    wrong.write_text(re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", path.read_text()))
    return wrong


def test_a_job_of_node(site: Site, node: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, said, errors = run(node, settings(site), PERSONS, out)
    assert (status, errors) == (0, "")
    assert "row 2: NAM 310" in said
    found = pa.ipc.open_stream((out / "result.arrows").read_bytes()).read_all()
    assert found.num_rows == 9
    cji = build(site.simulation.trust)
    verify = ["evidence", "verify", f"{out}/evidence.json", "--profile", str(site.files.profile)]
    assert CliRunner().invoke(cji, verify).output.startswith("accepted: snp Genoa")
    receipt = ["receipt", "verify", f"{out}/receipt.jws", "--evidence", f"{out}/evidence.json"]
    receipt += ["--expect-header", f"{out}/header.bin", "--profile", str(site.files.profile)]
    assert CliRunner().invoke(cji, receipt).output.startswith("verified")


@pytest.mark.parametrize("suite", Suite)
def test_a_job_of_go(suite: Suite, site: Site, go: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, said, errors = run(go, settings(site, suite), PERSONS, out)
    assert (status, errors) == (0, "")
    assert "row 2: NAM 310" in said
    cji = build(site.simulation.trust)
    receipt = ["receipt", "verify", f"{out}/receipt.jws", "--evidence", f"{out}/evidence.json"]
    receipt += ["--expect-header", f"{out}/header.bin", "--profile", str(site.files.profile)]
    verified = CliRunner().invoke(cji, receipt).output
    assert verified.startswith("verified")
    assert claims_unverified((out / "receipt.jws").read_text()).suite is suite


def test_a_job_of_java(site: Site, java: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, said, errors = run(java, settings(site), SUBMISSION, out)
    assert (status, errors) == (0, "")
    assert said.startswith("17 records")
    found = pa.ipc.open_stream((out / "result.arrows").read_bytes()).read_all()
    assert found["rule"].to_pylist() == [404, 152]


@pytest.mark.parametrize("lie", ["a result less", "a result more"])
@pytest.mark.parametrize("language", ["java", "node"])
def test_the_programs_count_what_a_cell_states(
    language: str, lie: str, lying: Site, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Red before: both wrote the result of a receipt with a row less, or more."""
    records = {"java": SUBMISSION, "node": PERSONS}[language]
    command = request.getfixturevalue(language)
    status, _, errors = run(command, changed(lying, "reason", lie), records, tmp_path / "out")
    assert (status, "volumes: the receipt states another rows_out" in errors) == (1, True), errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("language", ["java", "node"])
def test_another_key_gets_no_records(language: str, site: Site, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    records = {"java": SUBMISSION, "node": PERSONS}[language]
    status, _, errors = run(request.getfixturevalue(language), changed(site, *WRONG_KEY), records, tmp_path / "out")
    assert (status, "another key" in errors) == (1, True)
    assert not (tmp_path / "out").exists()


def test_node_shows_the_reason_of_a_refusal(site: Site, node: list[str], tmp_path: Path) -> None:
    status, _, errors = run(node, changed(site, "purpose_code", "Z"), PERSONS, tmp_path / "out")
    assert (status, errors.startswith("refused: POLICY_DENIED")) == (1, True)


def test_the_programs_have_nothing_of_ours() -> None:
    modules = {line.split('"')[1] for line in NODE.read_text().splitlines() if line.startswith("import")}
    declared = json.loads((NODE.parent / "package.json").read_text())["dependencies"]
    assert {name for name in modules if not name.startswith(("node:", "./"))} == declared.keys()
    assert {
        line.split()[1].partition(".")[0] for line in JAVA.read_text().splitlines() if line.startswith("import")
    } == {
        "java",
        "javax",
    }


@pytest.mark.parametrize("invalid", ["invalid", "acceptable"])
def test_what_node_opens_agrees_with_the_kit(node: list[str], tmp_path: Path, invalid: str) -> None:
    """What is acceptable may open or not: here cases that open, and cases that do not."""
    shutil.copytree(ROOT / "docs/vectors/kit", tmp_path / "kit")
    for group in ("streams", "result-keys"):
        file = tmp_path / "kit" / f"{group}.json"
        found = json.loads(file.read_text())
        for number, case in enumerate(found["cases"]):
            if case["result"] == "invalid" or (invalid == "acceptable" and number % 2):
                case["result"] = invalid
        file.write_text(json.dumps(found))
    places = [] if invalid == "invalid" else [tmp_path / "kit"]
    status, said, errors = run(["node"], NODE.with_name("kit.mjs"), *places)
    assert (status, said, errors) == (0, "streams: 25 cases\nresult-keys: 7 cases\n", "")
