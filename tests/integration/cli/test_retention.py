"""`cji audit hold`, `release`, `export --lines` and `prune` on the trail of a stopped worker, with its vTPM."""

import fcntl
import os
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_attestation.evidence.tpm_counter import NvCounter
from cji_core.command import build
from cji_core.documents import OneForm
from cji_core.format.configuration.worker import load
from cji_core.jose import public_jwk
from cji_core.trail import TrailCheckpoint
from cji_core.trail.checkpoint import origin_of, sign_checkpoint
from cji_core.trail.pruned import Pruned
from cji_core.trail.segments import segment_path
from cji_core.trail.trail import verified
from cji_simulator.launch import Deployment, worker_config
from cji_simulator.simulation import Simulation
from cji_worker.keyholder.anchor import anchor_again
from cji_worker.trail.file import AuditFile
from cji_worker.verbs.audit.hold import Held, Released
from cji_worker.verbs.audit.prune import Removed
from tests.support.audit_events import admitted, ended
from tests.support.json_answers import answered
from tests.support.trails import Writer, attested, released, started

WRITER = Writer()
HEADER = b"\x02" * 48
OLD = datetime(2024, 11, 4, 8, 0, tzinfo=UTC)


class Stopped:
    """A stopped worker whose trail has two segments, of 2024 and of now, and a current file."""

    def __init__(self, folder: Path, azure: Simulation) -> None:
        self.azure = azure
        self.files: Deployment = worker_config(folder, simulation=azure, keys=[azure.create_cmk("cji-retention")])
        self.trail, self.now = self.files.audit, OLD
        config = load(self.files.config)
        worker = config.worker.id
        with AuditFile(self.trail, worker=worker, clock=lambda: self.now, segment_bytes=1) as audit:
            audit.begin()
            audit.append(started())
            for number in range(3):
                audit.append(attested(WRITER.key_id))
                if not number:
                    audit.append(released())
                audit.append(admitted(bytes([number]) * 16, HEADER, not_after="2024-11-04T09:00:00.00Z"))
                audit.append(ended(bytes([number]) * 16, HEADER))
                note = sign_checkpoint(audit.tree, origin=origin_of(worker), key=WRITER.key).decode()
                audit.append(TrailCheckpoint(note=note, receipt_key=WRITER.key_id))
                if number < 2:
                    audit.rotate()
                self.now = datetime.now(UTC)
            anchor_again(audit, partial(NvCounter, azure.trust.tcti, config.audit_counter))
        self.key = folder / "receipt.jwk"
        self.key.write_text(public_jwk(WRITER.key.public_key()))

    def cji(self, *arguments: object, config: bool = True) -> Result:
        named = ["--config", self.files.config, "--operator", "jdoe", "--explanation", "ticket 7"] if config else []
        command = ["audit", *map(str, (*arguments, *named))]
        return CliRunner().invoke(build(self.azure.trust), command, catch_exceptions=False)

    def kinds(self) -> list[str]:
        return [record.event.kind for _, record in verified(self.trail)]


@pytest.fixture
def stopped(tmp_path: Path, azure: Simulation) -> Stopped:
    return Stopped(tmp_path / "worker", azure)


def test_a_year_of_a_trail_is_exported_held_released_and_pruned(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export, index = tmp_path / "2024", tmp_path / "index"
    shown = stopped.cji("export", stopped.trail, "--lines", "1-11", "-o", export, "--index", index, config=False)
    assert shown.exit_code == 0, shown.output
    assert stopped.cji("verify-export", export, "--key", stopped.key, config=False).exit_code == 0

    shown = stopped.cji("hold", "case-7", "--last", "2")
    assert shown.exit_code == 0, shown.output
    assert "lines 1 to 2 are under the hold case-7" in shown.output
    shown = stopped.cji("hold", "case-7")
    assert (shown.exit_code, "is in force since line" in shown.output) == (2, True)
    shown = stopped.cji("verify", stopped.trail, config=False)
    assert "hold case-7: lines 1 to 2, by jdoe in line" in shown.output

    prune = ("prune", "--export", export, "--key", stopped.key)
    shown = stopped.cji(*prune)
    assert shown.exit_code == 3
    assert "audit.jsonl.1-7: lines are under the legal hold case-7" in shown.output.replace(
        stopped.trail.name, "audit.jsonl"
    )
    assert stopped.cji("release", "case-8").exit_code == 2
    done = answered(stopped.cji("release", "case-7", "--json"), Released)
    assert (done.hold, stopped.kinds()[done.line - 1]) == ("case-7", "hold_released")

    shown = stopped.cji(*prune, "--dry-run")
    assert "lines 1 to 7 may be removed" in shown.output
    may = answered(stopped.cji(*prune, "--dry-run", "--json"), Removed)
    assert (may.first, may.last, may.line, "366 days" in str(may.next_stays)) == (1, 7, None, True)
    assert segment_path(stopped.trail, 1, 7).exists()
    shown = stopped.cji(*prune, "--through", "11")
    assert shown.exit_code == 3
    assert "is less than 366 days old, by the clock" in shown.output
    with monkeypatch.context() as patched:
        patched.setattr("cji_core.trail.pruned._FORM", OneForm(Pruned, limit=100))
        shown = stopped.cji(*prune)
    assert (shown.exit_code, "could not be read: too long" in shown.output) == (3, True), shown.output
    assert segment_path(stopped.trail, 1, 7).exists()
    assert "trail_pruned" not in stopped.kinds()
    shown = stopped.cji(*prune)
    assert shown.exit_code == 0, shown.output
    assert "lines 1 to 7 are removed" in shown.output
    assert "the next segment stays:" in shown.output
    assert not segment_path(stopped.trail, 1, 7).exists()
    assert stopped.kinds()[-2:] == ["trail_pruned", "trail_anchored"]

    shown = stopped.cji("verify", stopped.trail, "--key", stopped.key, config=False)
    assert shown.exit_code == 0, shown.output
    assert "lines 1 to 7 were pruned, and a line records that" in shown.output
    job = "00" * 16
    fresh = tmp_path / "fresh"
    shown = stopped.cji("prove", stopped.trail, "--job", job, "-o", tmp_path / "p", "--index", fresh, config=False)
    assert (shown.exit_code, f"no line about job {job}; lines 1 to 7 were pruned" in shown.output) == (2, True)
    shown = stopped.cji("prove", stopped.trail, "--line", 8, "-o", tmp_path / "p", "--index", fresh, config=False)
    assert shown.exit_code == 0, shown.output
    assert stopped.cji("verify-proof", tmp_path / "p", "--key", stopped.key, config=False).exit_code == 0
    shown = stopped.cji("search", stopped.trail, "--job", job, "--index", fresh, config=False)
    assert "lines 1 to 7 were pruned" in shown.output
    assert stopped.cji(*prune).exit_code == 3
    held = answered(stopped.cji("hold", "the-rest", "--json"), Held)
    assert (held.hold, held.first, held.last) == ("the-rest", 8, None)
    assert stopped.cji("hold", "gone", "--first", "1").exit_code == 2


def test_refusals_that_write_nothing_but_anchors(stopped: Stopped, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    for arguments, status, text in (
        (("hold", "x", "--first", "5", "--last", "4"), 2, "names lines that are not there"),
        (("hold", "x", "--first", "4000"), 2, "names lines that are not there"),
        (("hold", "two words"), 2, "no line can hold these words"),
        (("prune", "--export", folder, "--key", stopped.key), 3, "cannot be relied on"),
        (("prune", "--export", folder), 2, "no key"),
    ):
        shown = stopped.cji(*arguments)
        assert (shown.exit_code, text in shown.output) == (status, True), shown.output
    assert set(stopped.kinds()[15:]) <= {"trail_anchored"}
    for named in (("--lines", "4-x"), ("--lines", "1-2", "--since", "2024"), (), ("--since", "2024")):
        shown = stopped.cji("export", stopped.trail, *named, "-o", tmp_path / "out", config=False)
        assert shown.exit_code == 2
    with AuditFile(stopped.trail, worker="w", clock=lambda: OLD):
        shown = stopped.cji("hold", "x", "--wait", 1)
    assert shown.exit_code == 1
    assert "waiting until it stops, for 1 s more" in shown.output
    assert "Stop the worker" in shown.output
    assert "EAGAIN" not in shown.output


def test_a_hold_waits_until_the_worker_stops(stopped: Stopped) -> None:
    worker = os.open(stopped.trail, os.O_RDWR)
    fcntl.flock(worker, fcntl.LOCK_EX)
    stops = threading.Timer(1, os.close, (worker,))
    stops.start()
    shown = stopped.cji("hold", "x")
    stops.join()
    assert shown.exit_code == 0, shown.output
    assert "waiting until it stops" in shown.output
    assert stopped.kinds()[-2:] == ["hold_placed", "trail_anchored"]


def test_a_hold_too_many_is_not_written(stopped: Stopped, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could verify the trail after it."""
    monkeypatch.setattr("cji_worker.verbs.audit.hold.MAX_HOLDS", 1)
    assert stopped.cji("hold", "one").exit_code == 0
    shown = stopped.cji("hold", "two")
    assert (shown.exit_code, "Release one" in shown.output) == (2, True), shown.output
    assert [kind for kind in stopped.kinds() if kind.startswith("hold")] == ["hold_placed"]


def test_a_trail_that_was_rolled_back_takes_no_hold(stopped: Stopped) -> None:
    assert stopped.cji("hold", "one").exit_code == 0
    data, ledger = stopped.trail.read_bytes(), stopped.trail.with_name(f"{stopped.trail.name}.ledger")
    kept = ledger.read_bytes()
    assert stopped.cji("hold", "two").exit_code == 0
    stopped.trail.write_bytes(data)
    ledger.write_bytes(kept)
    shown = stopped.cji("release", "one")
    assert shown.exit_code == 1
    assert "lines are missing" in shown.output or "rolled back" in shown.output
    assert [k for k in stopped.kinds() if k.startswith("hold")] == ["hold_placed"]
