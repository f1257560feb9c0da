"""Page and packet have the steps of Microsoft's walkthrough: all of them, in its order, under its numbers."""

import re
from typing import Final

import pytest

from cji_audit.packet.checks import CHECKS, Result
from cji_audit.packet.document import Heading, Table
from cji_audit.packet.walkthrough import blocks, steps
from tests.support.paths import ROOT

PAGE: Final = ROOT / "docs/cjis-azure-commercial.md"
# number and subject of each step, from the article
STEPS: Final = (
    ("1", "data residency"),
    ("2", "customer-managed keys"),
    ("3", "client-side encryption"),
    ("3b", "CJI in use"),
    ("4", "phishing-resistant multi-factor authentication"),
    ("5", "unified audit logging"),
    ("6", "mobile device management"),
    ("7", "SEIP and SSP"),
)


def held(name: str) -> Result:
    return Result(status="holds", why=f"{name} was looked at")


def test_page_and_packet_have_the_steps_in_their_order() -> None:
    shown = re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)
    packet = [each.text for each in blocks({name: held(name) for name in CHECKS}) if isinstance(each, Heading)]
    assert shown == packet == [step.title for step in steps()]
    for title, (number, subject) in zip(shown, STEPS, strict=True):
        assert re.fullmatch(rf"Step {number}: .*{re.escape(subject)}.*", title), title


def test_each_step_shows_what_its_checks_found() -> None:
    results = {name: held(name) for name in CHECKS} | {"location": Result(status="fails", why="westeurope")}
    tables = [each for each in blocks(results) if isinstance(each, Table)]
    found = {str(row[0]): row for table in tables for row in table.rows}
    assert found["location"][2] == "westeurope"
    assert "failed" in str(found["location"][1])
    assert {name for step in steps() for name in step.checks} <= found.keys()


@pytest.mark.parametrize("what", ["Compensating control", "Architecture of the customer-managed keys"])
def test_the_last_step_has_rows_that_a_person_can_show(what: str) -> None:
    assert [step.title for step in steps() if any(each.what == what for each in step.rows)] == ["Step 7: SEIP and SSP"]


def test_no_link_is_left_in_the_packet() -> None:
    texts = [
        str(row)
        for each in blocks({name: held(name) for name in CHECKS})
        if isinstance(each, Table)
        for row in each.rows
    ]
    assert [text for text in texts if "](" in text] == []
