"""The default model of persons: what is compared, and by which columns, follows from the columns that are there."""

import pytest

from cji_core.operations.link.person_model import model_for

COMPARED = {
    "first": "given name",
    "middle": "middle name",
    "last": "surname",
    "DOB": "date of birth",
    "SOC": "Social Security number",
    "OLN": "driver's licence number",
    "FBI": "FBI number",
    "SID": "state identification number",
    "SEX": "sex",
    "RAC": "race",
    "POB": "place of birth",
    "postcode": "postcode",
    "street_number": "street number",
    "address_1": "first address line",
    "address_2": "second address line",
    "suburb": "suburb",
    "city": "city",
}
"""By column. Names in each other's place are compared where both are there."""


def compared(*names: str) -> list[str]:
    return [one.name for one in model_for(names).comparisons]


@pytest.mark.parametrize(("column", "name"), COMPARED.items())
def test_a_column_is_compared_where_it_is_there(column: str, name: str) -> None:
    assert [one for one in compared(column) if one != "suffix"] == [name]
    assert name not in compared(*(COMPARED.keys() - {column}))


def test_names_in_each_others_place_need_both() -> None:
    assert compared("first", "last") == ["given name", "surname", "names in each other's place", "suffix"]
    assert set(compared("NAM")) == set(compared("first", "last", "middle"))


def test_a_household_needs_names_a_date_and_an_address() -> None:
    assert "household" in compared("first", "last", "DOB", "address_1")
    assert "household" not in compared("first", "last", "DOB", "postcode")


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (("last", "address_1", "street_number"), "last + address_1 + street_number"),
        (("last", "address_1"), "last + address_1"),
        (("last", "street_number"), None),
    ],
)
def test_relatives_share_a_surname_and_an_address(names: tuple[str, ...], label: str | None) -> None:
    found = model_for(names).relatives
    assert (None if found is None else found.label) == label


def test_names_alone_estimate_how_many_records_match() -> None:
    def deterministic(*names: str) -> list[str]:
        return [rule.label for rule in model_for(names).deterministic_rules]

    assert deterministic("first", "last") == ["first + last"]
    assert deterministic("first", "last", "SID") == ["SID"]
    assert deterministic("first") == []


def test_a_frequent_value_weighs_less() -> None:
    """By columns; a date is known in part only, and of a number that one person has nothing is frequent."""
    found = {one.name: one.levels[0] for one in model_for(("last", "DOB", "SOC")).comparisons}
    weights = {name: (level.tf_adjustment_column, level.tf_adjustment_weight) for name, level in found.items()}
    assert weights == {
        "surname": ("last", 1.0), "suffix": ("", 1.0), "date of birth": ("DOB", 0.5),
        "Social Security number": ("", 1.0),
    }  # fmt: skip


def test_blocking_rules_are_those_of_the_columns() -> None:
    assert [rule.label for rule in model_for(("SOC", "DOB")).blocking] == [
        "SOC", "DOB", "DOB year and month", "DOB month and day",
    ]  # fmt: skip
    assert [rule.label for rule in model_for(("first",)).blocking] == ["first"]
