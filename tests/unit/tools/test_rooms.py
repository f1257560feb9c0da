"""The table of rooms in CONTRIBUTING is the tree: no folder without a row, no row without a folder."""

import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from tests.support.paths import ROOT

_TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """The text below a heading, to the next one."""
    return re.split(r"^#+ ", _TEXT.partition(f" {heading}\n")[2], maxsplit=1, flags=re.M)[0]


def rows(text: str) -> Iterator[str]:
    """The rooms of a table. A name without a slash inside is beside the room before it."""
    for line in text.splitlines():
        before = PurePosixPath()
        for name in re.findall(r"`([^`]+)`", line.partition("| ")[2].partition(" |")[0]):
            beside = before.parent / name if len(before.parts) > 1 and "/" not in name else PurePosixPath(name)
            before = beside
            yield str(beside)


def tree(files: Iterable[str]) -> tuple[set[str], set[str]]:
    """The folders that need a row, top-level ones and those right below a package; and all folders."""
    paths = [PurePosixPath(file) for file in files]
    every = {str(parent) for path in paths for parent in path.parents} - {"."}
    top = {path.parts[0] for path in paths if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    packages = {
        str(PurePosixPath(*path.parts[:3]))
        for path in paths
        if path.suffix == ".py" and len(path.parts) > 3 and path.parts[1] == f"cji_{path.parts[0]}"
    }
    return top | packages, every


def faults(text: str, files: Iterable[str]) -> list[str]:
    """What the table and the tree do not have in common, and rooms with two rows."""
    found, (needed, every) = [*rows(text)], tree(files)
    return [
        *(f"{room} has no row" for room in sorted(needed - {*found})),
        *(f"{room} is not a folder" for room in sorted({*found} - every)),
        *(f"{room} has two rows" for room in sorted({room for room in found if found.count(room) > 1})),
    ]


def tracked() -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file()]


def test_the_table_of_rooms_is_the_tree() -> None:
    assert faults(section("Rooms"), tracked()) == []


def test_a_folder_or_a_row_without_the_other_is_found() -> None:
    table = "| room | |\n|---|---|\n| **`core/`** | `c` |\n| `core/cji_core/trail`, `page`, `core/cji_core/job` | |\n"
    files = (
        "core/cji_core/trail/a.py",
        "core/cji_core/wire/v1/b.py",
        "core/cji_core/page/a.py",
        "docs/a.md",
        ".ci/run",
    )
    assert faults(table, files) == [
        "core/cji_core/wire has no row",
        "docs has no row",
        "core/cji_core/job is not a folder",
    ]
    assert faults("| `docs/`, `docs/` | |", ["docs/a.md"]) == ["docs has two rows"]


def test_the_contracts_are_those_of_the_linter() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    listed = [int(number) for number in re.findall(r"^(\d+)\. ", section("Who may import whom"), re.M)]
    assert listed == sorted({int(contract["name"].partition(":")[0]) for contract in contracts}) == [*range(1, 10)]
