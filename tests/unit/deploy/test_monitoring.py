"""Dashboard and alert rules: they name every metric and no other, Prometheus accepts them, and each alert fires."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from cji_worker.console.expiry import EXPIRING, SUBJECTS
from cji_worker.console.exposition import exposition
from cji_worker.console.series import SERIES
from cji_worker.console.view import View
from tests.support.console_tools import SICK, SILENT, VIEW
from tests.support.paths import ROOT

DASHBOARD: Final = ROOT / "deploy/grafana/cji-worker.json"
RULES: Final = ROOT / "deploy/prometheus/cji-worker.rules.yml"
_SUFFIXES: Final = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
METRICS: Final = {f"{series.name}{suffix}": series for series in SERIES for suffix in _SUFFIXES[series.kind]}
ALERTS: Final = re.findall(r"- alert: (\w+)", RULES.read_text())


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def panels() -> list[dict[str, Any]]:
    return [each for each in dashboard()["panels"] if each["type"] != "row"]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def names(text: str) -> set[str]:
    return set(re.findall(r"\bcji_[a-z0-9_]+", text))


def promtool(*arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("promtool")
    assert program is not None, "the tests need the package promtool; run tools/setup"
    return subprocess.run([program, *map(str, arguments)], input=given, capture_output=True, timeout=600, check=False)


def label_problems(text: str) -> list[str]:
    """Matchers and groupings by a label that the metric does not have, or a value that it can never have."""
    found = []
    for metric, matchers in re.findall(r"\b(cji_[a-z0-9_]+)\{([^}]*)\}", text):
        labels = {**METRICS[metric].labels, "instance": (), "le": ()}
        for label, operator, value in re.findall(r'(\w+)(=~|=|!=|!~)"([^"]*)"', matchers):
            values = value.split("|") if "~" in operator else [value]
            if label not in labels:
                found.append(f"{metric}{{{label}}}")
            elif labels[label]:
                found += [f"{metric}{{{label}={each}}}" for each in values if each not in labels[label]]
    return found


def test_every_metric_is_on_the_dashboard_and_no_other() -> None:
    named = names("\n".join(expressions()))
    assert named <= set(METRICS)
    assert {METRICS[name].name for name in named} == {series.name for series in SERIES}


def test_each_part_of_the_console_has_its_row() -> None:
    """Metrics of a subject are together: jobs by reference, and the delivery of the trail."""
    rows: dict[str, set[str]] = {}
    title = ""
    for panel in sorted(dashboard()["panels"], key=lambda each: (each["gridPos"]["y"], each["gridPos"]["x"])):
        if panel["type"] == "row":
            title = panel["title"]
        else:
            rows.setdefault(title, set()).update(*(names(target["expr"]) for target in panel["targets"]))
    fleet = {name for name in METRICS if name.startswith("cji_fleet_")}
    assert rows["Jobs by reference"] == fleet
    assert {"cji_audit_undelivered_lines", "cji_audit_delivery_stalled_seconds"} <= rows["Accountability"]


def test_rules_name_metrics_that_exist() -> None:
    text = re.sub(r"(?m)^#.*$", "", RULES.read_text())
    described = names(" ".join(re.findall(r"(?m)^ *(?:remedy|summary): (.*)$", text)))
    assert names(text) - described <= set(METRICS)
    assert described <= set(METRICS) | {series.name for series in SERIES}
    assert {"cji_worker_serving", "cji_expiry_seconds", "cji_audit_delivery_stalled_seconds"} <= names(text)


def test_labels_in_expressions_can_have_these_values() -> None:
    assert label_problems("\n".join(expressions()) + RULES.read_text()) == []
    assert label_problems('cji_cells{state="hot"} cji_jobs_total{submitter="x"}') == [
        "cji_cells{state=hot}",
        "cji_jobs_total{submitter}",
    ]


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
    assert not re.search(r"https?://|password|token=|localhost", text)
    assert all(panel["targets"] for panel in panels())


def test_every_expression_is_promql(tmp_path: Path) -> None:
    """As recording rules, because that is what promtool checks offline."""
    texts = [each.replace("$instance", ".*") for each in expressions()]
    rules = [{"record": f"x:y{number}", "expr": text} for number, text in enumerate(texts)]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    done = promtool("check", "rules", tmp_path / "rules.json")
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_the_rules() -> None:
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = promtool("check", "rules", "/dev/stdin", given=RULES.read_bytes().replace(b"== 0", b"== == 0", 1))
    assert broken.returncode != 0


@pytest.mark.parametrize("view", [VIEW, SICK, SILENT], ids=["well", "sick", "silent"])
def test_prometheus_accepts_the_metrics(view: View) -> None:
    done = promtool("check", "metrics", given=exposition(view))
    assert (done.returncode, done.stderr) == (0, b"")


def test_warnings_are_those_of_the_page() -> None:
    found: dict[str, int] = {}
    for subjects, seconds in re.findall(
        r'cji_expiry_seconds\{subject=~?"([a-z_|]+)"\} <= ([1-9]\d*)', RULES.read_text()
    ):
        found |= dict.fromkeys(subjects.split("|"), int(seconds))
    assert found == {each.subject: each.warn_s for each in EXPIRING}
    assert set(found) == set(SUBJECTS)


# ------------------------------------------------------------------ each alert fires, and only when it should

W: Final = 'instance="w"'
WELL: Final = {
    f'up{{job="cji-worker",{W}}}': "1x400",
    f"cji_worker_up{{{W}}}": "1x400",
    f"cji_worker_serving{{{W}}}": "1x400",
    f"cji_worker_start_time_seconds{{{W}}}": "1000x400",
    f'cji_host_condition_held{{{W},condition="swap"}}': "1x400",
    f'cji_process_silence_seconds{{{W},process="front"}}': "0.3x400",
    f"cji_reload_refused{{{W}}}": "0x400",
    f"cji_jobs_waiting{{{W}}}": "0x400",
    f'cji_jobs_total{{{W},operation="link",outcome="completed"}}': "0+60x400",
    f'cji_job_ends_total{{{W},reason="CELL_FAILED"}}': "0x400",
    f'cji_job_ends_total{{{W},reason="DEADLINE"}}': "0+9x400",
    f'cji_job_duration_seconds_bucket{{{W},operation="link",le="60.0"}}': "0+60x400",
    f'cji_job_duration_seconds_count{{{W},operation="link"}}': "0+60x400",
    f'cji_refusals_total{{{W},reason="POLICY_DENIED"}}': "0x400",
    f'cji_keys{{{W},state="usable"}}': "2x400",
    f'cji_keys{{{W},state="configured"}}': "2x400",
    f"cji_audit_writable{{{W}}}": "1x400",
    f'cji_audit_delivery_stalled_seconds{{{W},kind="sink"}}': "0x400",
    f'cji_audit_undelivered_lines{{{W},kind="sink"}}': "3x400",
    f'cji_fleet_tickets{{{W},queue="poison"}}': "0x400",
    f"cji_fleet_oldest_ticket_seconds{{{W}}}": "60x400",
    f"cji_export_failures_total{{{W}}}": "0x400",
    f"cji_spans_dropped_total{{{W}}}": "0x400",
    f"cji_trail_faults_total{{{W}}}": "0x400",
    **{f'cji_expiry_seconds{{{W},subject="{each.subject}"}}': f"{each.warn_s + 100}x400" for each in EXPIRING},
}
ILL: Final[dict[str, dict[str, str]]] = {
    "CjiConsoleAbsent": {f'up{{job="cji-worker",{W}}}': "0x400"},
    "CjiWorkerDown": {f"cji_worker_up{{{W}}}": "0x400", f"cji_worker_serving{{{W}}}": "0x400"},
    "CjiWorkerNotServing": {f"cji_worker_serving{{{W}}}": "0x400"},
    "CjiAvailabilityBurnsFast": {f"cji_worker_serving{{{W}}}": "1x70 0x30"},
    "CjiAvailabilityBurns": {f"cji_worker_serving{{{W}}}": "1x280 0x10 1x20 0x10 1x20 0x10 1x50"},
    "CjiHostCondition": {f'cji_host_condition_held{{{W},condition="swap"}}': "1x80 0x20"},
    "CjiProcessSilent": {f'cji_process_silence_seconds{{{W},process="front"}}': "0.3x80 30x20"},
    "CjiWorkerRestarted": {f"cji_worker_start_time_seconds{{{W}}}": "1000x60 2000x20 3000x20"},
    "CjiReloadRefused": {f"cji_reload_refused{{{W}}}": "0x80 1x20"},
    "CjiJobsFail": {f'cji_job_ends_total{{{W},reason="CELL_FAILED"}}': "0+1x400"},
    "CjiJobsSlow": {f'cji_job_duration_seconds_bucket{{{W},operation="link",le="60.0"}}': "0+50x400"},
    "CjiJobsWait": {f"cji_jobs_waiting{{{W}}}": "0x80 2x20"},
    "CjiRefusalsOfIdentity": {f'cji_refusals_total{{{W},reason="POLICY_DENIED"}}': "0+60x400"},
    "CjiExpired": {f'cji_expiry_seconds{{{W},subject="certificate"}}': "-5x400"},
    "CjiExpiresSoon": {f'cji_expiry_seconds{{{W},subject="token"}}': "3000x400"},
    "CjiKeyMissing": {f'cji_keys{{{W},state="usable"}}': "1x400"},
    "CjiAuditNotWritable": {f"cji_audit_writable{{{W}}}": "1x80 0x20"},
    "CjiAuditDeliveryStalled": {f'cji_audit_delivery_stalled_seconds{{{W},kind="sink"}}': "0x80 601x20"},
    "CjiAuditDeliveryBehind": {f'cji_audit_undelivered_lines{{{W},kind="sink"}}': "0x80 20000x20"},
    "CjiReviewOverdue": {f'cji_expiry_seconds{{{W},subject="review"}}': "-60x400"},
    "CjiTicketsPoisoned": {f'cji_fleet_tickets{{{W},queue="poison"}}': "0x80 2x20"},
    "CjiTicketsWait": {f"cji_fleet_oldest_ticket_seconds{{{W}}}": "60x80 901x20"},
    "CjiTelemetryLost": {f"cji_spans_dropped_total{{{W}}}": "0x98 5x2"},
}


LONG: Final = {"CjiAvailabilityBurns": 400}
"""Minutes of a case that needs more than 100."""


def case(changes: dict[str, str], firing: dict[str, bool], *, minutes: int = 100) -> dict[str, Any]:
    """A test of promtool: at the end of these minutes, these alerts fire or do not."""
    series = [{"series": name, "values": values} for name, values in (WELL | changes).items()]
    checks = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0 or vector(0)',
            "eval_time": f"{minutes - 1}m",
            "exp_samples": [{"labels": "{}", "value": int(fires)}],
        }
        for alert, fires in firing.items()
    ]
    return {"interval": "1m", "input_series": series, "promql_expr_test": checks}


def outcome(folder: Path, *cases: dict[str, Any]) -> bytes:
    """What promtool prints about cases that do not hold."""
    whole = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}
    (folder / "test.json").write_text(json.dumps(whole))
    done = promtool("test", "rules", folder / "test.json")
    return b"" if done.returncode == 0 else done.stdout + done.stderr


def test_every_alert_has_its_case() -> None:
    assert set(ALERTS) == set(ILL)
    assert len(ALERTS) == len(set(ALERTS))
    assert RULES.read_text().count("remedy:") == len(ALERTS)


def test_each_alert_fires_for_its_cause(tmp_path: Path) -> None:
    cases = [case(changes, {alert: True}, minutes=LONG.get(alert, 100)) for alert, changes in ILL.items()]
    assert outcome(tmp_path, *cases) == b""


def test_no_alert_fires_for_a_worker_that_is_well(tmp_path: Path) -> None:
    assert outcome(tmp_path, case({}, dict.fromkeys(ALERTS, False))) == b""
    assert b"CjiWorkerDown" in outcome(tmp_path, case({}, {"CjiWorkerDown": True}))
