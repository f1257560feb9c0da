"""A table of rules is read whole or refused with a remedy for each mistake, whatever the text is."""

import datetime
from importlib.resources import files
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.operations.clear import SHIPPED, Rules, RulesError, in_words, read_rules
from cji_core.operations.clear.declaration import Clear, decode, encode

TABLES = [(files("cji_core.operations.clear") / f"{name}.toml").read_bytes() for name in SHIPPED]


def read(data: bytes) -> Rules | None:
    """The table, or None after a look at what is said about the text."""
    try:
        rules = read_rules(data)
    except RulesError as error:
        problems = error.problems
    else:
        problems = ()
    if problems:
        assert all(problem.where and problem.what and problem.remedy.endswith(".") for problem in problems)
        return None
    assert list(in_words(rules))
    parameters = Clear(table=rules, as_of=datetime.date(2026, 1, 1))
    assert decode(encode(parameters)) == parameters
    return rules


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read(data)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_table_is_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TABLES))
    at = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    read(text[:at] + data.draw(st.binary(max_size=12)) + text[at + length :])


values = (
    st.none() | st.booleans() | st.integers(-5, 200) | st.text(max_size=12) | st.lists(st.text(max_size=5), max_size=2)
)


@settings(max_examples=300)
@given(st.data())
def test_a_field_with_any_value_is_read_or_refused(data: st.DataObject) -> None:
    """One field of a shipped table gets another value, as TOML could have it."""
    table: dict[str, Any] = msgspec.toml.decode(data.draw(st.sampled_from(TABLES)))
    place = data.draw(
        st.sampled_from(
            [
                table,
                table["lists"],
                *table["rules"],
                *(r.get("when", {}) for r in table["rules"]),
                *table.get("levels", ()),
            ]
        )
    )
    name = data.draw(st.sampled_from([*place, "unknown"]))
    value = data.draw(values.filter(lambda each: each is not None))
    place[name] = value
    try:
        rules = msgspec.convert(table, Rules)
    except (ValueError, RecursionError):
        rules = None
    again = read(_toml(table))
    assert again is None or again == rules


def _toml(table: dict[str, Any]) -> bytes:
    return "\n".join(f"{key} = {_value(value)}" for key, value in table.items()).encode()


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{ " + ", ".join(f"{_value(str(key))} = {_value(each)}" for key, each in value.items()) + " }"
        case list():
            return "[" + ", ".join(_value(each) for each in value) + "]"
        case str():
            return '"' + "".join(f"\\U{ord(c):08X}" if not 0xD800 <= ord(c) < 0xE000 else "?" for c in value) + '"'
        case _:
            return str(value)
