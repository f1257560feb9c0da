"""The dashboard: it shows every metric and no other, by queries that Microsoft's language service binds."""

import json
import re
import shutil
import subprocess
from typing import Any, Final

import pytest

from cji_deploy.check.kusto import Query, bind, why_not
from cji_deploy.check.sentinel import workspaces
from cji_worker.console.exposition import exposition
from cji_worker.console.rows import column, kind
from cji_worker.console.series import SERIES
from cji_worker.console.view import View
from tests.support.console_tools import SICK, SILENT, VIEW
from tests.support.paths import ROOT

DASHBOARD: Final = ROOT / "deploy/grafana/cji-worker.json"
COLUMNS: Final = {column(series): series for series in SERIES}
MACROS: Final = {
    "$__timeFilter(TimeGenerated)": "TimeGenerated > ago(1h)",
    "$__contains(Machine, $machine)": 'Machine in ("cji-1")',
    "$__interval": "5m",
}
"""What Grafana puts in place of its macros."""


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def panels() -> list[dict[str, Any]]:
    return [each for each in dashboard()["panels"] if each["type"] != "row"]


def queries() -> dict[str, str]:
    """By panel and letter, as they reach Log Analytics; that of the variable too."""
    targets = {f"{p['title']} {t['refId']}": t for p in panels() for t in p["targets"]}
    (variable,) = [each for each in dashboard()["templating"]["list"] if each["name"] == "machine"]
    found = {}
    for name, target in {**targets, "machine": variable["query"]}.items():
        text = target["azureLogAnalytics"]["query"]
        for macro, value in MACROS.items():
            text = text.replace(macro, value)
        found[name] = text
    return found


def names(text: str) -> set[str]:
    return set(re.findall(r"\b[A-Z]\w+", text)) & set(COLUMNS)


def test_every_metric_is_on_the_dashboard() -> None:
    shown = names("\n".join(queries().values()))
    assert set(COLUMNS) == shown


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_every_query_binds_to_the_table() -> None:
    """A column that there is not, a wrong type or another table is a problem; a series has time, number and label."""
    given = {name: Query(text=text, workspace="logs") for name, text in queries().items()}
    broken = {"broken": Query(text=given["Serving A"].text.replace("WorkerServing", "WorkerSlaving"), workspace="logs")}
    health = {"logs": workspaces(ROOT / "deploy/sentinel")["logs"]}
    found = bind(documents={}, queries=given | broken, workspaces=health).queries
    assert [each.message for each in found["broken"].problems]
    assert {name: each.problems for name, each in found.items() if each.problems and name != "broken"} == {}
    for panel in panels():
        for target in panel["targets"]:
            made = found[f"{panel['title']} {target['refId']}"].columns
            if target["azureLogAnalytics"]["resultFormat"] == "time_series":
                assert sorted(made.values()) in (["datetime", "real", "string"], ["datetime", "long", "string"]), panel


def test_labels_in_queries_can_have_these_values() -> None:
    """`Keys.usable`: of a dynamic column, and a label that the metric can have."""
    for name, text in queries().items():
        for of, label in re.findall(r"\b([A-Z]\w+)\.(\w+)", text):
            assert kind(COLUMNS[of]) == "dynamic", name
            assert any(label in values for values in COLUMNS[of].labels.values()), name


def test_each_part_of_the_console_has_its_row() -> None:
    """Metrics of a subject are together: jobs by reference, and the delivery of the trail."""
    rows: dict[str, set[str]] = {}
    title = ""
    for panel in sorted(dashboard()["panels"], key=lambda each: (each["gridPos"]["y"], each["gridPos"]["x"])):
        if panel["type"] == "row":
            title = panel["title"]
        else:
            texts = (target["azureLogAnalytics"]["query"] for target in panel["targets"])
            rows.setdefault(title, set()).update(*map(names, texts))
    assert rows["Jobs by reference"] == {name for name in COLUMNS if name.startswith("Fleet")}
    assert {"AuditUndeliveredLines", "AuditDeliveryStalledSeconds", "AuditDiskBytes"} <= rows["Accountability"]


def test_panels_have_their_own_place_and_all_lie_on_the_grid() -> None:
    taken = set[tuple[int, int]]()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_dashboard_brings_nothing_of_a_site() -> None:
    text = DASHBOARD.read_text()
    assert "${datasource}" in text
    assert "${workspace}" in text
    assert not re.search(r"https?://|password|token=|localhost|/subscriptions/", text)
    assert all(panel["targets"] for panel in panels())


@pytest.mark.parametrize("view", [VIEW, SICK, SILENT], ids=["well", "sick", "silent"])
def test_prometheus_accepts_the_metrics(view: View) -> None:
    program = shutil.which("promtool")
    assert program is not None, "the tests need the package promtool; run tools/setup"
    done = subprocess.run([program, "check", "metrics"], input=exposition(view), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
