"""Results that are kept, and the pictures of docs/: drawn from the file beside them, readable in the dark."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import kept, plot
from benchmarks.__main__ import main
from benchmarks.harness import Result
from benchmarks.peers import GOALS, PEERS
from tests.support.paths import ROOT

SEEN = ROOT / "docs/benchmarks/seen.json"


def result(name: str, ratio: float, date: str = "2026-11-20") -> Result:
    return Result(name=name, machine={"cpu": "x", "cores": 2, "date": date}, figures={}, ratios={"twin": ratio})


def test_a_result_takes_the_place_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    assert kept.keep([result("a", 1), result("b", 2)], path) == [result("a", 1), result("b", 2)]
    assert kept.keep([result("c", 4), result("a", 3)], path) == [result("a", 3), result("b", 2), result("c", 4)]
    assert kept.read(path) == [result("a", 3), result("b", 2), result("c", 4)]


def test_a_first_look_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    shown = CliRunner().invoke(main, ["clear", "--quick", "--keep", str(path)])
    assert shown.exit_code == 2
    assert "--quick gives no result to keep" in shown.output
    assert not path.exists()


@pytest.mark.timeout(60)
def test_the_picture_is_drawn_from_its_file(tmp_path: Path) -> None:
    """If it fails: python -m benchmarks.plot docs/benchmarks/seen.json docs/benchmarks/seen.svg"""
    plot.write(kept.read(SEEN), tmp_path / "seen.svg")
    assert (tmp_path / "seen.svg").read_bytes() == SEEN.with_suffix(".svg").read_bytes()
    changed = [result("clear", 0.5), *kept.read(SEEN)]
    plot.write(changed, tmp_path / "seen.svg")
    assert (tmp_path / "seen.svg").read_bytes() != SEEN.with_suffix(".svg").read_bytes()


def test_plots_have_colours_for_the_dark() -> None:
    pictures = [SEEN.with_suffix(".svg"), *(ROOT / "docs/fleet").glob("*.svg")]
    assert len(pictures) == 4
    for path in pictures:
        text = path.read_text()
        assert 'id="figure_1"' in text
        assert text.count("prefers-color-scheme: dark") == 1


def test_goals_are_of_ratios_with_a_peer() -> None:
    assert set(GOALS) <= set(PEERS)
