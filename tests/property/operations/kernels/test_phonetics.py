"""Phonetic codes beside twins that spell out the rules for one word."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cji_core.format.records.column import Bytes
from cji_operations.kernels import phonetics
from cji_operations.kernels.strings import words

VOWELS = "AEIOU"
SOUNDEX = {c: str(i) for i, group in enumerate(("BFPV", "CGJKQSXZ", "DT", "L", "MN", "R"), 1) for c in group}


def letters(value: str) -> str:
    return "".join(c for c in value.encode().decode("latin-1") if c.isascii() and c.isalpha()).upper()


def twin_soundex(value: str) -> str:
    name = letters(value)
    if not name:
        return ""
    code, last = name[0], SOUNDEX.get(name[0])
    for letter in name[1:]:
        digit = SOUNDEX.get(letter)
        if digit and digit != last:
            code += digit
        if letter not in "HW":
            last = digit
    return (code + "000")[:4]


def twin_nysiis(value: str) -> str:
    name = letters(value)
    for start, instead in (("MAC", "MCC"), ("KN", "N"), ("K", "C"), ("PH", "FF"), ("PF", "FF"), ("SCH", "SSS")):
        if name.startswith(start):
            name = instead + name[len(start) :]
            break
    if name.endswith(("EE", "IE")):
        name = name[:-2] + "Y"
    elif name.endswith(("DT", "RT", "RD", "NT", "ND")):
        name = name[:-2] + "D"
    code, i = name[:1], 1
    while i < len(name):
        before, letter, after = name[i - 1], name[i], name[i + 1 : i + 2]
        took = 1
        if name[i : i + 2] == "EV":
            sound, took = "AF", 2
        elif letter in VOWELS:
            sound = "A"
        elif name[i : i + 3] == "SCH":
            sound, took = "SS", 3
        elif name[i : i + 2] == "PH":
            sound, took = "F", 2
        elif letter == "K":
            sound = "N" if after == "N" else "C"
        elif letter == "H" and not (before in VOWELS and after and after in VOWELS):
            sound = "A" if before in VOWELS else before
        elif letter == "W" and before in VOWELS:
            sound = before
        else:
            sound = {"Q": "G", "Z": "S", "M": "N"}.get(letter, letter)
        if sound[-1] != code[-1]:
            code += sound
        i += took
    if len(code) > 1 and code.endswith("S"):
        code = code[:-1]
    if code.endswith("AY"):
        code = code[:-2] + "Y"
    if len(code) > 1 and code.endswith("A"):
        code = code[:-1]
    return code


def texts(codes: Bytes) -> list[str]:
    return [row.tobytes().rstrip(b"\0").decode("ascii") for row in codes]


HARD = st.lists(st.sampled_from("AEHKNSCPFVWMDTRIYZQBL"), min_size=1, max_size=14).map("".join)
LONG = st.lists(st.sampled_from("AEHKNSCPFVW'Y"), min_size=200, max_size=255).map("".join)
ENDS = ["S", "A", "AS", "AY", "AYS", "AYA", "EE", "IE", "DT", "RT", "RD", "NT", "ND", "EVS", "SCHS", "PHA", "AWS"]
ENDING = st.tuples(HARD, st.sampled_from(ENDS)).map("".join)
VALUES = st.lists(
    HARD | ENDING | HARD.map(str.lower) | st.text(min_size=1, max_size=10) | LONG, max_size=8, unique=True
)


@given(VALUES)
@example(["Ashcraft", "Ashcroft", "Tymczak", "Pfister", "Lloyd", "O'Brien", "De La Cruz", "-", "MUÑOZ"])
@example(["SCHMIT", "FISCHER", "MACINTOSH", "KNUTH", "PHILLIPSON", "STEVENS", "BEE", "EVEVE", "K", "KN", "AY", "SS"])
@example(["MAYS", "AYS", "KEVSCHPH", "EVEVEV", "SCHSCH", "PHPH", "ASCHA", "DEVE", "OHO", "OWA", "KKN", "AKN", "AA"])
@example(["A" + "'" * 200 + "B" * 40 + "OL", "BT" * 127, "E" * 255, "KN" + "BT" * 126, "'" * 254 + "A"])
def test_codes_are_the_rules(values: list[str]) -> None:
    known, _ = words(pa.array(values, pa.utf8()))
    assert texts(phonetics.soundex(known)) == [twin_soundex(value) for value in values]
    assert texts(phonetics.nysiis(known)) == [twin_nysiis(value) for value in values]


def test_codes_do_not_depend_on_the_words_beside() -> None:
    rng = np.random.default_rng(5)
    letters_ = list("ABCDEFHIKLMNPRSTVWY'")
    values = sorted({"".join(rng.choice(letters_, rng.integers(1, 15))) for _ in range(40_000)})
    known, _ = words(pa.array(values))  # several chunks
    for code, twin in ((phonetics.soundex, twin_soundex), (phonetics.nysiis, twin_nysiis)):
        assert texts(code(known)) == list(map(twin, values))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Washington", "W252"),
        ("Lee", "L000"),
        ("Gutierrez", "G362"),
        ("Pfister", "P236"),
        ("Jackson", "J250"),
        ("Tymczak", "T522"),
        ("VanDeusen", "V532"),
        ("Ashcraft", "A261"),
    ],
)
def test_the_examples_of_the_national_archives(name: str, code: str) -> None:
    assert texts(phonetics.soundex(words(pa.array([name]))[0])) == [code]


@pytest.mark.parametrize(
    ("name", "as_name", "code"),
    [
        ("brac ci", "bracci", "B620"),
        ("cof fey", "coffey", "C100"),
        ("slack-smith", "slacksmith", "S425"),
        ("D'Hondt", "DHondt", "D530"),
        (" 'tHooft", "tHooft", "T130"),
    ],
)
def test_only_letters_of_a_name_are_coded(name: str, as_name: str, code: str) -> None:
    """The Soundex Indexing System (archives.gov/research/census/soundex) assigns numbers to the letters of a name; of
    letters with one number side by side one counts, also across H or W, and only a vowel separates them. It does not
    mention blanks, hyphens and apostrophes, which are no letters: they do not separate. jellyfish 1.3 counts both.
    """
    assert texts(phonetics.soundex(words(pa.array([name, as_name]))[0])) == [code, code]
