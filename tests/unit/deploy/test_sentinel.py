"""The check of detection content: each planted mistake is found, with file, line and column."""

import functools
import json
import os
import re
import shutil
from pathlib import Path
from typing import Final

import pytest

from cji_deploy.check import Outcome, Status
from cji_deploy.check.aztypes import Catalogue
from cji_deploy.check.bicep import parse
from cji_deploy.check.kusto import why_not
from cji_deploy.check.log_table import log_table, written
from cji_deploy.check.sentinel import check_sentinel
from cji_deploy.check.sentinel_rule import duration
from tests.support.paths import ROOT

DEPLOY: Final = ROOT / "deploy"
VECTORS: Final = os.environ.get("CJI_VECTORS")
needs_kusto = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

RULE: Final = """\
id: 5a0b6f2e-6a3c-4a41-9d0e-00000000000{number}
displayName: 'CJI: rule {number}'
description: Found.
severity: High
queryFrequency: PT1H
queryPeriod: PT1H
triggerOperator: GreaterThan
triggerThreshold: 0
tactics: [Collection]
techniques: [T1213]
entityMappings:
  - entityType: Account
    fieldMappings:
      - identifier: Name
        columnName: Submitter
query: |
  SigninLogs
  | where ResultType == "0"
  | project Submitter = UserId, TimeGenerated
"""
WHERE: Final = '  | where ResultType == "0"\n'
# file, what stands there, what is planted, what must be reported
MISTAKES: Final = (
    ("unknown-column", WHERE, '  | where ResultTyp == "0"\n', "18:11: KS142 The name 'ResultTyp' does not refer"),
    ("unknown-table", "  SigninLogs\n", "  SignInLogs\n", "17:3: KS204 The name 'SignInLogs' does not refer"),
    ("type-mismatch", WHERE, "  | where ResultType > 5\n", "18:22: KS106 The operator '>' is not defined"),
    ("syntax", WHERE, "  | where (ResultType\n", "19:46: KS005 Expected: )"),
    ("unknown-function", WHERE, "  | where isblank(UserId)\n", "18:11: KS211"),
    ("unknown-watchlist", WHERE, '  | where UserId in (_GetWatchlist("cji"))\n', "18:36: unknown watchlist 'cji'"),
    ("entity-column", "columnName: Submitter", "columnName: Sender", "15:21: the result has no column 'Sender'"),
    (
        "entity-type",
        "columnName: Submitter",
        "columnName: TimeGenerated",
        "15:21: the column 'TimeGenerated' is",
    ),
    ("entity-kind", "entityType: Account", "entityType: Person", "12:17: unknown entityType 'Person'"),
    ("entity-identifier", "identifier: Name", "identifier: Title", "14:21: identifier 'Title' is not one of"),
    ("unknown-key", "severity: High", "severity: High\nenabled: true", "5:10: unknown key 'enabled'"),
    ("missing-key", "severity: High\n", "", "1:1: severity is missing"),
    ("severity", "severity: High", "severity: Critical", "4:11: severity is not one of"),
    ("period", "queryPeriod: PT1H", "queryPeriod: PT30M", "6:14: queryPeriod is shorter than queryFrequency"),
    ("long-period", "queryPeriod: PT1H", "queryPeriod: P15D", "6:14: queryPeriod is not a duration"),
    ("threshold", "triggerThreshold: 0", "triggerThreshold: few", "8:19: triggerThreshold is not a number"),
    ("tactic", "[Collection]", "[Collecting]", "9:11: unknown tactic 'Collecting'"),
    ("technique", "[T1213]", "[T1213.002]", "10:14: 'T1213.002' is not a technique"),
    ("guid", "id: 5a0b6f2e-", "id: 5a0b6f2-", "1:5: id is not a GUID"),
    ("title", "'CJI: rule", "'Rule", "2:14: displayName does not begin"),
    ("yaml", "severity: High", "severity: [High", "5:1: "),
    ("twice", "severity: High", "severity: High\nseverity: Low", "5:1: Map keys must be unique"),
    ("alias", "description: Found.", "description: &d Found.\nx: *d", "4:4: an alias is not allowed"),
    (
        "long",
        WHERE,
        WHERE + "  //" + "x" * 117 + "\n" + ("  //" + "x" * 117 + "\n") * 80,
        "16:8: with the prelude, the query",
    ),
    ("folded", "query: |", "query: >", "16:8: query is not a literal block"),
)


def folder(tmp_path: Path) -> Path:
    root = tmp_path / "deploy"
    (root / "bicep").mkdir(parents=True)
    shutil.copy(DEPLOY / "bicep/sentinel.bicep", root / "bicep")
    shutil.copytree(DEPLOY / "sentinel", root / "sentinel")
    return root


@functools.cache
def planted(tmp_path: Path) -> dict[str, Outcome]:
    """The outcomes for a folder with every mistake, because loading the language service takes seconds."""
    root = folder(tmp_path)
    shutil.rmtree(root / "sentinel/rules")
    (root / "sentinel/rules").mkdir()
    for number, (name, old, new, _) in enumerate(MISTAKES):
        text = RULE.replace("00000000000{number}", f"{number:012}").replace("{number}", str(number))
        assert old in text
        (root / f"sentinel/rules/{name}.yaml").write_text(text.replace(old, new))
    (root / "sentinel/rules/sound.yaml").write_text(RULE.replace("{number}", "f"))
    (root / "sentinel/rules/sound-again.yaml").write_text(RULE.replace("{number}", "f"))
    workbook = root / "sentinel/workbook/cji-workers.json"
    text = workbook.read_text()
    for old, new in (
        ("count() by bin(", "count() by bim("),
        ('"size": 0', '"sise": 0'),
        ('"visualization": "table"', '"visualization": "pie"'),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    workbook.write_text(text)
    schema = root / "sentinel/schema/cji-audit.json"
    changed = json.loads(schema.read_text())
    changed["transformKql"] = changed["transformKql"].replace("tolong(event['count'])", "tostring(event['count'])")
    schema.write_text(json.dumps(changed))
    health = root / "sentinel/schema/cji-health.json"
    health.write_text(health.read_text().replace("= now()", "= now() | project-away Machine"))
    return {outcome.subject: outcome for outcome in check_sentinel(root)} | {
        outcome.check: outcome for outcome in check_sentinel_without_node(root)
    }


def check_sentinel_without_node(root: Path) -> list[Outcome]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(root))
        return list(check_sentinel(root))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return planted(tmp_path_factory.mktemp("sentinel"))


@needs_kusto
@pytest.mark.parametrize(("name", "problem"), [(name, problem) for name, _, _, problem in MISTAKES])
def test_a_planted_mistake_is_found_at_its_place(outcomes: dict[str, Outcome], name: str, problem: str) -> None:
    found = outcomes[f"{name}.yaml"]
    assert found.status is Status.FAILED
    assert [reason for reason in found.reasons if reason.startswith(f"{name}.yaml:{problem}")], found.reasons


@needs_kusto
def test_a_rule_without_a_mistake_passes_once(outcomes: dict[str, Outcome]) -> None:
    assert {outcomes[name].status for name in ("sound.yaml", "sound-again.yaml")} == {Status.OK, Status.FAILED}
    assert "1:5: id is that of" in "\n".join(outcomes["sound.yaml"].reasons + outcomes["sound-again.yaml"].reasons)


@needs_kusto
def test_a_mistake_in_the_prelude_is_named_there(tmp_path: Path) -> None:
    prelude = folder(tmp_path) / "sentinel/prelude.kql"
    text = prelude.read_text()
    line = text[: text.index("AppDisplayName")].count("\n") + 1
    prelude.write_text(text.replace("AppDisplayName", "AppDisplayNom", 1))
    found = {outcome.subject: outcome for outcome in check_sentinel(tmp_path / "deploy")}["break-glass-sign-in.yaml"]
    assert any(f"prelude.kql:{line}:" in reason and "AppDisplayNom" in reason for reason in found.reasons), (
        found.reasons
    )


@needs_kusto
def test_mistakes_in_a_workbook_are_found(outcomes: dict[str, Outcome]) -> None:
    text = (DEPLOY / "sentinel/workbook/cji-workers.json").read_text().replace("by bin(", "by bim(", 1)
    line = text[: text.index("bim(")].count("\n") + 1
    column = text.index("bim(") - text.rindex("\n", 0, text.index("bim("))
    found = outcomes["cji-workers.json"].reasons
    assert any(reason.startswith(f"cji-workers.json:{line}:{column}: KS211") for reason in found), found
    assert any("unknown key 'sise'" in reason for reason in found)
    assert any("unknown visualization 'pie'" in reason for reason in found)


@needs_kusto
def test_a_transformation_that_makes_another_type_is_found(outcomes: dict[str, Outcome]) -> None:
    reasons = outcomes["cji-audit.json"].reasons
    assert "Count: the table has long, the transformation makes string" in reasons
    (reason,) = outcomes["cji-health.json"].reasons
    assert reason == "Machine: the table has string, the transformation makes None"


def test_without_node_the_check_states_what_did_not_run(outcomes: dict[str, Outcome]) -> None:
    for check in ("sentinel: rule", "sentinel: workbook", "sentinel: transformation"):
        assert (outcomes[check].status, outcomes[check].reasons) == (Status.NOT_RUN, ("node is not installed",))
    assert outcomes["sentinel: table of events"].status is Status.FAILED
    assert "python -m cji_deploy.check.log_table" in outcomes["sentinel: table of events"].reasons[0]


def test_rules_that_are_not_deployed_are_found(outcomes: dict[str, Outcome]) -> None:
    reasons = outcomes["sentinel: rules deployed"].reasons
    assert "sound.yaml is not deployed" in reasons
    line = (DEPLOY / "bicep/sentinel.bicep").read_text().split("mass-release.yaml")[0].count("\n") + 1
    assert f"sentinel.bicep:{line}: mass-release.yaml does not exist, or is loaded twice" in reasons


def test_the_shipped_table_is_that_of_the_events() -> None:
    assert (DEPLOY / "sentinel/schema/cji-audit.json").read_text() == written()
    columns = {column["name"]: column["type"] for column in log_table()["table"]["columns"]}
    assert columns["TimeGenerated"] == "dateTime"
    assert columns["VolumesChriRowsOut"] == "long"
    assert columns["About"] == "dynamic"  # a list in one event, a word in another
    assert len(columns) < 500  # columns of a table, Azure Monitor's limit


@pytest.mark.vectors
@pytest.mark.skipif(VECTORS is None, reason="CJI_VECTORS is not set: Azure's resource types are not here")
@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("severity: rule", "severety: rule", "unknown property 'severety'; did you mean 'severity'?"),
        ("kind: 'Scheduled'", "kind: 'Planned'", "'kind' must be one of"),
        (
            "enabled: enabled && (agencyLog || rule.key != 'late-checkpoint')",
            "enabled: 'yes'",
            "enabled: expected bool",
        ),
        ("itemsSearchKey", "itemSearchKey", "unknown property 'itemSearchKey'"),
        ("'AllEntities'", "'Everything'", "'Everything' is not among the known values"),
    ],
)
def test_the_template_follows_azures_types(old: str, new: str, problem: str) -> None:
    source = (DEPLOY / "bicep/sentinel.bicep").read_text()
    assert old in source
    types = Catalogue.load(Path(VECTORS or "", "azure-types"))
    resources = parse("sentinel.bicep", source.replace(old, new, 1).encode()).resources
    assert any(problem in each for resource in resources for each in types.problems(resource))


def test_every_rule_is_described() -> None:
    page = (ROOT / "docs/sentinel.md").read_text()
    described = dict(re.findall(r"(?m)^\| `([a-z-]+)` \| (High|Medium|Low) \|", page))
    severity = {
        path.stem: re.findall(r"(?m)^severity: (.*)$", path.read_text())[0]
        for path in (DEPLOY / "sentinel/rules").glob("*.yaml")
    }
    assert described == severity


@pytest.mark.parametrize("text", ["P", "PT", "1H", "P1", "PT1S", "P1DT", None, 5, ""])
def test_what_is_not_a_duration_is_refused(text: object) -> None:
    assert duration(text) is None
