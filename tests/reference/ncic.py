"""The slow twin of `validate` with `ncic/1`: one value after the other."""

import datetime
import re
import string
import unicodedata

from cji_core.operations.status_codes import RowCode, ValueCode
from cji_core.operations.tables import Ncic
from cji_core.operations.tables.ncic import (
    CodeRule,
    ColumnRule,
    DateRule,
    HeightRule,
    NamePartRule,
    NameRule,
    NumberRule,
    ShapeRule,
    SsnRule,
    StatePrefixRule,
    TextRule,
    VinRule,
)
from cji_core.operations.validate import Code
from tests.support.paths import ROOT

LETTERS = ROOT / "operations/cji_operations/kernels/data/letters.csv"
VIN_VALUES = dict(zip(string.digits, range(10), strict=True)) | dict(
    zip("ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "12345678123457923456789"), strict=True)
)
APOSTROPHES = "\u00b4\u2018\u2019\u201b\u2032\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u055a\u05f3\uff07\ua78b\ua78c"


def vin_check(value: str) -> str:
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    return "0123456789X"[sum(VIN_VALUES.get(c, 0) * w for c, w in zip(value, weights, strict=True)) % 11]


def characters(letters: str, also: str) -> str:
    return {"A": string.ascii_uppercase, "9": string.digits, "A9": string.ascii_uppercase + string.digits}[
        letters
    ] + also


def judgement(rule: ColumnRule, value: str | None, ncic: Ncic, as_of: datetime.date) -> RowCode | None:
    """The first thing that is wrong with a value."""
    if not value:
        return Code.VALUE_MISSING if rule.required else None
    size = len(unicodedata.normalize("NFC", value))
    match rule:
        case TextRule():
            if not rule.least <= size <= rule.most:
                return ValueCode.WRONG_LENGTH
            return None if set(value) <= set(characters(rule.alphabet, rule.also)) else ValueCode.WRONG_CHARACTER
        case CodeRule():
            return None if value in ncic.codes[rule.table] else ValueCode.NOT_IN_TABLE
        case NameRule():
            sent = carried(value)
            good = re.fullmatch(r"[A-Z'-]([A-Z' -]*[A-Z'-])?,( ?[A-Z'-][A-Z' -]*|  +[A-Z' -]*)", sent)
            return judged_name(rule, value, None if good and not sent.endswith(" ") else ValueCode.WRONG_FORM)
        case NamePartRule():
            good = re.fullmatch("[A-Z' -]+", carried(value))
            return judged_name(rule, value, None if good else ValueCode.WRONG_CHARACTER)
        case DateRule():
            return judged_date(rule, value, as_of)
        case NumberRule() | HeightRule():
            digits = rule.digits if isinstance(rule, NumberRule) else 3
            if not re.fullmatch(f"[0-9X]{{{digits}}}", value):
                return ValueCode.WRONG_FORM
            if "X" in value:
                return None
            inches = isinstance(rule, HeightRule) and int(value[1:]) > 11
            return Code.OUT_OF_RANGE if inches or not rule.low <= int(value) <= rule.high else None
        case SsnRule():
            if not re.fullmatch("[0-9X]{9}", value):
                return ValueCode.WRONG_FORM
            never = value[:3] in {"000", "666"} or value[0] == "9" or value[3:5] == "00" or value[5:] == "0000"
            return ValueCode.NEVER_ISSUED if never else None
        case VinRule():
            if size > rule.most:
                return ValueCode.WRONG_LENGTH
            if not set(value) <= set(characters("A9", "")):
                return ValueCode.WRONG_CHARACTER
            return Code.WRONG_CHECK_DIGIT if size == 17 and vin_check(value) != value[8] else None
        case StatePrefixRule():
            if not 4 <= size <= rule.most:
                return ValueCode.WRONG_LENGTH
            if value[2:3] != "-" or value[:2] not in ncic.codes[rule.table]:
                return ValueCode.NOT_IN_TABLE
            return None if set(value) <= set(characters("A9", "-")) else ValueCode.WRONG_CHARACTER
        case ShapeRule():
            shapes = {"A": "[A-Z]", "9": "[0-9]", "N": "[A-Z0-9]"}
            return None if re.fullmatch("".join(shapes[c] for c in rule.shape), value) else ValueCode.WRONG_FORM


def judged_date(rule: DateRule, value: str, as_of: datetime.date) -> RowCode | None:
    text = value.upper() if len(value) == 8 else value.upper().replace("-", "")
    if len(value) == 10 and not re.fullmatch(r".{4}-.{2}-.{2}", value):
        return Code.NO_SUCH_DATE
    if value.upper() == "XX":
        return None if rule.partial else Code.NO_SUCH_DATE
    if not re.fullmatch("[0-9X]{8}", text):
        return Code.NO_SUCH_DATE
    if "X" not in text:
        try:
            day = datetime.datetime.strptime(text, "%Y%m%d").date()
        except ValueError:
            return Code.NO_SUCH_DATE
        return Code.IN_THE_FUTURE if day > as_of and not rule.future else None
    return None  # the values that are drawn have no other X; partial dates have tests of their own


def judged_name(rule: NameRule | NamePartRule, value: str, form: RowCode | None) -> RowCode | None:
    """By its length, then by the form of what is transmitted, then by whether that is the value."""
    size = max(len(unicodedata.normalize("NFC", value)), len(carried(value)))
    if not rule.least <= size <= rule.most:
        return ValueCode.WRONG_LENGTH
    return form or (None if value.isascii() else Code.NOT_CARRIED)


def carried(value: str) -> str:
    """A name as NCIC has it; what has no Latin form stays."""
    return "".join(carried_character(each) for each in unicodedata.normalize("NFC", value))


def carried_character(character: str) -> str:
    """One letter in A to Z, or a sign of ASCII."""
    if character.isascii():
        return character
    if character in APOSTROPHES:
        return "'"
    written = dict(line.split(",") for line in LETTERS.read_text().splitlines()[2:] if line[0] != "#")
    found = ""
    for each in unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold()):
        category = unicodedata.category(each)
        if each.isascii():
            found += each
        elif category == "Nd":
            found += str(unicodedata.digit(each))
        elif category == "Pd":
            found += "-"
        elif category[0] in "ZPS" or category == "Cc":
            found += " "
        elif category[0] != "C":
            found += each
    found = re.sub(
        "(^|[^A-Za-z0-9\x80-\U0010ffff])[\u0300-\u036f]+", r"\1", unicodedata.normalize("NFC", found.upper())
    )
    letters = [c for c in unicodedata.normalize("NFD", found) if unicodedata.category(c)[0] != "M"]
    return "".join(written.get(each, each) for each in letters)
