"""A conviction that a rule relieves."""

import datetime
from typing import Final

from cji_core.operations.clear.declaration import Clear
from cji_core.operations.clear.rules import Rule, Rules, When
from cji_operations.operation import Case

_ROW: Final = {
    "subject": "S1",
    "event": "COURT ACTION",
    "date": "20010203",
    "DOB": "19700101",
    "county": "NOWHERE",
    "offense": "100(A) XX-SOMETHING",
    "level": "M",
    "disposition": "CONVICTED",
    "sentence": "JAIL",
    "sentence_length": "10D",
}

CASES: Final = (
    Case(
        schema="chri_event/2",
        row=_ROW,
        parameters=Clear(
            table=Rules(
                version=1,
                state="Nowhere",
                title="A table of the self-test",
                sources=("None.",),
                laws=("XX",),
                lists={"old": ("100 XX",)},
                scope=When(sections=("old",)),
                rules=(
                    Rule(
                        id="young",
                        relief="dismiss",
                        reason="The subject was young.",
                        source="None.",
                        when=When(level=("misdemeanor",), age_at_conviction_below=21, only_sections=("old",)),
                    ),
                    Rule(
                        id="long-ago",
                        relief="dismiss",
                        reason="It is long ago.",
                        source="None.",
                        when=When(years_since_sentence=2, years_crime_free=2, not_sentence=("PRISON",)),
                    ),
                ),
            ),
            as_of=datetime.date(2026, 1, 1),
            county="NOWHERE",
        ),
    ),
)
