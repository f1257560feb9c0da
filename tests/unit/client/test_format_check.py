"""`cji format check`: the rule that a file breaks is named, without keys; what is sound passes."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cji_core.command import build
from tests.support.paths import ROOT

KIT = ROOT / "docs/vectors/kit"


def cases(group: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((KIT / f"{group}.json").read_text())["cases"]
    return found


def check(*paths: Path) -> Result:
    return CliRunner().invoke(build(), ["format", "check", "--json", *map(str, paths)])


def faults(*paths: Path) -> list[str]:
    found = check(*paths)
    answer = json.loads(found.stdout)
    listed = [each["fault"] for each in answer["files"]]
    assert found.exit_code == (3 if any(listed) else 0), found.output
    return listed


def folder(path: Path, job: dict[str, Any], *, result: bool) -> Path:
    """As `cji job seal` writes a job, or `--save-sealed` a result."""
    (path / "parts").mkdir(parents=True)
    (path / "header.bin").write_bytes(bytes.fromhex(job["header"]))
    parts = job["outputs"] if result else job.get("inputs", [job["input"]])
    for number, sent in enumerate(parts):
        (path / "parts" / f"{number:05}").write_bytes(b"".join(map(bytes.fromhex, sent)))
    if result:
        (path / "result_header.bin").write_bytes(bytes.fromhex(job["result_header"]))
        (path / "receipt.jws").write_text(job["receipt"] + "\n")
    else:
        (path / "signature.bin").write_bytes(bytes.fromhex(job["signature"]))
    return path


def test_whole_jobs_and_results_have_no_fault(tmp_path: Path) -> None:
    for number, case in enumerate(cases("jobs")):
        for result in (False, True):
            path = folder(tmp_path / f"{number} {result}", case["data"], result=result)
            assert set(faults(path)) == {""}, case["id"]


def test_a_header_is_faulty_for_the_rule_that_it_breaks(tmp_path: Path) -> None:
    files, rules = [], []
    for number, case in enumerate(cases("headers")):
        data = bytes.fromhex(case["data"]["header"])
        if data[:2] != b"\0\0":
            files.append(tmp_path / str(number))
            files[-1].write_bytes(data)
            rules.append(case["rule"] if case.get("reason") == "MALFORMED_HEADER" else "")
    found = faults(*files)
    assert [fault for fault in found if "too long" not in fault] == [
        rule for rule, fault in zip(rules, found, strict=True) if "too long" not in fault
    ]


@pytest.mark.parametrize("group", ["receipts", "failures"])
def test_a_document_is_faulty_if_its_form_is(group: str, tmp_path: Path) -> None:
    """What only a key shows is none of its faults."""
    sound: list[tuple[str, Path]] = []
    faulty: list[tuple[str, Path]] = []
    for number, case in enumerate(cases(group)):
        file = tmp_path / str(number)
        file.write_text(case["data"]["document"])
        (sound if case["result"] == "valid" else faulty).append((case["id"], file))
    assert set(faults(*(file for _, file in sound))) == {""}
    passed = {name for (name, _), fault in zip(faulty, faults(*(file for _, file in faulty)), strict=True) if not fault}
    need_a_key = (
        "the other s",
        "signed by another key",
        "a changed claim",
        "another kid",
        "alg of the other suite",
        "a line feed",
    )
    assert all(name.endswith(need_a_key) or "with a line feed behind it" in name for name in passed), passed


def test_the_framing_of_a_part_is_checked(tmp_path: Path) -> None:
    good = b"".join(map(bytes.fromhex, cases("jobs")[2]["data"]["input"]))
    full = b"\xff" * 4 + bytes((1 << 20) - 4)
    for number, (data, fault) in enumerate(
        (
            (good, ""),
            (good[:-1], "length of segment 0"),
            (good + b"\0", "length of segment 0"),
            (good[:74] + full + good[74:], ""),
            (good[:74] + full, "no last segment"),
            (good[:74] + full[:-1] + good[74:], "length of segment 1"),
            (good[:3] + b"\1" + good[4:], "parameters of the stream"),
            (good[:40], "parameters of the stream"),
        )
    ):
        file = tmp_path / str(number)
        file.write_bytes(data)
        found = faults(file)
        assert found == [fault] or (fault and found[0].startswith("length of segment")), (number, found)


def test_a_folder_without_a_part_is_faulty(tmp_path: Path) -> None:
    path = folder(tmp_path / "job", cases("jobs")[4]["data"], result=False)
    (path / "parts/00001").unlink()
    assert "one file for each part of the header" in faults(path)
    (path / "signature.bin").write_bytes(b"")
    assert "a signature of 0 bytes, not 96" in faults(path)


def test_a_result_without_a_part_is_faulty(tmp_path: Path) -> None:
    path = folder(tmp_path / "result", cases("jobs")[4]["data"], result=True)
    (path / "parts/00001").unlink()
    assert [fault for fault in faults(path) if fault] == ["one file for each part of the result header"]


def test_a_folder_of_another_kind_is_named_as_such(tmp_path: Path) -> None:
    """An opened result, a folder without anything, and what is no file: each has a fault, none a traceback."""
    job = cases("jobs")[4]["data"]
    opened, empty, odd = tmp_path / "opened", tmp_path / "empty", folder(tmp_path / "odd", job, result=False)
    for path in (opened, empty):
        path.mkdir()
    (opened / "header.bin").write_bytes(bytes.fromhex(job["header"]))
    (odd / "parts/00001").unlink()
    (odd / "parts/00001").mkdir()
    (odd / "signature.bin").unlink()
    (odd / "signature.bin").mkdir()
    no_parts, no_file = "no parts: `cji job seal` and `--save-sealed` write a folder with them", "there is no such file"
    assert faults(opened) == ["", no_parts]
    assert faults(empty) == [no_file, no_parts]
    assert faults(odd).count(no_file) == 2
