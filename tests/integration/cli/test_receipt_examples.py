"""examples/receipt: a receipt of a real job, verified by two programs that have nothing of the worker's own code."""

import ast
import json
import runpy
import shutil
import subprocess
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cji_core.suites import Suite
from cji_core.wire.v1 import worker_pb2 as pb
from cji_simulator.raw import RawWorker, forge
from cji_simulator.site import Site, people
from tests.support.paths import ROOT

EXAMPLE = ROOT / "examples" / "receipt"
RESULTS = ROOT / "docs/vectors/kit/results.json"
NODE = shutil.which("node")
PROGRAMS = {
    "python": [sys.executable, "-I", str(EXAMPLE / "verify.py")],
    "node": [str(NODE), str(EXAMPLE / "verify.mjs")],
}
FILES = ("header_sha384", "result_header_sha384", "inputs.records", "outputs.result", "outputs.row_status")


def made(site: Site, folder: Path, suite: Suite) -> Path:
    """One job, with everything that its submitter keeps of it."""
    job = forge(site, suite=suite)
    segments = job.stream(people(3))
    with RawWorker.of(site) as raw, site.client() as client:
        answer = raw.run(job.messages(segments))
        attested = client.attest()
    assert answer.receipt
    names = [each["name"] for each in claims_of(answer.receipt)["outputs"]]
    outputs: dict[str, bytes] = dict.fromkeys(names, b"")
    for message in answer.messages:
        if message.WhichOneof("message") == "segment":
            outputs[names[message.segment.part]] += message.segment.data
        if message.WhichOneof("message") == "done":
            (folder / "result_header_sha384").write_bytes(message.done.result_header)
    (folder / "receipt.jws").write_text(answer.receipt + "\n")
    (folder / "key.jwk").write_text(json.loads(attested.to_file())["receipt_jwk"])
    (folder / "header_sha384").write_bytes(job.header)
    (folder / "inputs.records").write_bytes(b"".join(segments))
    for name, data in outputs.items():
        (folder / f"outputs.{name}").write_bytes(data)
    header = pb.JobHeader.FromString(job.header)
    expected = {"simulated": True, "job_id": header.job_id.hex(), "submitter": site.files.agency.name}
    (folder / "expected.json").write_text(json.dumps(expected))
    return folder


@pytest.fixture(scope="module")
def kept(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(site, tmp_path_factory.mktemp("kept"), Suite.CLASSICAL_1)


def run(program: str, arguments: list[str]) -> tuple[int, str]:
    """As its reader runs it."""
    done = subprocess.run([*PROGRAMS[program], *arguments], capture_output=True, text=True, check=False, cwd="/")
    assert done.stderr == ""
    return done.returncode, done.stdout.strip()


def call(program: str, arguments: list[str]) -> tuple[int, str]:
    """The same for Python without a process: most of its time is the start."""
    if program != "python":
        return run(program, arguments)
    outcome: str = runpy.run_path(str(EXAMPLE / "verify.py"))["main"](*arguments)
    return int(outcome.startswith("refused")), outcome


def named(folder: Path, files: tuple[str, ...] = FILES, *more: str) -> list[str]:
    first = [str(folder / name) for name in ("receipt.jws", "key.jwk", "expected.json")]
    return [*first, *(f"{name}={folder / name}" for name in files), *more]


def claims_of(receipt: str) -> dict[str, Any]:
    part = receipt.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_receipt_verifies_without_our_code(program: str, kept: Path) -> None:
    claims = claims_of((kept / "receipt.jws").read_text())
    assert run(program, named(kept)) == (0, f"verified: job {claims['job_id']}, worker {claims['worker']}")


def _claim(name: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        receipt = (folder / "receipt.jws").read_text().strip()
        head, _, signature = receipt.split(".")
        text = json.dumps({**claims_of(receipt), name: value}, separators=(",", ":")).encode()
        (folder / "receipt.jws").write_text(f"{head}.{urlsafe_b64encode(text).rstrip(b'=').decode()}.{signature}")

    return change


def _expect(**claims: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        expected = json.loads((folder / "expected.json").read_bytes())
        (folder / "expected.json").write_text(json.dumps({**expected, **claims}))

    return change


def _flip(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[-1] ^= 1
        (folder / name).write_bytes(data)

    return change


def _unsigned(folder: Path) -> None:
    _, payload, _ = (folder / "receipt.jws").read_text().split(".")
    (folder / "receipt.jws").write_text(f"eyJhbGciOiJub25lIn0.{payload}.")


def _other_key(folder: Path) -> None:
    jwk = json.loads((folder / "key.jwk").read_text())
    (folder / "key.jwk").write_text(json.dumps({**jwk, "pub": jwk["pub"][8:16] + jwk["pub"][8:]}))


def _signature(folder: Path) -> None:
    text = (folder / "receipt.jws").read_text().strip()
    at = text.rindex(".") + 5
    (folder / "receipt.jws").write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])


def _text(change: Callable[[str], str]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        path = folder / "receipt.jws"
        path.write_text(change(path.read_text().strip()))

    return changed


CHANGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a claim": ("signature", _claim("simulated", False)),
    "a bit of the signature": ("signature", _signature),
    "padding of the signature": ("signature", _text(lambda text: f"{text}=")),
    "a character of no alphabet": ("signature", _text(lambda text: f"{text[:-9]}!{text[-9:]}")),
    "a byte order mark": ("header", _text(lambda text: f"\ufeff{text}")),
    "not signed": ("header", _unsigned),
    "another key": ("header", _other_key),
    "another submitter": ("submitter", _expect(submitter="metro-so")),
    "a production reader": ("simulated", _expect(simulated=False)),
    "another header": ("header_sha384", _flip("header_sha384")),
    "another result header": ("result_header_sha384", _flip("result_header_sha384")),
    "another input": ("inputs.records", _flip("inputs.records")),
    "another output": ("outputs.row_status", _flip("outputs.row_status")),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_receipt_is_refused_by_name(program: str, name: str, kept: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(kept, tmp_path / "changed")
    expected, change = CHANGES[name]
    change(folder)
    assert call(program, named(folder)) == (1, f"refused: {expected}")
    if name == "a claim":
        assert run(program, named(folder)) == (1, f"refused: {expected}")


def of_kit(case: str, folder: Path) -> dict[str, Any]:
    """A result of the conformance kit as its submitter keeps it, and its claims."""
    (data,) = (each["data"] for each in json.loads(RESULTS.read_text())["cases"] if each["id"] == case)
    (folder / "receipt.jws").write_text(data["receipt"])
    (folder / "key.jwk").write_text(data["receipt_jwk"])
    (folder / "header_sha384").write_bytes(bytes.fromhex(data["header"]))
    (folder / "result_header_sha384").write_bytes(bytes.fromhex(data["result_header"]))
    (folder / "expected.json").write_text("{}")
    return claims_of(data["receipt"])


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("case", "claim"),
    [
        ("classical-1", ""),
        ("privacy of a job without", "privacy"),
        ("column_keys of a job without", "column_keys"),
        ("sealed columns", "column_keys"),
    ],
)
def test_a_claim_that_nobody_expects_is_refused(program: str, case: str, claim: str, tmp_path: Path) -> None:
    """Red before: a receipt with `privacy` or `column_keys` was verified for a submitter who asked for neither."""
    claims = of_kit(case, tmp_path)
    given = named(tmp_path, FILES[:2], *(f"{name}=-" for name in FILES[2:]))
    if claim:
        assert call(program, given) == (1, f"refused: {claim}")
    (tmp_path / "expected.json").write_text(json.dumps({claim: claims[claim]} if claim else {}))
    assert call(program, given) == (0, f"verified: job {claims['job_id']}, worker {claims['worker']}")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_part_without_its_file_is_not_verified(program: str, kept: Path) -> None:
    assert call(program, named(kept, FILES[:3])) == (1, "refused: outputs.result, outputs.row_status")
    assert call(program, named(kept, FILES[:3], "outputs.result=-", "outputs.row_status=-"))[0] == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_hybrid_receipt_needs_both_halves(program: str, site: Site, tmp_path: Path) -> None:
    assert call(program, named(made(site, tmp_path, Suite.HYBRID_1))) == (1, "refused: header")


def test_the_example_imports_nothing_of_ours() -> None:
    nodes = list(ast.walk(ast.parse((EXAMPLE / "verify.py").read_text())))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    found |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in found} == {"hashlib", "json", "sys", "pathlib", "typing", "joserfc"}
    lines = (EXAMPLE / "verify.mjs").read_text().splitlines()
    modules = [line.split('"')[1] for line in lines if line.startswith("import")]
    assert modules == ["node:crypto", "node:fs", "node:util"]
