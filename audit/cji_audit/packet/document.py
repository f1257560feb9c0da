"""A packet as a document for people: sections of blocks, which `html` and `word` write in their own way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cji_audit.packet.pictures import Picture

Cell: TypeAlias = "str | Badge | Code | Link | Names | tuple[str, ...]"
"""Text, several paragraphs, or a text that is shown in a way of its own."""


@dataclass(frozen=True, slots=True)
class Badge:
    """A status; `tone` is how it is coloured."""

    text: str
    tone: Literal["good", "bad", "open", "plain"]


@dataclass(frozen=True, slots=True)
class Code:
    """Digests and commands."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A text that leads to the anchor `target` of the same document."""

    text: str
    target: str


@dataclass(frozen=True, slots=True)
class Names:
    """Names in a row, each of which stays on one line."""

    of: Sequence[str]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A text whose lines are kept; `id` is its anchor, if it has one."""

    text: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they are."""

    of: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under heads."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    class_: str = ""


Block: TypeAlias = Heading | Text | Listing | Facts | Table | Picture


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the document; `id` is its anchor."""

    id: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Document:
    """All of it. The notice stands at the top; the contents are those of the sections."""

    title: str
    notice: str
    cover: Sequence[Block]
    sections: Sequence[Section]
