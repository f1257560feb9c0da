"""Where the front listens: in a folder that nobody but root, the worker and one group can enter."""

import os
from pathlib import Path

import pytest

from cji_core.errors import StartupError
from cji_worker.front.server import listening_folder, listening_folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "door"
    found.mkdir(mode=0o700)
    return found


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o2770])
def test_a_private_folder_is_taken(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert listening_folder(str(folder / "front.sock")) == str(folder)


@pytest.mark.parametrize("mode", [0o701, 0o702, 0o704, 0o755, 0o777, 0o1777])
def test_x15_a_folder_that_others_may_enter_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(StartupError, match="open to other users"):
        listening_folder(str(folder / "front.sock"))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_x15_a_folder_of_another_user_is_refused(folder: Path) -> None:
    os.chown(folder, 1, 1)
    with pytest.raises(StartupError, match="open to other users"):
        listening_folder(str(folder / "front.sock"))


def test_no_folder_is_refused(folder: Path) -> None:
    with pytest.raises(StartupError, match="not there"):
        listening_folder(str(folder / "absent" / "front.sock"))
    (folder / "file").touch(mode=0o600)
    with pytest.raises(StartupError, match="open to other users"):
        listening_folder(str(folder / "file" / "front.sock"))


def test_x15_door_and_fleet_share_no_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir(mode=0o700)
    (tmp_path / "same").symlink_to(folder)
    door, fleet, same = (str(tmp_path / name / "front.sock") for name in ("door", "fleet", "same"))
    assert listening_folders([door, fleet]) == [str(folder), str(tmp_path / "fleet")]
    with pytest.raises(StartupError, match="in one folder"):
        listening_folders([door, same])
