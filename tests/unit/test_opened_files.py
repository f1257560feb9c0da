"""Files that the service manager opens for the worker, as sd_listen_fds(3) hands them over."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

_PROGRAM = """
import json, os, sys
from cji_worker.notify import opened_files
if sys.argv[1] == "mine":
    os.environ["LISTEN_PID"] = str(os.getpid())
found = opened_files()
texts = {name: os.pread(fd, 100, 0).decode() for name, fd in found.items()}
print(json.dumps([found, texts, [os.get_inheritable(fd) for fd in found.values()], opened_files()]))
"""


def handed(folder: Path, whose: str, *names: str) -> list[object]:
    """What a process finds whose descriptors from 3 on are files of these names."""
    paths = [folder / name for name in names]
    for path in paths:
        path.write_text(f"{path.name} itself")
    opened = "".join(f" {3 + number}<{path}" for number, path in enumerate(paths))
    environment = {**os.environ, "LISTEN_PID": "1", "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
    script = f'exec "$0" -c "$1" "$2"{opened}'
    command = ["sh", "-c", script, sys.executable, _PROGRAM, whose]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True)
    found: list[object] = json.loads(done.stdout)
    return found


def test_files_arrive_by_name_and_once(tmp_path: Path) -> None:
    found, texts, inheritable, again = handed(tmp_path, "mine", "firmware-log", "userspace-log")
    assert found == {"firmware-log": 3, "userspace-log": 4}
    assert texts == {"firmware-log": "firmware-log itself", "userspace-log": "userspace-log itself"}
    assert inheritable == [False, False]
    assert again == {}


def test_a_log_that_is_not_there_leaves_the_other(tmp_path: Path) -> None:
    """OpenFile= with `graceful`, on a machine that systemd-stub did not start."""
    found, *_ = handed(tmp_path, "mine", "firmware-log")
    assert found == {"firmware-log": 3}


def test_descriptors_of_another_process_are_not_taken(tmp_path: Path) -> None:
    assert handed(tmp_path, "another", "firmware-log")[0] == {}
