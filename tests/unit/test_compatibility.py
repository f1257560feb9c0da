"""What version 0.2.0 wrote, later versions read: tests/compatibility/0.2.0 is not made again."""

import json
from pathlib import Path

import msgspec
from click.testing import CliRunner

from cji_attestation import Trust
from cji_client.profile import load_profile
from cji_core.command import build
from cji_core.format.configuration.console import load as load_console
from cji_core.format.configuration.worker import load
from cji_core.tlog.policy import read_policy
from cji_core.tlog.releases import decode_copy, read_releases
from tests.support.paths import ROOT
from tests.support.release_log import NOW

FOLDER = ROOT / "tests/compatibility/0.2.0"
JOB = FOLDER / "job"
"""One job of `disseminate`, as `cji job run` left it."""


def cji(*arguments: str | Path) -> str:
    """The output of a command under the trust of 0.2.0's simulation."""
    trust = msgspec.json.decode((FOLDER / "trust.json").read_bytes(), type=Trust)
    done = CliRunner().invoke(build(trust), [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_log_of_releases_of_0_2_0_is_read() -> None:
    policy = read_policy((FOLDER / "release-policy.toml").read_bytes())
    data = (FOLDER / "releases.json").read_bytes()
    found = read_releases(data, policy, now=NOW).releases.all()
    assert [(each.release.version, each.withdrawn is None) for each in found] == [("0.1.9", False), ("0.2.0", True)]
    assert decode_copy(data).encode() == data


def test_its_receipt_verifies_by_its_evidence_and_trail() -> None:
    """The trail with every rule, its checkpoints by the attested key, and evidence at the time that it proves."""
    files = ("--evidence", JOB / "evidence.json", "--profile", FOLDER / "client.toml")
    named = ("--expect-header", JOB / "header.bin", "--trail", FOLDER / "trail.jsonl")
    shown = json.loads(cji("receipt", "verify", JOB / "receipt.jws", *files, *named, "--json"))
    assert shown["claims"]["operations"] == ["disseminate"]
    cji("audit", "verify", FOLDER / "trail.jsonl", *files)


def test_its_dissemination_ledger_is_searched() -> None:
    """It is compared with the receipt beside it."""
    found = json.loads(cji("ledger", "find", JOB, "--subject", "GA00000001", "--json"))
    assert (len(found["disclosures"]), found["compared"]) == (1, 1)


def test_its_configuration_keeps_its_meaning() -> None:
    """meaning.json has each value of each file, as 0.2.0 read it; a later version may have more."""
    wanted = json.loads((FOLDER / "meaning.json").read_text())
    assert meaning().keys() == wanted.keys()
    for file, values in wanted.items():
        assert lost(values, meaning()[file]) == []


def meaning() -> dict[str, object]:
    """What this version reads in the files, without the place where they lie."""
    read = {
        "worker": load(FOLDER / "worker.example.toml"),
        "console": load_console(FOLDER / "console.example.toml"),
        "client": load_profile(FOLDER / "client.toml"),
    }
    return {
        name: json.loads(msgspec.json.encode(each).replace(str(FOLDER).encode(), b"")) for name, each in read.items()
    }


def lost(old: object, new: object, place: str = "") -> list[str]:
    """Places of values that the newer version has no more, or has otherwise."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [each for name, value in old.items() for each in lost(value, new.get(name), f"{place}.{name}")]
    return [] if old == new else [place]
