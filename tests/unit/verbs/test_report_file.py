"""`report.html` of `cji job run`: beside the other outputs, private, and never at their cost."""

import io
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from cji_client.errors import SpecError
from cji_client.verbs.report_file import write_report
from cji_core.operations.deidentify import Deidentify
from tests.support.report_tools import jobs

JOBS = jobs()


def test_a_page_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(Console(quiet=True), JOBS["aggregate"], path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_an_operation_without_a_page_gets_no_file(tmp_path: Path) -> None:
    job = replace(JOBS["link"], operations=[Deidentify(project="p", columns={"last": "keep"})])
    write_report(Console(quiet=True), job, tmp_path / "report.html")
    assert [*tmp_path.iterdir()] == []


def test_a_side_table_that_has_gone_costs_the_page_only(tmp_path: Path) -> None:
    def gone() -> pa.RecordBatchReader:
        raise SpecError("people.csv cannot be read")

    said = io.StringIO()
    write_report(Console(file=said), replace(JOBS["link_to"], sides={"link_to": gone}), tmp_path / "report.html")
    assert [*tmp_path.iterdir()] == []
    assert "no report.html: people.csv cannot be read" in said.getvalue()


def test_any_fault_of_a_page_costs_the_page_only(tmp_path: Path) -> None:
    def faulty(_: str) -> pa.RecordBatchReader:
        raise ZeroDivisionError("canary")

    said = io.StringIO()
    write_report(Console(file=said), replace(JOBS["link"], read=faulty), tmp_path / "report.html")
    assert [*tmp_path.iterdir()] == []
    assert said.getvalue() == "no report.html: it could not be made (ZeroDivisionError)\n"


@pytest.mark.parametrize("name", ["patterns", "levels", "result", "clusters"])
def test_outputs_that_contradict_each_other_cost_the_page_only(tmp_path: Path, name: str) -> None:
    job, said = JOBS["link"], io.StringIO()
    short = replace(job, read=lambda each: iter(()) if each == name else job.read(each))
    write_report(Console(file=said), short, tmp_path / "report.html")
    page = [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()]
    assert page or "no report.html: the outputs do not fit each other" in said.getvalue()
    assert all(text.endswith("</html>\n") for text in page)
