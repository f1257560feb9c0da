"""How long results are kept, and their deletion."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_audit.dissemination import RulesError, delete, load_rules, review
from cji_core.command import build
from tests.support.receipts import signed_receipt

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RULES = "[keep]\nledger_days = 365\nresult_days = 30\n"
NAMES = ("evidence.json", "ledger.csv", "receipt.jws", "report.html", "result.csv")


def result(folder: Path, *, days: int) -> Path:
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_text("x")
    ended = (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.00Z")
    (folder / "receipt.jws").write_text(signed_receipt(ended=ended) + "\n")
    return folder


def rules(tmp_path: Path, text: str = RULES) -> Path:
    path = tmp_path / "retention.toml"
    path.write_text(text)
    return path


def states(tmp_path: Path, text: str = RULES) -> dict[str, str]:
    found = review([tmp_path / "results"], load_rules(rules(tmp_path, text)), now=NOW)
    return {f"{each.path.parent.name}/{each.path.name}": each.state for each in found}


@pytest.mark.parametrize(
    ("days", "due"),
    [(29, set()), (30, {"report.html", "result.csv"}), (364, {"report.html", "result.csv"}), (365, {*NAMES})],
)
def test_each_file_by_its_age(tmp_path: Path, days: int, due: set[str]) -> None:
    result(tmp_path / "results" / "job", days=days)
    assert states(tmp_path) == {f"job/{name}": "due" if name in due else "kept" for name in NAMES}


def test_a_result_that_is_kept_long_keeps_its_ledger_as_long(tmp_path: Path) -> None:
    result(tmp_path / "results" / "job", days=400)
    assert set(states(tmp_path, "[keep]\nledger_days = 365\nresult_days = 500\n").values()) == {"kept"}


def test_a_hold_and_an_unknown_age_keep_everything(tmp_path: Path) -> None:
    result(tmp_path / "results" / "2026-03-held", days=4000)
    result(tmp_path / "results" / "2026-03-cases" / "inner", days=4000)
    unknown = result(tmp_path / "results" / "torn", days=4000)
    (unknown / "receipt.jws").write_text("not a receipt")
    bare = tmp_path / "results" / "bare"
    bare.mkdir()
    (bare / "ledger.csv").write_text("x")
    hold = f'{RULES}\n[[holds]]\nfolder = "2026-03-*"\nreason = "State v. Doe"\n'
    found = states(tmp_path, hold)
    assert {name: state for name, state in found.items() if state != "on hold"} == {
        "bare/ledger.csv": "age unknown",
        **{f"torn/{name}": "age unknown" for name in NAMES},
    }


def test_deletion_is_recorded_first_and_stops_at_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = result(tmp_path / "results" / "job", days=30)
    removed: list[str] = []

    def unlink(path: Path) -> None:
        recorded = [json.loads(line)["deleted"] for line in (folder / "deleted.jsonl").read_text().splitlines()]
        assert recorded == [*removed, path.name]
        removed.append(path.name)
        if path.name == "result.csv":
            raise PermissionError(13, "no", str(path))

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(PermissionError):
        delete(review([tmp_path / "results"], load_rules(rules(tmp_path)), now=NOW), now=NOW)
    assert removed == ["report.html", "result.csv"]


def retention(*arguments: object) -> Result:
    return CliRunner().invoke(build(), ["ledger", "retention", *map(str, arguments)], catch_exceptions=False)


def test_the_command_lists_and_then_deletes(tmp_path: Path) -> None:
    folder = result(tmp_path / "results" / "job", days=10_000)
    young = result(tmp_path / "results" / "young", days=-10_000)
    listed = retention(tmp_path / "results", "--rules", rules(tmp_path))
    assert "5 of 10 files are due, 0 were deleted" in listed.stdout
    assert sorted(each.name for each in folder.iterdir()) == sorted(NAMES)
    done = json.loads(retention(tmp_path / "results", "--rules", rules(tmp_path), "--delete", "--json").stdout)
    assert done["deleted"] == 5
    assert [each.name for each in folder.iterdir()] == ["deleted.jsonl"]
    assert sorted(each.name for each in young.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[keep]\nledger_days = 364\nresult_days = 30\n",
        "[keep]\nledger_days = 365\n",
        f"{RULES}extra = 1\n",
        f'{RULES}\n[[holds]]\nfolder = "*"\n',
        "[keep",
    ],
)
def test_rules_that_keep_too_short_or_are_unclear_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RulesError):
        load_rules(rules(tmp_path, text))
    (tmp_path / "results").mkdir()
    assert retention(tmp_path / "results", "--rules", rules(tmp_path, text)).exit_code == 2
