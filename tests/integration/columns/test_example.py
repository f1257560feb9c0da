"""examples/columns: the commands of its page, in a fresh folder; its cells are those of tedious, of examples/link."""

import csv
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cji_simulator.site import open_site
from tests.support.always_encrypted import Tedious
from tests.support.paths import ROOT
from tests.support.simulations import simulated

EXAMPLE = ROOT / "examples/columns"
SIMULATED = """cji-simulator() {
    shift
    python -c 'from pathlib import Path; from cji_core.command import build; from cji_simulator import Simulation
build(Simulation.running(Path(".demo")).trust)()' "$@"
}
"""
"""`cji-simulator cji` without `cji-simulator up`: the fixture has started what it would."""
COMMANDS = "".join(re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def cek(name: str) -> bytes:
    (key,) = [each for each in tomllib.loads((EXAMPLE / "columns.toml").read_text())["keys"] if each["name"] == name]
    pem = (EXAMPLE / "cmk.pem").read_bytes()
    return Tedious().open_encrypted_value(bytes.fromhex(key["encrypted_value"]), key["master_key"], pem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all commands of the page have run."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "examples/columns")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with simulated(folder / ".demo") as azure, open_site(folder / ".demo/worker", azure):
        command = ["bash", "-euc", SIMULATED + COMMANDS]
        environment = os.environ | {"PATH": path}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return folder


def test_each_person_has_a_cluster_that_only_the_key_opens(folder: Path) -> None:
    result = rows(folder / ".demo/agency/linked/result.csv")
    assert all(row["cluster"].startswith("0x01") for row in result)
    cells = [bytes.fromhex(row["cluster"][2:]) for row in result]
    clusters = dict(
        zip((row["record_id"] for row in result), Tedious().open("bigint", cells, cek("CEK_Link")), strict=True)
    )
    assert clusters["1"] == clusters["2"] != clusters["3"] == clusters["4"]
    assert len(set(clusters.values())) == 7


@pytest.mark.parametrize(
    ("column", "sql", "record"),
    [("LastName", "nvarchar(60)", "last"), ("FirstName", "nvarchar(60)", "first"), ("SSN", "char(9) cp1252", "SOC")],
)
def test_its_cells_are_the_persons_of_link(column: str, sql: str, record: str) -> None:
    cells = [bytes.fromhex(row[column][2:]) or None for row in rows(EXAMPLE / "people.csv")]
    values = Tedious().open(sql, cells, cek("CEK_Identity"))
    assert values == [row[record] or None for row in rows(ROOT / "examples/link/people.csv")]
