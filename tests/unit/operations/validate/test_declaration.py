"""Rules that a validation is asked for, and its lines for the submitter's console."""

from typing import Any

import pyarrow as pa
import pytest

from cji_core.operations.validate import RULE_SETS, VALIDATE, Validate


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"rule_set": "nibrs/0"}, "rule_set: the rule sets are .*ncic/1.*nibrs/period"),
        ({"rule_set": "nibrs/3.1", "without": ("404", "404")}, "without: a rule twice"),
        ({"rule_set": "nibrs/3.1", "also": ("404", "404")}, "also: a rule twice"),
        ({"rule_set": "nibrs/3.1", "without": ("404",), "also": ("404",)}, "also: a rule that is switched off"),
        ({"rule_set": "nibrs/3.1", "without": ("999",)}, "nibrs/3.1 has no rule 999"),
        ({"rule_set": "nibrs/3.1", "also": ("999",)}, "nibrs/3.1 has no rule 999"),
        ({"rule_set": "ncic/1", "without": ("404",)}, "ncic/1 has no rule 404"),
        ({"rule_set": "ncic/1", "also": ("301",)}, "also: ncic/1 has withdrawn no rule"),
    ],
)
def test_rules_that_make_no_sense(fields: dict[str, Any], error: str) -> None:
    assert Validate(rule_set="ncic/1", without=("301",))
    with pytest.raises(ValueError, match=error):
        Validate(**fields)


def test_the_summary_has_the_rule_sets_that_were_used() -> None:
    name, specification = next(iter(RULE_SETS.items()))
    batch = pa.RecordBatch.from_pydict({"rule_set": [name.encode(), name.encode()]})
    given = Validate(rule_set="nibrs/period")
    assert list(VALIDATE.summary(given, lambda part: [batch] if part == "rates" else [])) == [
        f"rules    {name} ({specification})"
    ]
    assert list(VALIDATE.summary(Validate(rule_set="ncic/1"), lambda _: [])) == []
