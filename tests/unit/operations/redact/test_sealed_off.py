"""A cell that redacts imports nothing and opens nothing once it has records."""

from tests.support.sealed_off import events

PREPARE = """
from dataclasses import replace
from tests.support.contexts import context
from tests.support.redact_tools import KEY, narrative, side
from cji_core.operations.redact import REDACT, Redaction
from cji_operations.registry import prepare
from cji_core.operations.registry import plan

batch = narrative(["Ofc. Garza met José Peña (SSN 123-45-6789) on 1/2/2024, Ж", "It was Łukasz\u2019s “car” ½", None,
                   "Иван"])
sides = {"persons": [side("person/1", NAM=["PEÑA, JOSÉ"], DOB=["19820214"], SOC=["1234"])],
         "words": [side("words/1", word=["elm street"], kind=["address"])]}
given = replace(context(KEY), sides=sides)
schemas = {"persons": "person/1", "words": "words/1", "records": "narrative/1"}
messages = [
    REDACT.message(Redaction(columns=("narrative",), marks="row")).SerializeToString(),
    REDACT.message(
        Redaction(columns=("narrative",), marks="project", project="p", wrapped_project_key=b"w")
    ).SerializeToString(),
]
kind = type(REDACT.message(Redaction(columns=("narrative",))))
"""
ACT = """
for message in messages:
    (planned,) = plan([kind.FromString(message)], schemas).operations
    applied = prepare(planned, batch.schema, given).apply(batch)
    applied.status.to_batch(0)
    applied.status.counts()
"""


def test_nothing_is_imported_or_opened_while_records_are_held() -> None:
    assert events(PREPARE, ACT) == "[]"


def test_the_watch_sees_an_import() -> None:
    assert "colorsys" in events(PREPARE, "import colorsys\n" + ACT)
