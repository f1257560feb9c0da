"""Results that are kept, and the pictures of docs/: drawn from the file beside them, readable in the dark."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import pytest
from click.testing import CliRunner

from benchmarks import kept, plot
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.harness import Result
from benchmarks.peers import COSTS, GOALS, PEERS, WALL
from benchmarks.quiet import Measured
from benchmarks.report import Report
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
    same = (tmp_path / "seen.svg").read_bytes() == SEEN.with_suffix(".svg").read_bytes()
    assert same  # without the minutes that a comparison of two pictures takes pytest
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


# ---------------------------------------------------------------------- history


def line(ratio: float, *, machine: str = "x, 2 cores", **more: Any) -> kept.Line:
    return kept.Line(date="2026-11-20", commit="c", machine=machine, ratios={"twin": ratio}, **more)


def standing(value: float, *earlier: kept.Line, load: float = 0.0, name: str = "clear") -> kept.Standing:
    (found,) = kept.compare(result(name, value).after(load), earlier)
    return found


def test_a_loss_is_against_the_best_and_against_the_last() -> None:
    fell_since_the_best = standing(8.5, line(10.0), line(9.2))
    assert (fell_since_the_best.last, fell_since_the_best.best) == (9.2, 10.0)
    assert fell_since_the_best.lost == pytest.approx(0.15)
    assert standing(9.1, line(10.0)).lost == 0  # less than 10 %
    assert standing(9.0, line(10.0)).lost == pytest.approx(0.1)
    assert standing(12.0, line(10.0)).lost == 0
    assert standing(1.0).best is None


def test_only_results_of_one_class_of_machine_are_compared() -> None:
    assert standing(1.0, line(10.0, machine="y, 2 cores"), line(10.0, machine="x, 4 cores")).best is None


def test_after_an_accepted_loss_earlier_lines_do_not_count() -> None:
    accepted = line(5.0, accepted={"twin": "the peer got faster"})
    assert standing(5.1, line(10.0), accepted).lost == 0
    assert standing(4.0, line(10.0), accepted).best == 5.0
    assert standing(4.0, line(10.0), accepted).lost == pytest.approx(0.2)
    of_another = line(5.0, accepted={"echo": "the peer got faster"})
    assert standing(5.1, line(10.0), of_another).best == 10.0


def test_of_a_cost_less_is_better() -> None:
    """Start went from 1.46 to 2.9 s, and nothing objected."""
    machine: dict[str, str | int] = {"cpu": "x", "cores": 2, "date": "2026-11-20"}
    now = Result(name="start", machine=machine, figures={"seconds": 2.9, "spawned_s": 9.0}, ratios={}).after(0.0)
    earlier = line(1.0, costs={"seconds": 1.46, "spawned_s": 0.1})
    (found,) = kept.compare(now, [earlier])
    assert (found.name, found.best) == ("seconds", 1.46)
    assert found.lost == pytest.approx(0.497, abs=0.001)
    assert kept.compare(now, [line(1.0, costs={"seconds": 2.9})])[0].lost == 0


def test_beside_load_only_ratios_of_cpu_times_are_compared() -> None:
    machine: dict[str, str | int] = {"cpu": "x", "cores": 2, "date": "2026-11-20"}
    loud, calm = (
        Result(name="isolation", machine=machine, figures={}, ratios={"isolation": 0.5}).after(load)
        for load in (0.5, 0.0)
    )
    earlier = kept.Line(date="", commit="", machine="x, 2 cores", ratios={"isolation": 0.96})
    assert [(each.compared, each.lost > 0) for each in kept.compare(loud, [earlier])] == [(False, False)]
    assert [(each.compared, each.lost > 0) for each in kept.compare(calm, [earlier])] == [(True, True)]
    assert standing(1.0, line(10.0), load=0.5).lost == pytest.approx(0.9)
    now = Result(name="start", machine=machine, figures={"cpu_s": 4.9}, ratios={}).after(0.5)
    (cost,) = kept.compare(now, [line(1.0, costs={"cpu_s": 2.3})])
    assert (cost.compared, cost.lost) == (False, 0)


def test_a_history_only_grows_and_has_the_commit_and_the_load(tmp_path: Path) -> None:
    history = tmp_path / "history"
    loud = Result(
        name="clear",
        machine={"cpu": "x", "cores": 2, "date": "2026-11-20"},
        figures={"events_per_s": 1.0},
        ratios={"twin": Measured.of(2.0, 0.04)},
    ).after(0.5)
    kept.add(loud, history)
    first = (history / "clear.jsonl").read_bytes()
    kept.add(result("clear", 1.0).after(0.0), history, accepted="a slower rule")
    assert (history / "clear.jsonl").read_bytes().startswith(first)
    before, after = kept.lines(history, "clear")
    assert (before.ratios, before.load, before.accepted) == ({"twin": 2.0}, 0.04, {})
    assert (after.ratios, after.accepted) == ({"twin": 1.0}, {"twin": "a slower rule"})
    assert re.fullmatch(r"([0-9a-f]{12}\+?)?", before.commit)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., click.testing.Result]:
    """Runs `clear`, which finds this ratio with this load of others; the machine is quiet before it unless said."""

    def run(*arguments: str, ratio: float = 1.0, load: float = 0.0, before: float = 0.0) -> click.testing.Result:
        def found(report: Report, *, quick: bool) -> Result:
            machine: dict[str, str | int] = {"cpu": "x", "cores": 2, "date": "2026-11-20"}
            return Result(name="clear", machine=machine, figures={}, ratios={"twin": Measured.of(ratio, load)})

        monkeypatch.setattr("benchmarks.clear.run", found)
        monkeypatch.setattr("benchmarks.__main__.busiest", lambda: (before, [("make", 77, 1.5)]))
        return CliRunner().invoke(main, ["clear", *arguments])

    return run


def test_a_loud_machine_keeps_nothing(tmp_path: Path, toy: Callable[..., click.testing.Result]) -> None:
    path = tmp_path / "seen.json"
    refused = toy("--keep", str(path), before=0.75)
    assert refused.exit_code == 1
    assert "others take 75% of it, at most 5% is allowed. Stop them or wait" in refused.output
    assert "make (77) 1.5 cores" in refused.output
    refused = toy("--keep", str(path), load=0.2)
    assert refused.exit_code == 1
    assert "clear: twin, others took 20%" in refused.output
    assert list(tmp_path.iterdir()) == []
    assert toy("--keep", str(path), load=0.05).exit_code == 0
    assert kept.read(path)[0].loads == {"twin": 0.05}


def test_a_loss_ends_the_command_and_is_kept_only_with_a_reason(
    tmp_path: Path, toy: Callable[..., click.testing.Result]
) -> None:
    keep = ("--keep", str(tmp_path / "seen.json"))
    history = tmp_path / "history"
    assert toy(*keep, ratio=2.0).exit_code == 0
    lost = toy(*keep, ratio=1.0)
    assert lost.exit_code == 3
    assert "clear: twin lost 50%: 1 now, 2 in the last line kept, 2 in the best; others took 0%" in lost.output
    assert [each.ratios["twin"] for each in kept.lines(history, "clear")] == [2.0]
    assert toy(*keep, "--accept", "the peer got faster", ratio=1.0).exit_code == 0
    assert toy(*keep, ratio=0.95).exit_code == 0
    assert [each.ratios["twin"] for each in kept.lines(history, "clear")] == [2.0, 1.0, 0.95]
    assert toy("--accept", "x").exit_code == 2


def test_every_run_is_compared_with_the_history_of_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Callable[..., click.testing.Result]
) -> None:
    monkeypatch.setattr(kept, "HISTORY", tmp_path)
    kept.add(result("clear", 2.0).after(0.0), tmp_path)
    assert toy(ratio=1.0).exit_code == 3
    assert toy(ratio=1.95).exit_code == 0
    assert toy("--quick", ratio=1.0).exit_code == 0  # a first look, with less input


def test_histories_of_the_tree_can_be_read() -> None:
    names = {path.stem for path in kept.HISTORY.glob("*.jsonl")}
    assert names <= set(BENCHMARKS)
    assert all(kept.lines(kept.HISTORY, name) for name in names)


def test_what_is_compared_by_wall_time_is_a_ratio() -> None:
    assert set(PEERS) >= WALL
    assert not COSTS & set(PEERS)
