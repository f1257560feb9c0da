"""A forged `.pruned` makes no kept or witnessed checkpoint count that is of pruned lines."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_core.command import build
from cji_core.trail.trail import verified
from cji_core.trail.worker_events import TrailCheckpoint
from tests.support.rotated import ends_of, prune, split, two_years
from tests.support.tlog_site import Delivery, Site, site
from tests.support.witness_trails import keys_folder

TRAIL, FORGED = two_years(jobs=3, identified=True), two_years(jobs=8, identified=True)
END = ends_of(TRAIL)[0]
GONE = ends_of(FORGED)[0]


class Auditor:
    """A trail of which an auditor has an early checkpoint, its key, and the log's proofs."""

    def __init__(self, agency: Site, folder: Path) -> None:
        self.folder, self.trail, self.held = folder, folder / "audit.log", folder / "held"
        self.delivery = Delivery(agency, folder, self.trail)
        self.delivery.attest(TRAIL.key)
        self.keys = keys_folder(folder / "jwks", [TRAIL.key])
        split(TRAIL.lines[:END], self.trail)
        notes = [each.event.note for _, each in verified(self.trail) if isinstance(each.event, TrailCheckpoint)]
        self.held.write_text(notes[-1])
        self.witnessed()

    def witnessed(self) -> None:
        self.delivery.advance()

    def forge(self) -> None:
        """Another history in its place, which begins after all that the auditor and the log have."""
        split(FORGED.lines, self.trail, GONE)
        prune(self.trail)

    def verify(self, *options: str) -> Result:
        command = ["audit", "verify", str(self.trail), "--checkpoint", str(self.held), *options]
        return CliRunner().invoke(build(), command, catch_exceptions=False)

    def witness(self) -> Result:
        command = ["audit", "witness", "verify", str(self.trail), "--config", str(self.folder / "audit.toml")]
        return CliRunner().invoke(build(), command, catch_exceptions=False)


@pytest.fixture
def auditor(tmp_path: Path) -> Iterator[Auditor]:
    with site(tmp_path, count=2, quorum=2) as agency:
        yield Auditor(agency, tmp_path)


def test_checkpoints_of_pruned_lines_alone_prove_nothing(auditor: Auditor) -> None:
    auditor.forge()
    shown = auditor.witness()
    assert (shown.exit_code, "The log has nothing of the lines that are left" in shown.output) == (3, True), (
        shown.output
    )


def test_a_checkpoint_of_later_lines_is_compared(auditor: Auditor) -> None:
    """These lines waited two years for it, which is all that is wrong."""
    split(TRAIL.lines, auditor.trail, END)
    auditor.witnessed()
    prune(auditor.trail)
    shown = auditor.witness()
    assert "1 finding" in shown.output
    assert "late: lines waited for that of" in shown.output
    assert f"lines 1 to {END} were pruned" in shown.output
    assert "the first 0 lines" not in shown.output


def test_a_held_checkpoint_of_pruned_lines_signs_nothing(auditor: Auditor) -> None:
    key = ("--key", str(auditor.keys / "0.jwk"))
    assert auditor.verify(*key).exit_code == 0
    auditor.forge()
    shown = auditor.verify(*key)
    assert (shown.exit_code, "no checkpoint in this trail is signed by" in shown.output) == (3, True), shown.output
    shown = auditor.verify()
    assert (shown.exit_code, "every checkpoint that was given were pruned" in shown.output) == (3, True), shown.output


def test_a_held_checkpoint_is_named_as_not_compared(auditor: Auditor) -> None:
    split(TRAIL.lines, auditor.trail, END)
    prune(auditor.trail)
    key = ("--key", str(auditor.keys / "0.jwk"))
    shown = auditor.verify(*key)
    assert shown.exit_code == 0, shown.output
    assert "not compared with held: its lines were pruned" in shown.output
    found = json.loads(auditor.verify(*key, "--json").output)
    assert found["held"]["held"] == {"lines": found["held"]["held"]["lines"], "verified": True, "compared": False}
    assert found["pruned"] == END > found["held"]["held"]["lines"]
