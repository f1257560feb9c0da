"""The file of rules, the areas of a job, and whose identity a token names."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cji_audit.retention.identity import PrincipalError, principal_in
from cji_audit.retention.rules import (
    DisposalRulesError,
    Keep,
    Stored,
    area_of,
    by_job,
    is_job,
    load_disposal,
    parse_disposal,
)

JOB = "01" * 16
GOOD = b"""
signers = ["retention.key.pub"]
[storage]
blob_url = "https://cjiexample.blob.core.windows.net"
[keep]
input_days = 7
result_days = 30
proof_days = 400
"""


def stored(name: str, container: str = "results") -> Stored:
    return Stored(container=container, name=name, etag="0x8D1", size=1, created=datetime(2026, 1, 1, tzinfo=UTC))


def test_files_are_beside_the_rules(tmp_path: Path) -> None:
    (tmp_path / "disposal.toml").write_bytes(GOOD)
    found = load_disposal(tmp_path / "disposal.toml")
    assert found.keep == Keep(input_days=7, result_days=30, proof_days=400)
    assert (found.log, found.signers) == (str(tmp_path / "retention-log"), (str(tmp_path / "retention.key.pub"),))
    with pytest.raises(DisposalRulesError, match="cannot be read"):
        load_disposal(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b"proof_days = 400", b"proof_days = 29", "proof_days must be at least"),
        (b"input_days = 7", b"input_days = 0", "input_days"),
        (b"input_days = 7", b"input_days = 7.5", "input_days"),
        (b"[keep]", b"[keep]\nother_days = 1", "other_days"),
        (b'signers = ["retention.key.pub"]', b"signers = []", "signers"),
        (b"https://", b"http://", "blob_url"),
    ],
)
def test_a_rule_that_is_doubtful_is_refused(old: bytes, new: bytes, what: str) -> None:
    assert old in GOOD
    with pytest.raises(DisposalRulesError, match=what):
        parse_disposal(GOOD.replace(old, new), "disposal.toml")


def test_a_file_too_large_to_be_rules_is_refused() -> None:
    with pytest.raises(DisposalRulesError, match="larger"):
        parse_disposal(GOOD + b"#" * 65_536, "disposal.toml")


def test_a_blob_has_one_area() -> None:
    assert area_of(stored(f"{JOB}/parts/00000", "jobs"), jobs="jobs") == "input"
    assert area_of(stored(f"{JOB}/receipt", "jobs"), jobs="jobs") == "input"
    for name in ("receipt", "failure", "progress", f"evidence/{'ab' * 48}"):
        assert area_of(stored(f"{JOB}/{name}"), jobs="jobs") == "proof"
    for name in (f"{'ab' * 16}/parts/00000", f"{'ab' * 16}/result-header", "unknown"):
        assert area_of(stored(f"{JOB}/{name}"), jobs="jobs") == "result"


def test_what_is_of_no_job_is_left_alone() -> None:
    names = (f"{JOB}/receipt", "doctor-1", f"{JOB[:-1]}/receipt", f"{JOB[:-1]}G/receipt", JOB, "x/y")
    assert list(by_job(stored(name) for name in names)) == [JOB]
    assert not is_job("")


def token(**claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.e30"


def test_a_token_names_its_identity() -> None:
    ids = {"oid": "22222222-2222-4222-8222-222222222222", "tid": "11111111-1111-4111-8111-111111111111"}
    assert principal_in(token(**ids)).object_id == ids["oid"]
    for bad in (token(oid=ids["oid"]), token(**{**ids, "oid": 7}), token(**{**ids, "tid": "x"}), "noise", "a.b.c"):
        with pytest.raises(PrincipalError):
            principal_in(bad)
