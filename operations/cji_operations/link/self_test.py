"""A person, linked to a record of the same person in another table."""

from typing import Final

from cji_core.operations.link.declaration import Link
from cji_operations.operation import Case

_PERSON: Final = {"last": "DOE", "first": "JOHN", "DOB": "19800101", "SOC": "123456789", "postcode": "12345"}

CASES: Final = (
    Case(
        schema="person/1",
        row=_PERSON,
        parameters=Link(block_rows=100, pairs=100, random_pairs=1000, training_pairs=1000),
        sides={"link_to": ("person/1", {**_PERSON, "first": "JON"})},
    ),
)
