"""The examples, run as their page says, with the outputs that it promises."""

import csv
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cji_audit.dissemination import Subject, dissemination_ledgers, find_disclosures
from cji_client.verbs.link_sample import read_sample
from cji_core.command import build
from cji_simulator.site import Site
from tests.support.paths import ROOT

PAGE = (ROOT / "examples/README.md").read_text()
COMMANDS = [line for line in PAGE.splitlines() if line.startswith(("cji key", "cji clear", "cji-simulator cji"))]


README = (ROOT / "README.md").read_text()


def test_the_program_of_the_readme(site: Site) -> None:
    """Unchanged but for the simulation that it finds, with the files that it names."""
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for of_a_reader, here in (
        ('Simulation.running(Path(".demo"))', "simulation"),
        ('".demo/worker/client/client.toml"', repr(str(site.files.profile))),
    ):
        assert of_a_reader in program
        program = program.replace(of_a_reader, here)
    scope: dict[str, object] = {"simulation": site.simulation}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        exec(program, scope)
    tables = scope["tables"]
    assert isinstance(tables, dict)
    assert tables["result"].num_rows == 12
    assert len(set(tables["result"]["cluster"].to_pylist())) == 7
    assert tables["row_status"].num_rows == 12


def test_the_commands_of_the_readme(site: Site, tmp_path: Path) -> None:
    commands = [line for line in README.splitlines() if line.startswith("cji-simulator cji ")]
    assert len(commands) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for command in commands:
            here = command.replace(".demo/worker/client/client.toml", str(site.files.profile))
            words = shlex.split(here.replace(".demo/linked", str(tmp_path / "linked")))
            found = CliRunner().invoke(build(site.simulation.trust), words[2:])
            assert found.exit_code == 0, found.output
    assert (tmp_path / "linked/report.html").is_file()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def outputs(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All commands of the page, one after the other, in a copy of the repository's examples."""
    folder = tmp_path_factory.mktemp("examples")
    # a reader of the page has made a project key and a table of rules there, which the first commands make again
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("study.json", "rules.toml"))
    cji = build(site.simulation.trust)
    assert len(COMMANDS) == 17
    for command in COMMANDS:
        words = shlex.split(
            command.removeprefix("cji-simulator ").replace("$PROFILE", str(site.files.profile)), comments=True
        )[1:]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            result = CliRunner().invoke(cji, words, catch_exceptions=False)
        assert result.exit_code == 0, f"{command}: {result.output}"
    return folder


def test_validate(outputs: Path) -> None:
    found = rows(outputs / "findings/result.csv")
    assert [(row["row"], row["rule"], row["value"]) for row in found] == [("11", "404", "X"), ("13", "152", "24")]
    assert [row["accepted"] for row in rows(outputs / "findings/incidents.csv")] == ["true", "true", "false", "false"]
    assert [row["rejected_per_10000"] for row in rows(outputs / "findings/rates.csv")] == ["5000"]
    lines = (outputs / "findings/eds.txt").read_text().splitlines()
    assert [len(line) for line in lines] == [146] * 3
    assert lines[-1][14:23] == "999999999"


def test_clear(outputs: Path) -> None:
    found = rows(outputs / "cleared/determinations.csv")
    assert [(row["row"], row["relief"], row["rule"]) for row in found] == [
        ("1", "dismiss", "p64-dismiss"),
        ("2", "reduce_to_misdemeanor", "p64-misdemeanor"),
        ("4", "review", "p64-review"),
        ("5", "none", "none"),
        ("6", "dismiss_by_court", "prison-1203.42"),
    ]
    assert [(row["row"], row["cause"]) for row in rows(outputs / "cleared/not_decided.csv")] == [
        ("7", "AGE_AT_CONVICTION"),
        ("8", "SECTION"),
    ]
    relief = [row["relief"] for row in rows(outputs / "cleared/result.csv")]
    assert relief[:3] == ["", "dismiss", "reduce_to_misdemeanor"]


def test_standardize(outputs: Path) -> None:
    found = rows(outputs / "standard/result.csv")
    assert [(row["last"], row["first"], row["suffix"], row["address_1"]) for row in found] == [
        ("O'NEIL", "SEAN", "JR", "12 N MAIN ST APT 4"),
        ("ONEIL", "SEAN", "", "12 N MAIN ST APT 4"),
        ("", "", "", "Homeless"),
    ]
    assert [(row["DOB"], row["state"], row["postcode"]) for row in found] == [
        ("19820204", "TX", "78701-1234"),
        ("19820204", "TX", "78701"),
        ("198202XX", "TX", "787"),
    ]
    assert [row["status"] for row in rows(outputs / "standard/row_status.csv")] == ["0", "0", "1"]


def test_redact(outputs: Path) -> None:
    found = [row["narrative"] for row in rows(outputs / "redacted/result.csv")]
    assert found == [
        "On [DATE-1] at 2315 hours I, Ofc. [NAME-1], met the complainant, [NAME-2], at [ADDRESS-1] She said that "
        "[NAME-3] kicked in the door and left in a silver Honda with TX plate [PLATE-1]. Ms. [NAME-4]'s phone "
        "number is [PHONE-1].",
        "SUBJECT [NAME-1] DOB [DATE-1] OLN [NUMBER-1] ARRESTED WITHOUT INCIDENT. [NAME-2] SAID SHE WAS IN "
        "[ADDRESS-1] [DATE-2].",
        "",
    ]
    assert [row["status"] for row in rows(outputs / "redacted/row_status.csv")] == ["0", "0", "3"]
    assert len(rows(outputs / "redacted/spans.csv")) == 14


def test_link(outputs: Path) -> None:
    clusters: dict[str, list[str]] = {}
    for row in rows(outputs / "linked/result.csv"):
        clusters.setdefault(row["cluster"], []).append(row["record_id"])
    assert sorted(clusters.values(), key=len) == [
        ["6"],
        ["9"],
        ["10"],
        ["1", "2"],
        ["7", "8"],
        ["11", "12"],
        ["3", "4", "5"],
    ]
    assert "given name: the same" in "".join(row["words"] for row in rows(outputs / "linked/patterns.csv"))
    assert {(row["first_id"], row["rows"]) for row in rows(outputs / "linked/clusters.csv")} == {
        ("1", "2"),
        ("3", "3"),
        ("7", "2"),
        ("11", "2"),
    }
    sample = read_sample(outputs / "linked", outputs / "examples/link/persons.csv")
    assert (sample.pairs, sample.clusters.f1) == (55, 1.0)
    assert "<svg" in (outputs / "thresholds.html").read_text()


def test_pages_for_people(outputs: Path) -> None:
    """Of the operations that have one, made from what the recipient opened."""
    pages = {path.parent.name: path.read_text(encoding="utf-8") for path in outputs.glob("*/report.html")}
    assert pages.keys() == {"findings", "checked", "linked", "counts", "return_a", "leoka", "shr", "ordered", "cleared"}
    assert all("SIMULATED" in page and "Content-Security-Policy" in page for page in pages.values())
    assert "JAYNE" in pages["linked"]
    assert "INCIDENT HOUR MUST BE 00 TO 23" in pages["findings"]


def test_screen(outputs: Path) -> None:
    outcomes = [(row["outcome"], row["best"]) for row in rows(outputs / "hits/result.csv")]
    hits = [("hit", "strong"), ("no_hit", ""), ("hit", "possible"), ("hit", "name_only")]
    assert outcomes == [*hits, ("no_hit", ""), ("not_screenable", "")]
    assert [row["NIC"] for row in rows(outputs / "hits/hits.csv")] == ["W100000001", "W100000002", "W100000003"]


def test_aggregate(outputs: Path) -> None:
    cells = rows(outputs / "counts/result.csv")
    assert {cell["rows"] for cell in cells if cell["hidden"] == "true"} == {""}
    shown = {(cell["key_1"], cell["key_2"]): int(cell["rows"]) for cell in cells if cell["hidden"] == "false"}
    assert min(shown.values()) >= 3
    assert (shown["", "CLAYTON"], shown["", ""]) == (10, 40)
    actual = {(row["form"], row["line"]): row["actual"] for row in rows(outputs / "return_a/result.csv")}
    assert (actual["return_a", "3a"], actual["return_a", "4e"], actual["return_a", "total"]) == ("1", "3", "4")
    officers = {(row["form"], row["line"]): row["actual"] for row in rows(outputs / "leoka/result.csv")}
    assert rows(outputs / "shr/result.csv") == []
    assert (officers["leoka", "12"], officers["leoka", "unclassifiable"]) == ("0", "0")


def test_persons(outputs: Path) -> None:
    found = rows(outputs / "checked/result.csv")
    assert [(row["row"], row["column"], row["code"]) for row in found] == [
        ("2", "NAM", "310"),
        ("2", "DOB", "305"),
        ("2", "HGT", "307"),
        ("2", "SOC", "308"),
        ("3", "SEX", "304"),
        ("3", "DOB", "306"),
        ("3", "WGT", "310"),
        ("3", "SOC", "308"),
        ("3", "OLS", "304"),
    ]
    assert sum(int(row["rows"]) for row in rows(outputs / "checked/counts.csv")) == 9


def test_deidentify(outputs: Path) -> None:
    people, result = rows(outputs / "examples/deidentify/people.csv"), rows(outputs / "study/result.csv")
    assert len(result) == len(people)
    back = {(row["column"], row["token"]): row["value"] for row in rows(outputs / "study/token_map.csv")}
    for name in ("SID", "SOC", "OLN"):
        assert [back[name, row[name]] for row in result] == [row[name] for row in people]
    classes = [(row["SEX"], row["postcode"]) for row in result]
    assert min(classes.count(one) for one in classes) >= 3


def test_match_orders(outputs: Path) -> None:
    result, work = rows(outputs / "ordered/result.csv"), rows(outputs / "ordered/work_list.csv")
    assert [row["cycle"] for row in result if row["expunged"] == "true"] == ["21-0702"]
    assert [(row["cycle"], row["charge"]) for row in result if row["sealed"] == "true"] == [("18-0044", "shoplifting")]
    assert [row["outcome"] for row in work] == ["applied", "applied", "no_event", "several", "no_person"]
    assert (work[3]["subject"], work[3]["second_subject"]) == ("GA00000005", "GA00000006")


def test_disseminate(outputs: Path) -> None:
    result, ledger = rows(outputs / "sent/result.csv"), rows(outputs / "sent/ledger.csv")
    assert [(row["subject"], row["charge"]) for row in result] == [("GA00000001", "burglary"), ("GA00000006", "fraud")]
    assert [(row["subject"], row["rows"]) for row in ledger] == [("GA00000001", "1"), ("GA00000006", "1")]
    assert {row["secondary_recipient"] for row in ledger} == {"Board of Private Security"}
    found = find_disclosures(dissemination_ledgers([outputs]), Subject(subject="GA00000006"))
    assert [(each.purpose, each.secondary_recipient, each.rows) for each in found.found] == [
        ("I", "Board of Private Security", 1)
    ]
    reasons = {row["reason"]: int(row["rows"]) for row in rows(outputs / "sent/withheld.csv")}
    assert {reason for reason, n in reasons.items() if n} == {
        "WITHHELD_EXPUNGED",
        "WITHHELD_SEALED",
        "WITHHELD_JUVENILE",
        "WITHHELD_NON_CONVICTION",
    }
