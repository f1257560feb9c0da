"""Narratives that are labelled by hand, and variations of some; every third one is held out."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LABELLED = Path(__file__).parent / "labelled.txt"
OTHER = Path(__file__).parent / "other.txt"
_LABEL = re.compile(r"\{\{([A-Z]+):(.*?)\}\}", re.DOTALL)
_WORD = re.compile(r"(?<!\w)[^\W\d_]{3,}(?![\w.])")
_GIVEN = ("Marisela", "Bogdan", "Tamsin", "Oluwaseun", "Quetzalli", "Fergus", "Noor", "Xochitl", "Leif", "Keiko")
_SURNAMES = (
    "Vandermolen",
    "Achterberg",
    "Okonjo",
    "Zielinski",
    "Larkspur-Hale",
    "Yamaguchi",
    "Delafuente",
    "Roux",
    "Pettibone",
    "Szymański",
)


@dataclass(frozen=True, slots=True)
class Narrative:
    """A text and what in it must go: (class, first byte, end)."""

    style: str
    variation: str
    held_out: bool
    text: bytes
    labels: tuple[tuple[str, int, int], ...]


def parse(style: str, variation: str, held_out: bool, labelled: str) -> Narrative:
    """A text with its labels taken out."""
    text, labels, last = b"", list[tuple[str, int, int]](), 0
    for match in _LABEL.finditer(labelled):
        text += labelled[last : match.start()].encode()
        value = match[2].encode()
        labels.append((match[1], len(text), len(text) + len(value)))
        text, last = text + value, match.end()
    return Narrative(style, variation, held_out, text + labelled[last:].encode(), tuple(labels))


def narratives() -> Iterator[Narrative]:
    """All texts, each with its variations."""
    for number, style, text in _texts(LABELLED):
        for variation, changed in _variations(text, number):
            yield parse(style, variation, number % 3 == 2, changed)


def others() -> Iterator[Narrative]:
    """Texts of other kinds, as they were written."""
    for number, style, text in _texts(OTHER):
        yield parse(style, "as written", number % 3 == 2, text)


def _texts(path: Path) -> Iterator[tuple[int, str, str]]:
    """(number, style, labelled text) of the texts in a file."""
    for number, block in enumerate(path.read_text().split("\n%% ")[1:]):
        style, _, text = block.partition("\n")
        yield number, style, text.strip()


def _variations(text: str, number: int) -> Iterator[tuple[str, str]]:
    yield "as written", text
    yield "in capitals", _LABEL.sub(lambda m: f"{{{{{m[1]}:{m[2].upper()}}}}}", _outside(text, str.upper))
    yield "wrapped", _wrapped(text, 44)
    yield "other names", _renamed(text, number)
    yield "accents apart, extra blanks", unicodedata.normalize("NFD", text).replace(". ", ".  ")


def _outside(text: str, change: Callable[[str], str]) -> str:
    parts, last = list[str](), 0
    for match in _LABEL.finditer(text):
        parts += [change(text[last : match.start()]), match[0]]
        last = match.end()
    return "".join([*parts, change(text[last:])])


def _wrapped(text: str, width: int) -> str:
    """Lines of `width` characters, broken at blanks, inside of labels too."""
    out, column = list[str](), 0
    for piece in re.split(r"( )", text):
        shown = len(_LABEL.sub(r"\2", piece))
        if piece == " " and column >= width:
            out.append("\n")
            column = 0
        else:
            out.append(piece)
            column += shown
    return "".join(out)


def _renamed(text: str, number: int) -> str:
    """With other names: given names and surnames that no list of the program has, the same for the same word."""
    words = dict[str, str]()

    def other(word: str, position: int, count: int) -> str:
        key = word.casefold()
        if key not in words:
            source: Sequence[str] = _GIVEN if position < count - 1 or (count == 1 and number % 2) else _SURNAMES
            words[key] = source[(number + len(words)) % len(source)]
        found = words[key]
        return found.upper() if word.isupper() else found.lower() if word.islower() else found

    def change(match: re.Match[str]) -> str:
        if match[1] != "NAME":
            return match[0]
        count = len(_WORD.findall(match[2]))
        position = iter(range(count))
        value = _WORD.sub(lambda found: other(found[0], next(position, 0), count), match[2])
        return f"{{{{NAME:{value}}}}}"

    return _LABEL.sub(change, text)
