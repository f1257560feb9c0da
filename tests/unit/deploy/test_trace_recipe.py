"""The query that joins a client's spans with a worker's events by the job's id, as docs/how-to prints it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from cji_deploy.check.kusto import Query, bind, why_not
from cji_deploy.check.sentinel import workspaces
from tests.support.kql import Node, World, run
from tests.support.kql.lines import events_table, line
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "deploy/sentinel"
NOW: Final = datetime(2026, 11, 25, 18, 10, tzinfo=UTC)
OTHER: Final = "ab" * 16

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


def test_the_query_finds_what_workers_did_with_the_job_of_a_span() -> None:
    (text,) = re.findall(r"```kusto\n(.*?)```", (ROOT / "docs/how-to/in-a-web-backend.md").read_text(), re.DOTALL)
    (job,) = re.findall(r'"([0-9a-f]{32})"', text)
    known = workspaces(FOLDER)
    schema = (FOLDER / "schema/cji-audit.json").read_text()
    (transformation,) = re.findall(r'"transformKql": "(.*)"', schema)
    queries = {
        "page": Query(text=text, workspace="logs"),
        "rows": Query(text=transformation.encode().decode("unicode_escape"), workspace="cji-audit.json"),
    }
    bound = bind(documents={}, queries=queries, workspaces=known, trees=True).queries
    assert [each.problems for each in bound.values()] == [[], []]
    lines = [
        line("job_refused", NOW, seq=1, job_id=job, reason="OVERLOADED"),
        line("job_admitted", NOW + timedelta(seconds=2), seq=2, job_id=job),
        line("job_admitted", NOW + timedelta(seconds=3), seq=3, job_id=OTHER),
        line("job_completed", NOW + timedelta(seconds=9), seq=4, job_id=job),
    ]
    source = known["cji-audit.json"].tables["source"]
    table = events_table(lines[::-1], Node(bound["rows"].tree), source, late=timedelta(), late_by={})
    table.rows.append(table.rows[0])  # delivered twice
    found = run(Node(bound["page"].tree), World(tables={"CjiAudit_CL": table}, now=NOW + timedelta(hours=1)))
    assert [row["Kind"] for row in found.rows] == ["job_completed", "job_admitted", "job_refused"]
    assert found.rows[-1]["Reason"] == "OVERLOADED"
