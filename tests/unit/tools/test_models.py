"""The runner of the models: what it calls complete, what it compares, and that the tree's own table lacks nothing."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tools import models
from tools.models import Line, Model, Outcome, TableError, Verdict, difference, gaps, lines, outcome

SMALL = """/* The number stays small.
 *
 * Bounds: none.
 */
byte x; bool done;
#ifndef BREAK_STOP
#define MOST 9
#else
#define MOST 19
#endif
active proctype P() { do :: x < MOST -> x++ :: else -> break od; done = true }
ltl small { [] (x < 10) }
ltl grown { [] (done -> x > 8) }
ltl ends { <> done }
ltl use { [] !done }
"""
TABLE = """# spin 0: model, property, options, verdict, states
small\tsmall\t-\tHOLDS\t0
small\tgrown\t-\tHOLDS\t0
small\tends\t-a -f\tHOLDS\t0
small\tuse\t-\tVIOLATED\t0
small\tsmall\t-DBREAK_STOP\tVIOLATED\t0
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with its table, whose states are written as they are found."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "small.pml").write_text(SMALL)
    (folder / "verdicts.tsv").write_text(TABLE)
    assert models.main(["--write"], folder=folder) == 0
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(written, tmp_path / "models")


def rewrite(folder: Path, old: str, new: str) -> None:
    table = folder / "verdicts.tsv"
    assert re.search(old, table.read_text())
    table.write_text(re.sub(old, new, table.read_text(), count=1))


def test_a_table_that_agrees_passes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "spin 0" not in (folder / "verdicts.tsv").read_text()
    assert models.main([], folder=folder) == 0
    assert "1 models, 5 searches, 1 with a broken guard" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "printed"),
    [
        (r"use\t-\tVIOLATED", "use\t-\tHOLDS", "small use: VIOLATED"),
        (r"small\t-\tHOLDS", "small\t-\tVIOLATED", "small small: HOLDS"),
        (r"small\t-\tHOLDS\t(\d+)", r"small\t-\tHOLDS\t1\1", "states, expected 1"),
        (r"small\tsmall\t-DBREAK_STOP.*\n", "", "BREAK_STOP is never seen to matter"),
        (r"small\tends.*\n", "", "ends never holds"),
    ],
)
def test_a_table_that_differs_fails(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, printed: str
) -> None:
    rewrite(folder, old, new)
    assert models.main([], folder=folder) == 1
    assert printed in capsys.readouterr().out


@pytest.mark.parametrize(("old", "new", "name"), [("9", "10", "small"), ("> 8", "> 9", "grown")])
def test_of_promises_that_share_a_search_the_broken_one_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, name: str
) -> None:
    (folder / "small.pml").write_text(SMALL.replace(old, new, 1))
    assert models.main([], folder=folder) == 1
    of_both = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith(("small small:", "small grown:"))
    ]
    assert [line.split(" (")[0] for line in of_both if "VIOLATED" in line] == [f"small {name}: VIOLATED"]


@pytest.mark.parametrize(("seconds", "depth"), [(models.SECONDS, 5), (0.0, models.DEPTH)], ids=["depth", "time"])
def test_a_truncated_search_never_holds(folder: Path, seconds: float, depth: int) -> None:
    line = Line(model="small", name="small", options=(), expected=Outcome(Verdict.HOLDS, 0))
    found = models.check(folder, [line], seconds=seconds, depth=depth)
    assert [each.verdict for each in found] == [Verdict.INCOMPLETE]
    assert difference(line.expected, found[0], exact=False) is not None


@pytest.mark.parametrize(
    ("output", "verdict"),
    [
        ("depth reached 9, errors: 0\n  12 states, stored", Verdict.HOLDS),
        ("pan:1: assertion violated  !( !((x<10))) (at depth 9)\ndepth reached 9, errors: 1\n", Verdict.VIOLATED),
        ("pan:1: acceptance cycle (at depth 9)\ndepth reached 9, errors: 1\n", Verdict.VIOLATED),
        ("pan:1: indexing x[9] (at depth 9)\ndepth reached 9, errors: 1\n", Verdict.INCOMPLETE),
        ("error: max search depth too small\ndepth reached 9, errors: 0\n  12 states, stored", Verdict.INCOMPLETE),
        ("error: max search depth too small\ndepth reached 9, errors: 1\n  12 states, stored", Verdict.INCOMPLETE),
        ("pan: reached -DMEMLIM bound\ndepth reached 9, errors: 0\n  12 states, stored", Verdict.INCOMPLETE),
        ("Warning: Search not completed\ndepth reached 9, errors: 0\n  12 states, stored", Verdict.INCOMPLETE),
        ("pan: out of memory", Verdict.INCOMPLETE),
        ("", Verdict.INCOMPLETE),
    ],
)
def test_only_a_complete_search_has_a_verdict(output: str, verdict: Verdict) -> None:
    assert outcome(output).verdict is verdict


def test_states_are_exact_for_the_version_of_the_table() -> None:
    expected = Outcome(Verdict.HOLDS, 100)
    assert difference(expected, Outcome(Verdict.HOLDS, 101), exact=True) is not None
    assert difference(expected, Outcome(Verdict.HOLDS, 101), exact=False) is None
    assert difference(expected, Outcome(Verdict.HOLDS, 201), exact=False) is not None
    assert difference(expected, Outcome(Verdict.HOLDS, 49), exact=False) is not None


@pytest.mark.parametrize(
    "line", ["small\tsmall\t-\tHOLDS", "small\tsmall\t-\tMAYBE\t1", "small\tsmall\t-\tHOLDS\tmany", "small"]
)
def test_a_malformed_line_is_refused(line: str) -> None:
    with pytest.raises(TableError, match=":2:"):
        list(lines(f"# spin 6: \n{line}\n"))


def test_a_model_that_spin_refuses_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "small.pml").write_text(SMALL.replace("x++", "y++"))
    assert models.main([], folder=folder) == 2
    assert "spin" in capsys.readouterr().err


def test_a_counterexample_can_be_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "small.pml").write_text(SMALL.replace("x++", r'atomic { x++; printf("| x is %d\n", x) }'))
    assert models.main(["--trace", "small small -DBREAK_STOP"], folder=folder) == 0
    assert "x is 10" in capsys.readouterr().out


TREE = models.models(models.FOLDER)
PAGE = " ".join((ROOT / "docs/protocol.md").read_text().split())


def test_the_table_of_the_tree_lacks_nothing() -> None:
    table = list(lines((models.FOLDER / "verdicts.tsv").read_text()))
    assert list(gaps(TREE, table)) == []
    assert [str(line) for line in table if line.expected.verdict is Verdict.INCOMPLETE] == []


@pytest.mark.parametrize("model", TREE, ids=lambda model: model.name)
def test_each_promise_is_documented_as_its_model_has_it(model: Model) -> None:
    assert f"(../tests/models/{model.name}.pml)" in PAGE
    assert model.promise in PAGE


@pytest.mark.parametrize("page", ["LIMITATIONS.md", "docs/protocol.md", "docs/fleet.md", "docs/format.md"])
def test_each_model_that_is_named_exists(page: str) -> None:
    named = set(re.findall(r"tests/models/(\w+)\.pml", (ROOT / page).read_text()))
    assert named <= {model.name for model in TREE}
    assert named or page not in {"LIMITATIONS.md", "docs/protocol.md"}


TRACES = re.findall(
    r"^\| .+ \| `([^`]+)` \| `([^`:]+)::([^`]+)` \|$", (ROOT / "docs/protocol.md").read_text(), re.MULTILINE
)


def test_each_trace_has_a_search_and_a_test() -> None:
    """The search with the broken guard is one of the table, and the test that replays its trace is there."""
    table = {str(line): line for line in lines((models.FOLDER / "verdicts.tsv").read_text())}
    assert len(TRACES) > 10
    for search, path, test in TRACES:
        assert table[search].broken, search
        assert f"def {test}(" in (ROOT / path).read_text(), test


@pytest.mark.parametrize("model", TREE, ids=lambda model: model.name)
def test_each_file_that_a_model_is_of_exists(model: Model) -> None:
    text = (models.FOLDER / f"{model.name}.pml").read_text()
    of = " ".join(re.findall(r"^ \* (?:Of: )?(.*)", text[: text.index("*/")], re.MULTILINE))
    named = re.findall(r"[\w/]+\.py\b", of)
    tracked = [
        str(path.relative_to(ROOT)) for part in ("core", "worker", "client") for path in (ROOT / part).rglob("*.py")
    ]
    assert named
    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in tracked)] == []
