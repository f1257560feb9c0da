"""The slow twin of `redact`: one text at a time, one character and one word at a time, in plain Python."""

import re
import unicodedata
from dataclasses import dataclass

from cji_core.operations.redact import CLASSES, MAX_TEXT_BYTES, Code, TextClass
from cji_operations.redact.patterns import RULES
from cji_operations.redact.vocabulary import (
    CLITIC,
    GIVEN,
    HONORIFIC,
    LISTED,
    NAME,
    NEVER,
    ORDINARY,
    PARTICLE,
    SPEAKS,
    STEM,
    SUFFIX,
    SURNAME,
    TITLE,
    Vocabulary,
)

RANK = ("email", "date", "phone", "plate", "address", "number", "name")


@dataclass
class Word:
    """A run of letters and what the rules ask about it."""

    first: int
    end: int
    text: str
    features: int
    gap: str
    capital: bool
    caseless: bool
    clitic: bool = False
    blank: bool = False
    joined: bool = False
    comma: bool = False
    quoted: bool = False
    starts: bool = False
    named: bool = False

    def has(self, features: int) -> bool:
        return bool(self.features & features)

    @property
    def cap(self) -> bool:
        return (self.caseless or self.capital) and not self.clitic

    @property
    def ordinary(self) -> bool:
        return self.has(ORDINARY | STEM)

    @property
    def initial(self) -> bool:
        return len(self.text) == 1 and self.capital


def slow_plain(value: bytes) -> tuple[str, list[int], int]:
    """(the plain text with its line feed, where each of its characters begins and where the last one ends, code)."""
    if len(value) > MAX_TEXT_BYTES:
        return "\n", [len(value), len(value)], Code.TOO_LONG
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "\n", [len(value), len(value)], Code.NOT_UTF8
    made, code, position = list[tuple[str, int]](), 0, 0
    for character in text:
        found = slow_character(character)
        if isinstance(found, str):
            made += [(found, position)] if found else []
        else:
            code = max(code, int(found))
        position += len(character.encode())
    if code:
        return "\n", [len(value), len(value)], code
    made = [
        (("\n" if c == "\r" else c), at)
        for i, (c, at) in enumerate(made)
        if not (c == "\r" and made[i + 1 : i + 2] and made[i + 1][0] == "\n")
    ]
    plain = "".join(c for c, _ in made)
    gone = set[int]()
    for match in re.finditer(r"(?<=[A-Za-z])-\n *(?=[A-Za-z])", plain):
        gone |= set(range(*match.span()))
    made = [each for i, each in enumerate(made) if i not in gone]
    kept = list[tuple[str, int]]()
    for i, (c, at) in enumerate(made):
        before = made[i - 1][0] if i else "\n"
        after = made[i + 1][0] if i + 1 < len(made) else ""
        if c != " " or (before not in " \n" and after != "\n"):
            kept.append((c, at))
    return "".join(c for c, _ in kept) + "\n", [at for _, at in kept] + [len(value), len(value)], 0


def slow_character(character: str) -> str | Code:
    """An ASCII character, nothing for a hidden one, or the reason why the text is withheld."""
    if character in "\t\v\f":
        return " "
    if character in "\n\r":
        return character
    if character.isascii():
        return character if character.isprintable() else Code.CONTROL_CHARACTER
    special = dict(zip("ßæÆøØđĐłŁþÞðÐıœŒħĦŋŊəƏ", "saAoOdDlLtTdDioOhHnNaA", strict=True))
    if character in special:
        return special[character]
    category = unicodedata.category(character)
    if category[0] == "M" or category == "Cf":
        return ""
    if category[0] == "C":
        return Code.CONTROL_CHARACTER
    base = unicodedata.normalize("NFKD", character)[0]
    if base.isascii() and base.isprintable():
        return base
    if category[0] == "Z":
        return " " if category == "Zs" else "\n"
    if unicodedata.digit(character, None) is not None:
        return str(unicodedata.digit(character))
    if category == "So" and (match := re.fullmatch(r".*\bLETTER ([A-Z])", unicodedata.name(character, ""))):
        return match[1]
    if base in "\u2018\u2019\u201b\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8":
        return "'"
    if category[0] == "L":
        match = re.match(r"LATIN (CAPITAL|SMALL)? ?.*?LETTER(?P<rest>.*)", unicodedata.name(base, ""))
        if match is None:
            return "x" if unicodedata.name(base, "").startswith("LATIN ") else Code.OTHER_SCRIPT
        letter = next((word for word in match["rest"].split() if len(word) == 1), "x")
        return letter if "CAPITAL" in unicodedata.name(base) else letter.lower()
    return {"Pd": "-", "Pi": '"', "Pf": '"'}.get(category, "*")


def slow_spans(
    value: bytes, vocabulary: Vocabulary, classes: tuple[TextClass, ...] = CLASSES
) -> list[tuple[str, int, int]]:
    """(class, first byte, end) of what is replaced in a text that has no phrases, in order."""
    plain, origin, code = slow_plain(value)
    if code:
        return []
    flat = plain[:-1].replace("\n", " ") + "\n"
    found = list[tuple[int, int, str]]()
    for rule in RULES:
        if rule.text_class in classes:
            for match in re.finditer(rule.expression.encode(), flat.encode()):
                found.append((*match.span(2), rule.text_class))
    if "name" in classes:
        words = slow_words(plain, vocabulary)
        already = [(first, end) for first, end, kind in found if kind == "name"]
        found += [(first, end, "name") for first, end in slow_names(words, already)]
    joined = list[list[tuple[int, int, str]]]()
    for each in sorted(found):
        if joined and each[0] < max(end for _, end, _ in joined[-1]):
            joined[-1].append(each)
        else:
            joined.append([each])
    spans = list[tuple[str, int, int]]()
    for group in joined:
        best = min(group, key=lambda each: (each[0] - each[1], RANK.index(each[2])))
        spans.append((best[2], origin[group[0][0]], origin[max(end for _, end, _ in group)]))
    return spans


def certain(text: str) -> list[tuple[int, int]]:
    """(first, end) of what must go from an ASCII text by its form alone, letter by letter and without a pattern.

    Six digits and more, single hyphens and blanks between them included; three numbers with slashes that are a date; a
    telephone number of three and four digits.
    """
    found, at = list[tuple[int, int]](), 0
    while at < len(text):
        if not text[at].isdigit() or (at and (text[at - 1].isalnum() or text[at - 1] in "$.,-/")):
            at += 1
            continue
        groups, end = [""], at
        while end < len(text) and (text[end].isdigit() or (text[end] in "- /" and text[end + 1 : end + 2].isdigit())):
            if text[end].isdigit():
                groups[-1] += text[end]
            else:
                groups += [text[end], ""]
            end += 1
        signs, numbers = groups[1::2], groups[::2]
        free = end == len(text) or not (text[end].isalnum() or text[end] in "-/.,")
        sizes = [len(number) for number in numbers]
        date = signs == ["/", "/"] and sizes[0] <= 2 and sizes[1] <= 2 and sizes[2] in (2, 4)
        phone = signs == ["-"] and sizes == [3, 4]
        if free and (date or phone or ("/" not in signs and sum(sizes) >= 6)):
            found.append((at, end))
        at = end
    return found


def slow_words(plain: str, vocabulary: Vocabulary) -> list[Word]:
    """The words of one plain text."""
    import pyarrow as pa

    matches = list(re.finditer(r"[A-Za-z]+", plain))
    features = vocabulary.of(pa.array([m[0].upper().encode() for m in matches], pa.binary())).tolist()
    titled = any(m[0][0].isupper() and (len(m[0]) == 1 or not m[0].isupper()) for m in matches)
    words, end = list[Word](), 0
    for i, match in enumerate(matches):
        text = match[0]
        gap = plain[end : match.start()] if i else "\n\n"
        line = plain[: match.start()].count("\n")
        letters = "".join(re.findall(r"[A-Za-z]", plain.split("\n")[line]))
        if len(letters) < 12:
            letters = "".join(re.findall(r"[A-Za-z]", plain))
        share = sum(map(str.isupper, letters)) / len(letters)
        end = match.end()
        words.append(Word(match.start(), end, text, features[i], gap, text[0].isupper(), share > 0.85 or not titled))
    for i, word in enumerate(words):
        _describe(word, words[i - 1] if i else None)
    return words


def _describe(word: Word, before: Word | None) -> None:
    gap, kinds = word.gap, set(word.gap.replace("\n", " ").replace("`", "'"))
    paragraph = before is None or gap.count("\n") > 1
    short = before is not None and (len(before.text) == 1 or before.has(TITLE | SUFFIX | PARTICLE))
    word.clitic = word.has(CLITIC) and not paragraph and kinds == {"'"}
    word.blank = not paragraph and kinds == {" "} and len(gap) <= 3
    word.joined = (
        word.blank or (not paragraph and gap == "-") or (not paragraph and gap in {"'", "`"} and not word.clitic)
    )
    word.joined = word.joined or bool(short and not paragraph and kinds in ({"."}, {".", " "}) and len(gap) <= 3)
    word.comma = not paragraph and kinds in ({","}, {",", " "}) and len(gap) <= 3
    word.quoted = not paragraph and kinds == {'"', " "} and len(gap) <= 3
    unusual = bool(kinds - set(" ,.-'"))
    word.starts = paragraph or unusual or ("." in kinds and not short)


def slow_names(words: list[Word], already: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The names among the words."""
    n = len(words)

    def at(i: int) -> Word | None:
        return words[i] if 0 <= i < n else None

    named = {i for i in range(n) if _seed(words, i)} | {
        i for i, w in enumerate(words) if any(a <= w.first and w.end <= b for a, b in already)
    }
    for i, word in enumerate(words):
        before = at(i - 1)
        if before is None:
            continue
        known = word.has(NAME) or _unknown(word)
        solid = before.has(SURNAME) or _unknown(before) or _alone(before) or i - 1 in named
        if (
            word.comma
            and (word.has(GIVEN) or _unknown(word))
            and word.cap
            and solid
            and before.cap
            and not before.has(NEVER)
        ):
            named |= {j for j in (i - 1, i) if words[j].has(NAME) or _unknown(words[j])} if known else set()
        both = before.has(NAME) and before.has(ORDINARY) and not before.has(NEVER)
        if word.blank and word.has(NAME) and word.cap and both and before.has(GIVEN) and before.cap:
            named |= {i - 1, i}
    named = _slow_grown(words, named)
    sources = {
        words[i].text.upper() for i in named if not words[i].has(PARTICLE | SUFFIX | NEVER) and len(words[i].text) > 1
    }
    named |= {
        i for i, w in enumerate(words) if w.text.upper() in sources and not w.clitic and (w.cap or not w.ordinary)
    }
    named = _slow_grown(words, named)
    spans = list[tuple[int, int]]()
    for i in sorted(named):
        word, before = words[i], at(i - 1)
        turned = (
            before is not None
            and word.comma
            and ((word.has(GIVEN) and (before.has(SURNAME) or not before.has(GIVEN))) or word.has(SUFFIX))
        )
        if i - 1 in named and (word.joined or word.quoted or turned):
            spans[-1] = (spans[-1][0], word.end)
        else:
            spans.append((word.first, word.end))
    return spans


def _unknown(word: Word) -> bool:
    known = word.has(NAME | PARTICLE | SUFFIX | TITLE | NEVER | CLITIC) or word.ordinary
    return not known and not word.clitic and len(word.text) > 1


def _alone(word: Word) -> bool:
    """A name by itself."""
    length, mixed = len(word.text), not word.caseless
    sure = word.has(NAME) and not word.has(ORDINARY | NEVER | TITLE)
    if sure and ((word.cap and length > 1) or (mixed and length > 3 and not word.clitic)):
        return True
    if word.has(LISTED) and word.cap and length > 2 and (not word.has(NEVER) or (mixed and not word.starts)):
        return True
    if not _unknown(word):
        return False
    if mixed:
        return word.capital and not (word.text.isupper() and length <= 4)
    return length > 2 and (length > 4 or bool(re.search("[aeiouy]", word.text, re.IGNORECASE)))


def _seed(words: list[Word], i: int) -> bool:
    word = words[i]
    before, after = words[i - 1] if i else None, words[i + 1] if i + 1 < len(words) else None
    both = word.has(NAME) and word.has(ORDINARY) and not word.has(NEVER)
    mixed, length = not word.caseless, len(word.text)
    if _alone(word) or _slow_titled(word, before, after, both):
        return True
    low_after = after is None or not after.capital or not after.blank
    low_before = before is None or not before.capital or not word.blank
    if both and mixed and word.capital and not word.starts and low_before and low_after:
        return True
    if both and word.cap and after is not None and after.has(SPEAKS) and after.blank and not word.has(SPEAKS):
        return True
    return bool(
        both and mixed and word.capital and after is not None and after.clitic and len(after.text) == 1 and length
    )


def _slow_titled(word: Word, before: Word | None, after: Word | None, both: bool) -> bool:
    title = before is not None and before.has(TITLE) and word.joined
    honorific = before is not None and before.has(HONORIFIC) and word.joined
    possible = not word.has(NEVER | TITLE) and not word.clitic
    known = word.has(NAME) or _unknown(word)
    if title and possible and known and (word.cap or (word.caseless and not word.capital)):
        return True
    low_after = after is None or not after.capital or not after.blank
    if title and possible and not word.caseless and word.capital and low_after and not word.ordinary:
        return True
    if honorific and not word.clitic and not word.caseless and word.capital:
        return True
    return (honorific and possible and word.cap) or (both and honorific)


def _slow_particle(words: list[Word], named: set[int], i: int) -> bool:
    """At most three particles in a row."""
    if not words[i].has(PARTICLE):
        return False
    j, steps = i + 1, 1
    while j < len(words) and words[j].joined and j not in named and words[j].has(PARTICLE) and steps < 3:
        j, steps = j + 1, steps + 1
    if not (j < len(words) and words[j].joined and j in named):
        return False
    if words[i].cap:
        return True
    j, steps = i, 1
    while words[j].joined and j - 1 not in named and j > 0 and words[j - 1].has(PARTICLE) and steps < 3:
        j, steps = j - 1, steps + 1
    return words[j].joined and j - 1 in named


def _slow_grown(words: list[Word], named: set[int]) -> set[int]:
    n = len(words)
    for _ in range(3):
        grown = set(named)
        for i, word in enumerate(words):
            after = words[i + 1] if i + 1 < n else None
            wordy = not word.has(NEVER | TITLE) and not word.clitic
            capital = (
                word.cap and wordy and (word.has(NAME) or not word.ordinary or (not word.caseless and not word.starts))
            )
            behind = i - 1 in named and (word.joined or word.quoted)
            ahead = after is not None and i + 1 in named and (after.joined or after.quoted)
            period = after is not None and "." in after.gap and after.gap.count("\n") < 2
            article = word.initial and (word.has(NEVER) or word.caseless) and not period
            first_word = word.starts and word.ordinary and not word.has(NAME)
            alone_after = after is None or not after.capital or not after.blank
            mixed = not word.caseless and word.capital
            by_name = i - 1 in named and (
                (word.gap == "-" and not word.ordinary and not word.clitic)
                or (mixed and word.blank and word.has(TITLE) and alone_after)
                or (word.comma and word.initial and not word.has(NEVER))
            )
            called = mixed and word.has(GIVEN) and word.has(NEVER) and i + 1 in named
            if (
                by_name
                or (called and after is not None and after.blank)
                or (behind and (capital or (word.initial and not word.clitic)))
                or (ahead and ((capital and not first_word) or (word.initial and not article)))
                or _slow_particle(words, named, i)
                or (i - 1 in named and (word.joined or word.comma) and word.has(SUFFIX))
                or (i - 1 in named and word.comma and word.has(GIVEN) and word.cap)
            ):
                grown.add(i)
        if grown == named:
            break
        named = grown
    return named
