"""Every end of a command that sends a job states what was sent, whether the receipt came, and the next command.

A real worker, and real processes of `cji` that are stopped at each phase of a job: there a signal comes, the connection
breaks, the disk is full or may not be written. No test needs a privilege but the one that mounts a small disk.
"""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import pyarrow.csv
import pytest

from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, open_site, people
from tests.support.mistakes import RECORDS
from tests.support.mistakes import desk as right_desk
from tests.support.paused_cji import PHASES, Ended, Paused
from tests.support.silent_link import SilentLink

_NOTHING, _SENT, _SETTLED = PHASES[:3], PHASES[3:7], PHASES[7:]
_OBEYS: Final = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""A root without these rights must obey permissions, as an ordinary user does."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    folder: Path
    trust: Path
    state: Path
    link: SilentLink

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def run(self, *more: str, records: str = "people.csv", out: Path | None = None) -> list[str]:
        names = ("--spec", f"{self.folder}/job.toml", "--profile", f"{self.folder}/client.toml")
        return ["job", "run", f"{self.folder}/{records}", *names, "--out", str(out or self.out), *more]

    def paused(self, phase: str, *arguments: str, wrap: list[str] | None = None) -> Paused:
        records = "many.csv" if phase == "during upload" else "people.csv"
        words = arguments or self.run(records=records)
        return Paused(phase, words, trust=self.trust, state=self.state, wrap=wrap or ())

    def cji(self, *arguments: str) -> Ended:
        return Paused("-", arguments, trust=self.trust, state=self.state).ended()

    def kept(self) -> list[Path]:
        """Folders of sealed results."""
        return list((self.state / "cji" / "results").glob("*"))

    def left(self) -> set[str]:
        """Files beside those of the desk."""
        return {path.name for path in self.folder.iterdir() if path.name.startswith((".out", "out"))}


@pytest.fixture(scope="module")
def site(azure: Simulation, folder: Path) -> Iterator[Site]:
    with open_site(folder, azure) as opened:
        yield opened


@pytest.fixture(scope="module")
def model(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a job that would succeed."""
    folder = right_desk(site, tmp_path_factory.mktemp("model") / "desk").folder
    table = people(60_000).append_column("record_id", pyarrow.array([str(n) for n in range(60_000)]))
    pyarrow.csv.write_csv(table.append_column("DOB", pyarrow.array(["1982-02-14"] * 60_000)), folder / "many.csv")
    return folder


@pytest.fixture
def at(model: Path, site: Site, tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "desk"
    shutil.copytree(model, folder)
    (tmp_path / "trust.json").write_bytes(msgspec.json.encode(site.simulation.trust))
    with SilentLink(site.profile.target) as link:
        profile = folder / "client.toml"
        profile.write_text(profile.read_text().replace(site.profile.target, link.target))
        yield Desk(folder=folder, trust=tmp_path / "trust.json", state=tmp_path / "state", link=link)


def check_state(at: Desk, ended: Ended, phase: str) -> None:
    """What is printed and what is on the disk fit the phase; the next command works as printed."""
    assert ended.text.count("Nothing was sent.") == (phase in _NOTHING), ended.text
    assert at.left() == set()
    if phase in _NOTHING:
        assert not at.kept()
        return
    if phase in _SENT:
        assert f"Job {ended.job}: sent, no receipt." in ended.text
        assert not at.kept()
        return
    assert f"Job {ended.job}: receipt received." in ended.text
    (kept,) = at.kept()
    assert ended.next[:3] == ["job", "open", str(kept)]
    assert {path.stat().st_mode & 0o777 for path in (kept, kept / "parts")} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in kept.rglob("*") if path.is_file()} == {0o600}
    opened = at.cji(*ended.next)
    assert opened.status == 0, opened.text
    assert (at.out / "result.csv").read_text().count("\n") == RECORDS.count("\n")


@pytest.mark.parametrize(
    ("phase", "number"),
    [(phase, signal.SIGINT) for phase in PHASES] + [(phase, signal.SIGTERM) for phase in ("during upload", "writing")],
)
def test_a_signal_at_every_phase(at: Desk, phase: str, number: int) -> None:
    paused = at.paused(phase)
    paused.signal(number)
    ended = paused.go_on() if phase == "settling" else paused.ended()
    assert ended.status == 128 + number, ended.text
    check_state(at, ended, phase)
    if phase in ("during upload", "waiting"):  # the worker confirms that it has ended the job
        assert "The worker answers `not released`" in ended.text
        again = at.cji(*ended.next)
        assert again.status == 0, again.text
    if phase in ("segments", "before the receipt"):
        assert "The worker answers `released`" in ended.text
        assert at.cji("receipt", "get", ended.job, "--profile", f"{at.folder}/client.toml").status == 0


@pytest.mark.parametrize("phase", ["before connect", "before the first byte", "during upload", "before the receipt"])
def test_a_lost_connection_at_every_phase(at: Desk, phase: str) -> None:
    paused = at.paused(phase)
    at.link.shut()
    ended = paused.ended() if phase == "before the first byte" else paused.go_on()
    if phase == "before the receipt":  # the receipt has come: nobody is needed any more
        assert ended.status == 0, ended.text
        return
    assert ended.status == 4, ended.text
    assert at.left() == set()
    assert not at.kept()
    if phase in _NOTHING:
        assert "Nothing was sent." in ended.text
        return
    assert "Nothing was sent" not in ended.text
    assert "sent, no receipt. Unknown whether the worker ended it" in ended.text
    at.link.open()
    found = at.cji(*ended.next)
    assert (found.status, found.text) == (0, f"{ended.job} not released\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
@pytest.mark.parametrize("place", ["out", "state"])
def test_room_is_held_before_anything_is_sent(at: Desk, tmp_path: Path, place: str) -> None:
    """A disk of 8 MiB has room for a small result, and for no bound."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "cji", str(disk)], check=False).returncode != 0:
        pytest.skip("may not mount")
    try:
        desk = at if place == "out" else Desk(folder=at.folder, trust=at.trust, state=disk / "state", link=at.link)
        out = disk / "out" if place == "out" else at.out
        ended = desk.cji(*desk.run(out=out))
        assert ended.status == 2, ended.text
        assert "has no room for the 167" in ended.text
        assert "Nothing was sent." in ended.text
        ended = desk.cji(*desk.run("--max-result-bytes", str(1 << 20), out=out))
        assert ended.status == 0, ended.text
        assert not desk.kept()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("phase", ["segments", "settling", "writing"])
def test_no_room_at_every_phase(at: Desk, phase: str) -> None:
    """A limit for files is what an ordinary user can set; a full disk takes the same way (ENOSPC)."""
    paused = at.paused(phase)
    resource.prlimit(paused.process.pid, resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
    ended = paused.go_on()
    assert ended.status == 5, ended.text
    assert "File too large" in ended.text
    if phase == "writing":
        check_state(at, ended, phase)
    else:  # there is no room anywhere, for the receipt neither
        assert "receipt received. The result is verified, and not kept in a file. Its receipt: `cji receipt get" in (
            ended.text
        )


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="needs setpriv, to obey permissions")
@pytest.mark.parametrize("phase", ["before connect", "writing", "renaming"])
def test_a_folder_that_may_not_be_written(at: Desk, phase: str) -> None:
    paused = at.paused(phase, wrap=_OBEYS)
    where = [at.folder, *at.folder.glob(".out.*")] if phase != "renaming" else [at.folder]
    for folder in where:
        folder.chmod(0o500)
    try:
        ended = paused.go_on()
    finally:
        for folder in where:
            folder.chmod(0o700)
    assert ended.status == (2 if phase == "before connect" else 5), ended.text
    assert "Permission denied" in ended.text
    for folder in at.folder.glob(".out.*"):
        assert phase == "writing" or not list(folder.iterdir())  # nothing opened stays, where it can be removed
        shutil.rmtree(folder)
    check_state(at, ended, phase)


def test_a_kept_folder_that_vanished_before_the_receipt(at: Desk) -> None:
    paused = at.paused("segments")
    (kept,) = at.kept()
    shutil.rmtree(kept)
    ended = paused.go_on()
    assert ended.status == 0, ended.text
    assert not at.kept()
    assert (at.out / "result.csv").exists()


def test_a_kept_folder_that_vanished_has_a_successor(at: Desk) -> None:
    """Neither the folder nor the target is left when the receipt has been verified."""
    paused = at.paused("settling")
    (kept,) = at.kept()
    shutil.rmtree(kept)
    (target,) = at.folder.glob(".out.*")
    shutil.rmtree(target)
    ended = paused.go_on()
    assert ended.status == 5, ended.text
    assert not kept.exists()
    check_state(at, ended, "settling")


def test_single_files_are_all_there_or_none(at: Desk) -> None:
    paused = at.paused("renaming", *at.run(out=at.folder / "out.csv"))
    (at.folder / "out.csv").mkdir()  # the last one cannot be renamed
    ended = paused.go_on()
    assert ended.status == 5, ended.text
    assert at.left() == {"out.csv"}
    (at.folder / "out.csv").rmdir()
    opened = at.cji(*ended.next)
    assert opened.status == 0, opened.text
    assert (at.folder / "out.csv").is_file()
    assert (at.folder / "out.receipt.jws").is_file()


def test_a_target_that_vanished(at: Desk) -> None:
    paused = at.paused("writing")
    (target,) = at.folder.glob(".out.*")
    shutil.rmtree(target)
    ended = paused.go_on()
    assert ended.status == 5, ended.text
    check_state(at, ended, "writing")


def test_a_sealed_job_that_is_sent(at: Desk) -> None:
    profile = ("--profile", f"{at.folder}/client.toml")
    sealed = at.cji(
        *("job", "seal", f"{at.folder}/people.csv", "--job", f"{at.folder}/job"),
        *("--spec", f"{at.folder}/job.toml", *profile),
    )
    assert sealed.status == 0, sealed.text
    send = ["job", "send", f"{at.folder}/job", *profile, "--save-sealed", f"{at.folder}/sealed"]
    paused = at.paused("waiting", *send)
    paused.signal(signal.SIGINT)
    ended = paused.ended()
    assert ended.status == 130, ended.text
    assert "The worker answers `not released`" in ended.text
    assert ended.next == send
    paused = at.paused("settling", *ended.next)
    paused.signal(signal.SIGTERM)
    ended = paused.go_on()
    assert ended.status == 143, ended.text
    (kept,) = at.kept()
    assert ended.next[:3] == ["job", "open", str(kept)]
    refused = at.cji(*send)  # the worker has its receipt
    assert refused.status == 1, refused.text
    assert "REPLAYED" in refused.text or "ALREADY_EXISTS" in refused.text
    assert "sent, no receipt. The worker answers `released`" in refused.text
