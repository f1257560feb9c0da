"""examples/node, java and go: programs made from docs/format.md alone, whose jobs a real worker runs."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from click.testing import CliRunner

from cji_core.command import build
from cji_core.suites import Suite
from cji_core.trail.receipts import claims_unverified
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.launch import Agency
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site
from tests.adversarial.peers import false_keyholder
from tests.adversarial.peers.hostile import hostile_site
from tests.support.paths import ROOT
from tests.support.writers import settings
from tools import programs

GO = ROOT / "examples/go"
JAVA = ROOT / "examples/java"
NODE = ROOT / "examples/node/job.mjs"
PERSONS = ROOT / "examples/persons/people.csv"
SUBMISSION = ROOT / "examples/validate/submission.txt"
RECORDS = {"go": PERSONS, "java": SUBMISSION, "node": PERSONS}
MOST = [f"p{n}" for n in range(16)]
WRONG_KEY = ("kek_thumbprint", "A" * 43)


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The commands that run the kit; of compiled programs, those that run a job are beside them."""
    for command, package in {"javac": "default-jdk-headless", "go": "golang-go"}.items():
        assert shutil.which(command), f"the tests need the package {package}; run tools/setup"
    return programs.kits(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="module")
def java(kits: dict[str, list[str]]) -> list[str]:
    return [*kits["Java"][:-1], "cji.Job"]


@pytest.fixture(scope="module")
def go(kits: dict[str, list[str]]) -> list[str]:
    return [*kits["Go"][:-1], "run"]


@pytest.fixture(scope="module")
def node() -> list[str]:
    subprocess.run([ROOT / "tools/node-example"], check=True)
    return ["node", str(NODE)]


@pytest.fixture(scope="module")
def lying(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A worker whose cells state what a job names in its reason."""
    with hostile_site(tmp_path_factory.mktemp("lying"), azure, zygote="false_witness") as site:
        yield site


@pytest.fixture(scope="module")
def forging(azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A worker whose receipts lie about what the ORI of a job names."""
    agency = Agency(oris=(*Agency().oris, *false_keyholder.LIES.values()))
    folder = tmp_path_factory.mktemp("forging")
    with hostile_site(folder, azure, agency=agency, keyholder="false_keyholder") as site:
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
@pytest.mark.parametrize("language", RECORDS)
def test_the_programs_count_what_a_cell_states(
    language: str, lie: str, lying: Site, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Red before: both wrote the result of a receipt with a row less, or more."""
    command = request.getfixturevalue(language)
    status, _, errors = run(command, changed(lying, "reason", lie), RECORDS[language], tmp_path / "out")
    assert (status, "volumes: the receipt states another rows_out" in errors) == (1, True), errors
    assert not (tmp_path / "out").exists()


SHORT, LONG = pb.RunResponse(segment=pb.Segment()), pb.RunResponse(segment=pb.Segment(data=bytes(5 << 20)))
MANY = pb.RunResponse(segment=pb.Segment(data=bytes(3 << 20)))


@pytest.mark.parametrize(
    ("language", "answer", "count", "reason"),
    [
        ("go", SHORT, 1, "a segment that is too short"),
        ("java", LONG, 1, "the worker's answer is too long"),
        ("java", MANY, 45, "the worker's answer is too long"),
    ],
)
def test_an_answer_has_bounds(
    language: str,
    answer: pb.RunResponse,
    count: int,
    reason: str,
    site: Site,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """Red before: Java took the lengths that it was told, and Go any number of empty segments, before any proof."""
    command = request.getfixturevalue(language)
    with door(site, [answer.SerializeToString()] * count) as port:
        path = changed(site, "target", f"localhost:{port}")
        status, _, errors = run(command, path, RECORDS[language], tmp_path / "out")
    assert (status, reason in errors) == (1, True), errors


@contextmanager
def door(site: Site, answers: list[bytes]) -> Iterator[int]:
    """A door with the site's certificate; all calls are the worker's own, but Run has these answers."""
    folder, tls = site.files.folder, site.profile.tls()
    to = grpc.ssl_channel_credentials(tls.ca_pem, tls.key_pem, tls.cert_pem)
    with grpc.secure_channel(site.profile.target, to) as channel, ThreadPoolExecutor(4) as pool:

        class Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg]
            def service(self, details: Any) -> Any:
                if details.method.endswith("/Run"):
                    return grpc.stream_stream_rpc_method_handler(lambda _, __: iter(answers))
                call = channel.unary_unary(details.method, None, None)
                return grpc.unary_unary_rpc_method_handler(lambda asked, _: call(asked, timeout=30))

        server = grpc.server(pool, handlers=[Handler()], options=[("grpc.max_send_message_length", -1)])
        pair = ((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())
        port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([pair]))
        server.start()
        try:
            yield port
        finally:
            server.stop(0).wait()


@pytest.mark.parametrize("lie", false_keyholder.LIES)
@pytest.mark.parametrize("language", RECORDS)
def test_the_programs_compare_every_claim_of_theirs(
    language: str, lie: str, forging: Site, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Red before: none compared the numbers of bytes, nor the worker with that of the result header."""
    command = request.getfixturevalue(language)
    path = changed(forging, "originating_ori", false_keyholder.LIES[lie])
    status, _, errors = run(command, path, RECORDS[language], tmp_path / "out")
    assert (status, "the receipt states" in errors, lie in errors) == (1, True, True), errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("outputs", "taken"), [(MOST, True), ([*MOST, "q"], False), (["a", "a"], False), (["../a"], False)]
)
def test_node_takes_outputs_of_one_form(outputs: list[str], taken: bool, tmp_path: Path) -> None:
    """Java and Go read the kit's result headers."""
    named = json.dumps([{"name": name} for name in outputs])
    header = "{ job_header_sha384: sha384(Buffer.alloc(1)), outputs: " + named + " }"
    (tmp_path / "read.mjs").write_text(
        f"import {{ outputsOf, sha384 }} from {json.dumps(str(NODE.with_name('format.mjs')))};\n"
        f"outputsOf({header}, Buffer.alloc(1));\n"
    )
    status, _, errors = run(["node"], tmp_path / "read.mjs")
    assert (status == 0, "too many outputs" in errors) == (taken, not taken), errors


@pytest.mark.parametrize("language", RECORDS)
def test_another_key_gets_no_records(language: str, site: Site, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    command = request.getfixturevalue(language)
    status, _, errors = run(command, changed(site, *WRONG_KEY), RECORDS[language], tmp_path / "out")
    assert (status, "another key" in errors) == (1, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("language", ["go", "node"])
def test_programs_show_the_reason_of_a_refusal(
    language: str, site: Site, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    command = request.getfixturevalue(language)
    status, _, errors = run(command, changed(site, "purpose_code", "Z"), PERSONS, tmp_path / "out")
    assert (status, errors.startswith("refused: POLICY_DENIED")) == (1, True)


def test_go_takes_no_receipt_of_a_simulator_unasked(site: Site, go: list[str], tmp_path: Path) -> None:
    status, _, errors = run(go, changed(site, "simulated", "false"), PERSONS, tmp_path / "out")
    assert (status, "the receipt states" in errors, (tmp_path / "out").exists()) == (1, True, False)


def test_java_takes_no_receipt_of_a_simulator_unasked(site: Site, java: list[str], tmp_path: Path) -> None:
    status, _, errors = run(java, changed(site, "simulated", "false"), SUBMISSION, tmp_path / "out")
    assert (status, errors) == (1, "refused: the receipt states another simulated\n")


def imports(folder: Path, suffix: str, form: str) -> set[str]:
    """What the sources of a folder import."""
    sources = (path.read_text() for path in folder.glob(f"*{suffix}"))
    return {name for source in sources for name in re.findall(form, source, re.MULTILINE)}


def test_the_programs_have_nothing_of_ours() -> None:
    modules = imports(NODE.parent, ".mjs", r'^import .*"(.+)";$')
    declared = json.loads((NODE.parent / "package.json").read_text())["dependencies"]
    assert {name for name in modules if not name.startswith(("node:", "./"))} == declared.keys()
    assert imports(JAVA, ".java", r"^import (?:static )?(\w+)\.") == {"cji", "java", "javax"}
    named = imports(GO, ".go", r'^\t(?:\w+ )?"([\w.-]+\.\w+/[^"/]+)[^"]*"$')
    libraries = {"github.com/apache", "github.com/cloudflare", "google.golang.org/grpc", "google.golang.org/protobuf"}
    assert named == {"cji.worker/v1"} | libraries


def test_go_is_formatted() -> None:
    assert subprocess.run(["gofmt", "-l", GO], capture_output=True, check=True).stdout == b""


def test_the_table_is_what_the_programs_answer(kits: dict[str, list[str]]) -> None:
    """No program answers a case otherwise than the kit, each says of every group what it leaves out."""
    found = {}
    for program, command in kits.items():
        status, said = programs.run(command)
        assert status == 0, said
        found[program] = programs.answers(said)
        counts = {name: sum(each[:3]) for name, each in found[program].items()}
        assert counts == programs.groups()
        assert all(bool(each.others) == bool(each.lacks) for each in found[program].values())
    page = programs.PAGE.read_text()
    assert programs.written(page, found) == page, "run `python -m tools.programs`"


def test_the_page_runs_the_kit_as_printed() -> None:
    (block,) = re.findall(r"```sh\n(node examples/node/kit.+?)```", programs.PAGE.read_text(), re.DOTALL)
    done = subprocess.run(["bash", "-euc", block], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, len(re.findall("(?m) 0 failed, ", done.stdout))) == (0, 3 * len(programs.groups())), (
        done.stderr
    )


@pytest.mark.parametrize(("program", "suites"), [("Java", ["classical-1"]), ("Go", ["classical-1", "hybrid-1"])])
def test_whole_jobs_open(program: str, suites: list[str], kits: dict[str, list[str]], tmp_path: Path) -> None:
    """The jobs beside the kit, read as cases of its group `jobs`."""
    (tmp_path / "keys.json").write_text((programs.KIT / "keys.json").read_text())
    wholes = [json.loads((programs.KIT.parent / f"{suite}.json").read_text()) for suite in suites]
    cases = [
        {"id": each["suite"], "result": "valid", "data": each, "expected": {"dek": each["dek"]}} for each in wholes
    ]
    (tmp_path / "jobs.json").write_text(json.dumps({"group": "jobs", "cases": cases}))
    status, said = programs.run(kits[program], tmp_path)
    assert (status, said) == (0, f"jobs: {len(suites)} passed, 0 failed, 0 not supported\n")


def changed_kit(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The kit with this change of each case."""
    shutil.copytree(programs.KIT, folder)
    for group in programs.groups():
        file = folder / f"{group}.json"
        document = json.loads(file.read_text())
        for case in document["cases"]:
            change(case)
        file.write_text(json.dumps(document))
    return folder


def turned(case: dict[str, Any]) -> None:
    case["result"] = {"valid": "invalid", "invalid": "valid"}.get(case["result"], "acceptable")


def misled(case: dict[str, Any]) -> None:
    case["expected"] = dict.fromkeys(case.get("expected", {}), "another")


@pytest.mark.parametrize("program", ["Node", "Java", "Go"])
def test_each_wrong_result_is_found(program: str, kits: dict[str, list[str]], tmp_path: Path) -> None:
    """Every case that a program reads is wrong where the kit has the opposite result, but for what may do either."""
    status, said = programs.run(kits[program], changed_kit(tmp_path / "kit", turned))
    failed = {name: answer.failed for name, answer in programs.answers(said).items()}
    passed = {name: answer.passed for name, answer in programs.answers(said).items()}
    kept = {name: count for name, count in passed.items() if count}
    either = {"failures": 1, "receipts": 1, "signatures": 1}
    read = {name for name, answer in programs.answers(said).items() if answer.passed + answer.failed}
    assert (status, kept) == (1, {name: count for name, count in either.items() if name in read})
    assert {name for name, count in failed.items() if count} == read


@pytest.mark.parametrize("program", ["Node", "Java", "Go"])
def test_other_values_than_the_expected_are_found(program: str, kits: dict[str, list[str]], tmp_path: Path) -> None:
    status, said = programs.run(kits[program], changed_kit(tmp_path / "kit", misled))
    found = programs.answers(said)
    read = {name for name, answer in found.items() if answer.passed + answer.failed}
    valued = {path.stem for path in programs.KIT.glob("*.json") if '"expected"' in path.read_text()} - {"signatures"}
    assert status == 1
    assert {name for name, answer in found.items() if answer.failed} - {"signatures"} == read & valued
