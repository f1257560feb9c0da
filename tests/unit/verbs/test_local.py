"""The command without what computes: all but `cji link`, which names the extra that it needs."""

import subprocess
import sys

from tests.support.paths import ROOT

WITHOUT = """
import sys

class Without:
    @staticmethod
    def find_spec(name, *_):
        if name.startswith("cji_operations"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without)
from cji_core.command import build
build()(sys.argv[1:], prog_name="cji")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", WITHOUT, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_link_names_the_extra_that_it_needs() -> None:
    refused = run("link", "count", "people.csv")
    assert refused.returncode == 2
    assert "this verb needs the package cji_operations" in refused.stderr
    assert "pip install 'cji-client[local]'" in refused.stderr


def test_rules_of_clearance_are_checked_without_it() -> None:
    checked = run("clear", "check", "core/cji_core/operations/clear/california.toml")
    assert checked.returncode == 0, checked.stderr
    assert "The table decides on a charge of the kind conviction where" in checked.stdout


def test_schemas_and_operations_are_listed_without_it() -> None:
    shown = run("schema", "show", "pairs/1")
    assert shown.returncode == 0, shown.stderr
    assert "clear" in run("job", "run", "--help").stdout
