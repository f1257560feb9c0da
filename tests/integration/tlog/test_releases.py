"""A release from its folder into the log, and as its readers have it, by the commands alone."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.tlog.http_server import Answer
from cji_core.command import build
from cji_core.jose import public_jwk
from tests.support.release_folder import COMMIT, make_release, write_pem
from tests.support.release_log import pcrs_of
from tests.support.tlog_site import READER, Site, site, write_policy
from tests.support.witness_trails import new_key

OLD, NEW = "cji-worker 0.1.9 production azure-cvm", "cji-worker 0.2.0 production azure-cvm"


class Desk:
    """A publisher's desk: the log with its witnesses, keys and two releases, and a reader's folder."""

    def __init__(self, agency: Site, folder: Path, key: ec.EllipticCurvePrivateKey) -> None:
        self.agency, self.folder = agency, folder
        write_pem(folder / "release.key", key)
        write_pem(folder / "other.key", new_key())
        write_pem(folder / "cosign.key", ec.generate_private_key(ec.SECP256R1()))
        write_policy(folder / "policy.toml", agency.policy)
        (folder / "publisher.token").write_text(READER)
        self.ca = ("--ca-file", self._ca())
        self.old = make_release(folder / "old", folder / "cosign.key", version="0.1.9", seed=1)
        self.new = make_release(folder / "new", folder / "cosign.key", version="0.2.0", seed=2)

    def _ca(self) -> Path:
        path = self.folder / "no-roots.pem"
        path.write_text("")
        return path

    def cji(self, *words: str | Path, status: int = 0, policy: bool = True) -> Result:
        options = ("--policy", str(self.folder / "policy.toml")) if policy else ()
        done = CliRunner().invoke(build(), ["release", *map(str, words), *options])
        assert done.exit_code == status, done.output
        return done

    def publishes(self, folder: Path, *options: str | Path, key: str = "release.key", status: int = 0) -> Result:
        by = ("--token-file", self.folder / "publisher.token", "--key", self.folder / key)
        return self.cji("publish", folder, *by, *options, status=status)

    def fetches(self, name: str = "releases.json", status: int = 0) -> Result:
        return self.cji("fetch", "-o", self.folder / name, status=status)

    def withdraws(self, name: str, status: int = 0) -> Result:
        by = ("--token-file", self.folder / "publisher.token", "--key", self.folder / "release.key")
        copy = self.folder / "releases.json"
        return self.cji("withdraw", copy, name, "--explanation", "CVE-2026-1", *by, status=status)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Both releases are in the log."""
    folder, key = tmp_path_factory.mktemp("releases"), new_key()
    with site(folder, count=3, quorum=2, faulty=0, publishers=(public_jwk(key.public_key()),)) as agency:
        found = Desk(agency, folder, key)
        for each in (found.old, found.new):
            found.publishes(each)
        found.fetches()
        yield found


def changed(desk: Desk, folder: Path) -> Path:
    """A reader's own copy of the newer release."""
    return Path(shutil.copytree(desk.new, folder / "own"))


def test_a_release_is_listed_with_every_digest(desk: Desk) -> None:
    found = json.loads(desk.cji("list", desk.folder / "releases.json", "--json").stdout)
    assert [each["version"] for each in found] == ["0.1.9", "0.2.0"]
    assert {each["commit"] for each in found} == {COMMIT}
    assert found[1]["pcrs"] == {str(pcr): pcrs_of(2)[pcr].hex() for pcr in (4, 9, 11)}
    assert desk.cji("list", desk.folder / "releases.json").stdout == f"{OLD}, in force\n{NEW}, in force\n"
    bill = json.loads((desk.new / "sbom.cdx.json").read_bytes())
    assert bill["metadata"]["component"]["name"] == "cji-worker"
    assert {each["name"] for each in bill["components"]} == {"cji-engine", "one"}


def test_a_release_verifies_without_a_network(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", None)
    found = json.loads(desk.cji("verify", desk.new, "--json").stdout)
    assert (found["release"], found["entries"], found["missing"]) == (NEW, 2, [])
    assert {"SHA256SUMS", "image/cji-worker.efi", "provenance.intoto.json"} <= set(found["files"])


def test_a_part_of_a_release_verifies(desk: Desk, tmp_path: Path) -> None:
    own = changed(desk, tmp_path)
    shutil.rmtree(own / "image")
    assert "not in the folder: image/cji-worker.efi" in desk.cji("verify", own).stdout
    for each in own.iterdir():
        if each.name not in {"release.json", "releases.json"}:
            each.unlink()
    desk.cji("verify", own, status=2)


def test_a_mix_of_two_releases_is_refused(desk: Desk, tmp_path: Path) -> None:
    own = changed(desk, tmp_path)
    shutil.copy(desk.old / "image/cji-worker.efi", own / "image")
    found = desk.cji("verify", own, status=3).output
    assert f"image/cji-worker.efi is of {OLD}, not of {NEW}" in found


@pytest.mark.parametrize("name", ["image/cji-worker.efi", "SHA256SUMS", "more.whl", "image/more"])
def test_a_file_that_nobody_released_is_refused(desk: Desk, tmp_path: Path, name: str) -> None:
    own = changed(desk, tmp_path)
    with (own / name).open("ab") as file:
        file.write(b"x")
    assert f"{name} is of no release in the log" in desk.cji("verify", own, status=3).output


def test_a_link_is_refused(desk: Desk, tmp_path: Path) -> None:
    """What it leads to, such as a folder with another image, would not be read."""
    own = changed(desk, tmp_path)
    (own / "image").rename(tmp_path / "image")
    (own / "image").symlink_to(tmp_path / "image")
    assert "'image' is not a file" in desk.cji("verify", own, status=3).output


def test_an_entry_of_another_log_is_refused(desk: Desk, tmp_path: Path) -> None:
    own = changed(desk, tmp_path)
    entry = json.loads((own / "release.json").read_bytes())
    entry["entry"] = json.loads((desk.old / "release.json").read_bytes())["entry"]
    (own / "release.json").write_text(json.dumps(entry))
    desk.cji("verify", own, status=3)


def test_an_old_copy_of_the_log_is_refused(desk: Desk) -> None:
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400 + 60))
    refused = desk.cji("verify", desk.new, "--at", later, status=3).output
    assert "within max_age_seconds" in refused
    assert "cji release fetch" in refused


def test_the_folder_is_published_as_it_was_made(desk: Desk, tmp_path: Path) -> None:
    own = changed(desk, tmp_path)
    desk.publishes(own, status=2)  # it has been published: release.json is there
    for name in ("release.json", "releases.json"):
        (own / name).unlink()
    (own / "more.whl").write_bytes(b"x")
    desk.publishes(own, status=2)
    (own / "more.whl").unlink()
    desk.publishes(own, key="other.key", status=3)  # a key that the policy does not name
    desk.publishes(own, status=3)  # the same version once more
    (own / "SHA256SUMS.sig").write_text("AAAA\n")
    (own / "release.statement").unlink()
    desk.publishes(own, status=2)


def test_a_publication_that_was_interrupted_goes_on(desk: Desk, tmp_path: Path) -> None:
    """The log took the statement, and its answer was lost: the same statement is no second release."""
    folder = make_release(tmp_path / "packages", desk.folder / "cosign.key", version="0.2.1", seed=None)
    handle, lost = desk.agency.handler.handle, []

    def losing(request: Any) -> Answer:
        handle(request)
        lost.append(request.path)
        return Answer(status=503)

    desk.agency.handler.handle = losing
    desk.publishes(folder, status=4)
    desk.agency.handler.handle = handle
    assert len(lost) == 1
    desk.agency.handler.handle = lambda request: handle(request) if request.method == "POST" else Answer(status=503)
    desk.publishes(folder, status=4)  # it is in the log, and the copy of the log is not here yet
    desk.agency.handler.handle = handle
    assert "cji-worker 0.2.1" in desk.publishes(folder).stdout
    assert [each.name for each in folder.glob("release*")] != []
    assert not (folder / "release.statement").exists()
    desk.fetches()
    shown = desk.cji("list", desk.folder / "releases.json").stdout
    assert shown.count("0.2.1") == 1


def test_a_log_that_forgets_is_found_by_a_reader(desk: Desk) -> None:
    desk.fetches("mine.json")
    mine = desk.folder / "mine.json"
    copy = json.loads(mine.read_bytes())
    copy["entries"][0], copy["entries"][1] = copy["entries"][1], copy["entries"][0]
    mine.write_text(json.dumps(copy, separators=(",", ":"), ensure_ascii=False))
    before = mine.read_bytes()
    assert "two histories" in desk.fetches("mine.json", status=3).output
    assert mine.read_bytes() == before


def test_everybody_reads_and_a_publisher_alone_writes(desk: Desk) -> None:
    (desk.folder / "wrong.token").write_text("x" * 40)
    folder = make_release(desk.folder / "third", desk.folder / "cosign.key", version="0.3.0", seed=None)
    by = ("--token-file", desk.folder / "wrong.token", "--key", desk.folder / "release.key")
    assert "another token" in desk.cji("publish", folder, *by, status=3).output
    assert desk.agency.monitor(token=None).with_entries
    assert desk.agency.monitor(token=None).findings == []


def test_z_a_withdrawn_release_is_refused(desk: Desk, tmp_path: Path) -> None:
    """The last test: it changes the log."""
    old = Path(shutil.copytree(desk.old, tmp_path / "old"))
    desk.cji("verify", old, "--releases", desk.folder / "releases.json")
    assert OLD in desk.withdraws(OLD).stdout
    refused = desk.cji("verify", old, "--releases", desk.folder / "releases.json", status=3).output
    assert f"{OLD}, withdrawn " in refused
    assert "CVE-2026-1" in refused
    desk.withdraws(OLD, status=2)
    assert f"{NEW}, in force" in desk.cji("list", desk.folder / "releases.json").stdout
    assert desk.agency.monitor(token=None).findings == []
