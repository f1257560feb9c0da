"""`cji job run` of NIBRS, flat and XML: the same outputs, the rule set on the console, and nothing sent of a bomb."""

from pathlib import Path

import pytest

from cji_core.jose import key_id
from tests.integration.cli.test_job import Desk, desk, material
from tests.support import nibrs_xml
from tests.support.job_specs import head
from tests.support.nibrs_reports import REPORTS, lines, with_fields

__all__ = ["desk", "material"]

FAULTY = lines(with_fields(REPORTS["robbery"], "offenders", sex="X"))


def _ready(desk: Desk) -> None:
    """A spec of `validate` alone; the file decides the schema."""
    key = key_id(desk.worker.cmk.public_key())
    made = head(recipient="recipient.key.jwk", kek_thumbprint=key)
    (desk.folder / "job.toml").write_text(made + '\n[input]\nschema = "person/1"\n[[operations]]\nkind = "validate"\n')


def _run(desk: Desk, out: str, file: str) -> str:
    result = desk.run(out, file, "--op", "validate")
    assert result.exit_code == 0, result.output
    return result.output


def _schema(desk: Desk, schema: str) -> None:
    spec = desk.folder / "job.toml"
    spec.write_text(spec.read_text().replace("person/1", schema))


def test_xml_and_flat_have_the_same_error_data_set(desk: Desk) -> None:
    _ready(desk)
    _schema(desk, "nibrs.flat/3.1")
    (desk.folder / "a.txt").write_bytes(b"\n".join(FAULTY))
    (desk.folder / "a.xml").write_bytes(nibrs_xml.document(nibrs_xml.reports(FAULTY)))
    assert "rules    nibrs/2019 (IEPD 2019.1)" in _run(desk, "flat", "a.txt")
    spec = desk.folder / "job.toml"
    spec.write_text(spec.read_text().replace("nibrs.flat/3.1", "nibrs.xml/2019.1"))
    assert "rules    nibrs/2019 (IEPD 2019.1)" in _run(desk, "xml", "a.xml")
    flat, xml = ((desk.folder / name / "eds.txt").read_text() for name in ("flat", "xml"))
    assert flat == xml
    assert "504X" in xml
    findings = (desk.folder / "xml" / "result.csv").read_text()
    assert "nc:Person[2]/j:PersonSexCode" in findings


@pytest.mark.parametrize(("year", "rule_set"), [("2016", "nibrs/2016"), ("2018", "nibrs/3.1")])
def test_the_console_names_the_rule_set_of_the_period(desk: Desk, year: str, rule_set: str) -> None:
    _ready(desk)
    _schema(desk, "nibrs.flat/3.1")
    (desk.folder / "a.txt").write_bytes(b"\n".join(lines(with_fields(REPORTS["larceny"], "*", year=year))))
    assert f"rules    {rule_set} " in _run(desk, "out", "a.txt")


def test_nothing_is_sent_of_a_file_with_entities(desk: Desk) -> None:
    _ready(desk)
    _schema(desk, "nibrs.xml/2019.1")
    good = nibrs_xml.document(nibrs_xml.reports(FAULTY))
    bad = good.replace(b"?>\n", b'?>\n<!DOCTYPE n [<!ENTITY a "b">]>', 1)
    Path(desk.folder, "a.xml").write_bytes(bad)
    result = desk.run("out", "a.xml", "--op", "validate")
    assert result.exit_code == 2
    assert "document type or an entity" in result.stderr
    assert not desk.worker.seen
    assert "out" not in desk.files()
