"""`cji audit` in an auditor's hands: search, proofs, checkpoints kept elsewhere, keys from evidence."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_audit.verbs.export import Exported, VerifiedExport
from cji_audit.verbs.prove import LastCheckpoint, Proven
from cji_audit.verbs.receipt import TrailReceipt
from cji_core.command import build
from cji_core.jose import public_jwk
from cji_core.trail import claims_unverified, read
from cji_core.trail.checkpoint import parse_checkpoint
from tests.support.evidence_files import _KEY, evidence_file
from tests.support.forge import machine
from tests.support.json_answers import answered, refusal
from tests.support.review_trails import Trail
from tests.support.reviews import decided_profile
from tests.support.trails import Writer, job_id, week

WEEK = week()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    return WEEK.write(tmp_path / "audit.log")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "receipt-key.jwk"
    path.write_text(public_jwk(WEEK.key.public_key()))
    return path


def cji(*arguments: object, status: int = 0) -> Result:
    shown = CliRunner().invoke(build(machine().trust), ["audit", *map(str, arguments)], catch_exceptions=False)
    assert shown.exit_code == status, shown.output
    return shown


def test_a_job_is_found_and_proven_and_the_proof_stands_alone(tmp_path: Path, trail: Path, key: Path) -> None:
    shown = cji("search", trail, "--kind", "job_completed", "--operator", "op*", "--newest", "--limit", 1).output
    assert "12 lines match, 1 are shown" in shown
    number, _, kind, submitter, ori, operator, purpose, job = shown.splitlines()[1].split()
    assert (kind, submitter, ori, operator, purpose) == ("job_completed", "metro-pd", "WI0130000", "op-17", "C")
    proof = tmp_path / "proof.json"
    assert f"line {number}, job_completed" in cji("prove", trail, "--job", job, "-o", proof).output
    again = tmp_path / "again.json"
    told = answered(cji("prove", trail, "--job", job, "-o", again, "--json"), Proven)
    assert (told.file, told.line, told.earlier_lines) == (str(again), int(number), None)
    assert (told.origin, again.read_bytes()) == ("cji-worker/worker-1", proof.read_bytes())
    trail.unlink()
    shown = cji("verify-proof", proof, "--key", key).output
    assert f"verified: line {number}, job_completed" in shown
    found = json.loads(cji("verify-proof", proof, "--key", key, "--json").output)
    assert (found["record"]["event"]["job_id"], found["key"]) == (job, WEEK.key_id)


def test_the_key_of_the_evidence(tmp_path: Path) -> None:
    writer = Writer(key=_KEY)
    writer.start(new_key=False)
    writer.job(1)
    writer.checkpoint()
    trail, evidence, proof = writer.write(tmp_path / "t"), tmp_path / "evidence.json", tmp_path / "p"
    evidence.write_bytes(evidence_file())
    profile = decided_profile(tmp_path)
    cji("prove", trail, "--line", 4, "-o", proof)
    assert "verified: line 4" in cji("verify-proof", proof, "--evidence", evidence, "--profile", profile).output
    shown = cji("verify", trail, "--evidence", evidence, "--profile", profile).output
    assert "checkpoints: 2, 2 with a verified signature, up to line 8" in shown
    evidence.write_bytes(evidence_file(receipt_jwk=public_jwk(Writer().key.public_key())))
    cji("verify-proof", proof, "--evidence", evidence, "--profile", profile, status=3)


def test_without_a_checkpoint_nothing_is_exported(tmp_path: Path) -> None:
    lines = (tmp_path / "t", WEEK.lines[: next(at for at, one in enumerate(WEEK.lines) if b"trail_checkpoint" in one)])
    lines[0].write_bytes(b"".join(lines[1]))
    assert "no checkpoint" in cji("export", lines[0], "--all", "-o", tmp_path / "none", status=3).output


def test_a_continuation_is_proven(tmp_path: Path, trail: Path, key: Path) -> None:
    old, new, proof = tmp_path / "old", tmp_path / "new", tmp_path / "proof"
    half = WEEK.write(tmp_path / "half.log", WEEK.lines[: len(WEEK.lines) * 3 // 4])
    cji("checkpoint", half, "-o", old)
    cji("checkpoint", trail, "-o", new)
    assert new.read_text() == cji("checkpoint", trail).output
    last = answered(cji("checkpoint", trail, "--json"), LastCheckpoint)
    assert (last.checkpoint, last.file) == (new.read_text(), None)
    kept = answered(cji("checkpoint", trail, "-o", tmp_path / "kept", "--json"), LastCheckpoint)
    assert (kept.file, kept.checkpoint) == (str(tmp_path / "kept"), (tmp_path / "kept").read_text())
    told = answered(cji("prove", trail, "--from", old, "--to", new, "-o", proof, "--json"), Proven)
    assert (told.line, told.lines, told.earlier_lines) == (None, last.lines, parse_checkpoint(old.read_bytes()).size)
    assert "continues the" in cji("verify-proof", proof, "--key", key).output
    assert (
        json.loads(cji("verify-proof", proof, "--key", key, "--json").output)["later"]["origin"]
        == "cji-worker/worker-1"
    )
    cji("prove", trail, "--from", old, "--to", new, "-o", proof, status=2)  # it is there already
    assert "has" in cji("prove", half, "--from", old, "--to", new, "-o", tmp_path / "p", status=3).output
    shown = cji("verify", half, "--checkpoint", old, "--checkpoint", new, "--key", key, status=3).output
    assert "cut: new is of" in shown
    assert f"line {len(WEEK.lines) * 3 // 4 + 1}" in shown


def test_what_a_held_checkpoint_shows(tmp_path: Path, trail: Path, key: Path) -> None:
    held = tmp_path / "held"
    held.write_bytes(WEEK.note())
    assert "agrees with held" in cji("verify", trail, "--checkpoint", held).output
    found = json.loads(cji("verify", trail, "--checkpoint", held, "--key", key, "--json").output)
    assert found["held"] == {"held": {"lines": len(WEEK.lines), "verified": True, "compared": True}}
    assert found["root"] == WEEK.tree.root().hex()
    assert found["lines_signed"] > len(WEEK.lines) // 2
    fork = WEEK.write(tmp_path / "fork", week().lines)
    assert "rewritten: held is of other lines" in cji("verify", fork, "--checkpoint", held, status=3).output
    held.write_bytes(WEEK.note().replace(f"\n{len(WEEK.lines)}\n".encode(), b"\n5\n"))
    assert "forged" in cji("verify", trail, "--checkpoint", held, "--key", key, status=3).output
    held.write_bytes(b"a checkpoint")
    assert "not a checkpoint" in cji("verify", trail, "--checkpoint", held, status=3).output


def test_a_key_that_signed_nothing_is_not_passed_over(tmp_path: Path, trail: Path, key: Path) -> None:
    key.write_text(public_jwk(Writer().key.public_key()))
    assert "no checkpoint in this trail is signed by" in cji("verify", trail, "--key", key, status=3).output
    key.write_text("{}")
    assert "not a receipt key" in cji("verify", trail, "--key", key, status=2).output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name one thing to prove"),
        (("--job", "00", "--line", 3), "name one thing to prove"),
        (("--line", 3, "--to", "T"), "name one thing to prove"),
        (("--from", "T", "--checkpoint", "T"), "name one thing to prove"),
        (("--job", "xyz"), "no line about job"),
        (("--job", job_id(77).hex()), "no line about job"),
        (("--line", 10**6), "no line 1000000"),
        (("--line", 3, "--checkpoint", "T"), "not a checkpoint"),
    ],
)
def test_what_cannot_be_proven(tmp_path: Path, trail: Path, arguments: tuple[object, ...], words: str) -> None:
    named = [trail if each == "T" else each for each in arguments]
    shown = CliRunner().invoke(build(), ["audit", "prove", *map(str, [trail, *named, "-o", tmp_path / "p"])])
    assert shown.exit_code in (2, 3)
    assert words in shown.output
    assert not (tmp_path / "p").exists()


def test_a_proof_needs_a_key(tmp_path: Path, trail: Path) -> None:
    cji("prove", trail, "--line", 3, "-o", tmp_path / "p")
    assert "no key to verify with" in cji("verify-proof", tmp_path / "p", status=2).output


def test_a_search_in_time_and_as_json(trail: Path) -> None:
    lines = cji("search", trail, "--since", "2026-11-23T08:01Z", "--until", "2026-11-23T08:02", "--json").output
    head, *rest = lines.splitlines()
    expected = [line for line in WEEK.lines if b'"time":"2026-11-23T08:01' in line]
    assert json.loads(head) == {"matches": len(expected), "shown": min(50, len(expected))}
    assert [f"{line}\n".encode() for line in rest] == expected[:50]
    cji("search", trail, "--since", "yesterday", status=2)
    assert "job id" in cji("search", trail, "--job", "77", status=2).output


def test_the_index_is_the_auditors_and_remembers(tmp_path: Path, trail: Path) -> None:
    cji("search", trail)
    kept = list((tmp_path / "home").rglob("*.index"))
    assert len(kept) == 1
    assert kept[0].parent.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.log", "home"]
    WEEK.write(trail, WEEK.lines[:-5])
    assert "cut off, rolled back or replaced" in cji("search", trail, status=3).output
    kept[0].write_bytes(b"no index" * 1000)
    assert "Remove the index" in cji("search", trail, status=2).output


def test_a_broken_trail_is_not_searched(trail: Path) -> None:
    trail.write_bytes(trail.read_bytes().replace(b"county-so", b"metro-pd2", 1))
    assert "hash: the line was changed" in cji("search", trail, status=3).output


def test_an_export_is_complete_and_shows_its_borders(tmp_path: Path, trail: Path, key: Path) -> None:
    """The second start has the key; some of its lines."""
    folder = tmp_path / "minute"
    times = [json.loads(line)["time"] for line in WEEK.lines]
    since = times[len(times) * 3 // 4][:-4]
    until = times[len(times) * 3 // 4 + 12][:-4]
    shown = cji("export", trail, "--since", since, "--until", until, "-o", folder).output
    exported = (folder / "lines.jsonl").read_bytes().splitlines(keepends=True)
    first = WEEK.lines.index(exported[0])
    assert exported == WEEK.lines[first : first + len(exported)]
    assert f"lines {first + 1} to {first + len(exported)}" in shown
    inside = [time for time in times if since <= time < until]
    assert [json.loads(line)["time"] for line in exported[1:-1]] == inside
    assert "are complete" in cji("verify-export", folder, "--key", key).output
    found = answered(cji("verify-export", folder, "--key", key, "--json"), VerifiedExport)
    assert (found.first, found.last, found.key) == (first + 1, first + len(exported), WEEK.key_id)
    whole = answered(cji("export", trail, "--lines", "2-5", "-o", tmp_path / "few", "--json"), Exported)
    assert whole == Exported(folder=str(tmp_path / "few"), first=2, last=5)
    covered = answered(cji("export", trail, "--all", "-o", tmp_path / "all", "--json"), Exported)
    sizes = [
        int(json.loads(line)["event"]["note"].split("\n")[1]) for line in WEEK.lines if b"trail_checkpoint" in line
    ]
    assert (covered.first, covered.last) == (1, max(sizes))
    assert "are complete" in cji("verify-export", tmp_path / "all", "--key", key).output
    cji("export", trail, "--all", "--lines", "2-5", "-o", tmp_path / "both", status=2)
    for wrong in (exported[1:], exported[:-1], [*exported[:3], *exported[4:]], [*exported, WEEK.lines[-1]], []):
        (folder / "lines.jsonl").write_bytes(b"".join(wrong))
        cji("verify-export", folder, "--key", key, status=3)
    assert refusal(cji("verify-export", folder, "--key", key, "--json", status=3)).reason == "UNVERIFIED"
    WEEK.write(folder / "lines.jsonl", week().lines[first : first + len(exported)])  # a chain too, of another history
    assert "not in this tree" in cji("verify-export", folder, "--key", key, status=3).output
    assert "verify-export" in cji("verify-proof", folder / "proof.json", "--key", key, status=3).output
    cji("export", trail, "--since", since, "--until", until, "-o", folder, status=2)
    cji("export", trail, "--since", "2027", "--until", "2028", "-o", tmp_path / "none", status=2)
    (folder / "lines.jsonl").unlink()
    cji("verify-export", folder, "--key", key, status=2)


def test_the_receipt_of_a_job_is_printed_whole(tmp_path: Path) -> None:
    """Also of a line that has the short form."""
    made = Trail()
    made.start()
    for _ in range(3):
        made.job()
    made.job(ends=False)
    trail, kept = made.write(tmp_path / "audit.log"), made.write_receipts(tmp_path / "receipts")
    receipts = {claims_unverified(text).job_id: text for text in (file.read_text().strip() for file in kept.iterdir())}
    assert (len(receipts), trail.read_bytes().count(b'"like":')) == (3, 2)
    for job, text in receipts.items():
        assert cji("receipt", trail, "--job", job).output == text + "\n"
        told = answered(cji("receipt", trail, "--job", job, "-o", tmp_path / job, "--json"), TrailReceipt)
        assert (told.receipt, (tmp_path / job).read_text()) == (text, text + "\n")
    for unknown in ("ab" * 16, "no id", read(made.lines[-1]).event.job_id):  # type: ignore[attr-defined]
        assert "no line has a receipt" in cji("receipt", trail, "--job", unknown, status=2).output
