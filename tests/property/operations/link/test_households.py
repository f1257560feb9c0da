"""Relatives are not one person: fathers and sons of one name, with and without suffixes, and twins."""

import pytest

from cji_core.operations.link import Link
from cji_operations.link import link
from tests.reference.link import ignore
from tests.support.households import households


@pytest.mark.parametrize(
    ("options", "most_namesakes", "least_recall"),
    [
        ({}, 0.1, 0.95),
        ({"social": True}, 0.05, 0.97),
        ({"written": 0.9, "seed": 2}, 0.05, 0.94),
        ({"named": 0.3, "written": 0.3, "seed": 3}, 0.15, 0.94),
    ],
    ids=str,
)
def test_relatives_are_not_one_person(options: dict[str, float], most_namesakes: float, least_recall: float) -> None:
    """Of the namesakes that are joined, nearly all have a record without suffix and date of birth."""
    made = households(900, **options)  # type: ignore[arg-type]
    found = link([made.records], made.records.schema, Link(), ignore)
    assert made.together(found.cluster, made.namesakes) <= most_namesakes * len(made.namesakes)
    assert made.together(found.cluster, made.twins) <= 0.1 * len(made.twins)
    assert made.recall(found.cluster) >= least_recall
