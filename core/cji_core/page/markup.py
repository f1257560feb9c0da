"""The one design of all pages: elements, the values in them, and a page as one file.

A page is a tree of elements, and whatever comes from a record is a text or an attribute in it; only the serializer of
the standard library writes markup. So no value can become an element. Text is also made visible: a character that has
no shape, or that changes the direction of its neighbours, is shown by its number. A page has one stylesheet, no script
unless it is served live, and a Content-Security-Policy under which nothing else is loaded or run.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from cji_core.printable import printable

MOST_OF_VALUE: Final = 200
"""Characters of one value."""
MOST_ROWS: Final = 200
"""Rows of one table."""

_MOST_OF_TEXT: Final = 1000
_SHORT: Final = 12
"""Characters of a value that stays on one line."""
STYLE: Final = files("cji_core.page").joinpath("style.css").read_text(encoding="utf-8")
"""The stylesheet of all pages."""
_DRAWING_WIDTH: Final = "672"
"""Of a drawing by itself, twice that of its own units."""
_RELOAD_S: Final = 5
"""A live page without its script is loaded again after this time."""

_END: Final = "\n</body>\n</html>\n"

Part = Element | str


def element(tag: str, *content: Part, **attributes: str) -> Element:
    """An element. In names of attributes, `class_` is `class`, and any other `_` is `-`."""
    names = {name.rstrip("_").replace("_", "-"): visible(text, _MOST_OF_TEXT) for name, text in attributes.items()}
    made = Element(tag, names)
    for part in content:
        if isinstance(part, Element):
            made.append(part)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + visible(part, _MOST_OF_TEXT)
        else:
            made.text = (made.text or "") + visible(part, _MOST_OF_TEXT)
    return made


def visible(text: str, most: int) -> str:
    """At most `most` characters of `text`; one that cannot be printed as ⟨U+202E⟩."""
    shown = printable(text[:most])
    return shown if len(text) <= most else f"{shown} … ({len(text) - most} more characters)"


def value(found: object) -> Element:
    """A value of a record. Its direction does not reach beyond it; None is missing."""
    if found is None:
        return element("span", "missing", class_="missing")
    if isinstance(found, bytes):
        found = found.decode("utf-8", "backslashreplace")
    if isinstance(found, bool):
        found = "yes" if found else "no"
    shown = visible(str(found), MOST_OF_VALUE)
    return element("bdi", shown, class_="short" if len(shown) <= _SHORT else "long")


def number(found: float | None, digits: int = 0, *, sign: bool = False) -> Element:
    """A number with thousands apart; None is missing."""
    if found is None:
        return value(None)
    made = element("span", class_="number")
    rounded = round(found, digits) + 0.0  # not -0.0
    made.text = f"{rounded:{'+' if sign else ''},.{digits}f}".replace(",", "\u2009")  # ours, not to be made visible
    return made


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[Part]],
    *,
    total: int | None = None,
    class_: str = "",
    where: str = "the result",
) -> Element:
    """A table of at most MOST_ROWS of `rows`, and a line on how many more of `total` there are, and `where`.

    On a narrow screen each row becomes a block, and its cells carry the names of their columns.
    """
    made = element("table", element("thead", element("tr", *(element("th", head, scope="col") for head in heads))))
    if class_:
        made.set("class", class_)
    body, shown = SubElement(made, "tbody"), 0
    for row in rows:
        shown += 1
        if shown <= MOST_ROWS:
            cells = zip(heads, row, strict=True)
            body.append(element("tr", *(element("td", part, data_label=head) for head, part in cells)))
    more = (shown if total is None else total) - min(shown, MOST_ROWS)
    return element("div", made, *([element("p", f"{more} more are in {where}.", class_="more")] if more else []))


def section(title: str, *content: Part) -> Element:
    """A part of a page under a heading."""
    return element("section", element("h2", title), *content)


def facts(of: Mapping[str, Part]) -> Element:
    """A list of names and what they are."""
    pairs = (element("div", element("dt", name), element("dd", part)) for name, part in of.items())
    return element("dl", *pairs)


def page(title: str, notice: str, content: Iterable[Element], *, live: str | None = None) -> Iterator[str]:
    """The page as text, a piece at a time; `notice` is at its top and, on paper, stays with it.

    `live` is a script of this program that keeps the page of a server up to date; files have none.
    """
    style = Element("style")
    style.text = STYLE  # the serializer leaves a stylesheet as it is, and the policy has its digest
    policy = f"default-src 'none'; style-src {_digest(STYLE)}; base-uri 'none'; form-action 'none'"
    moving = []
    if live is not None:
        policy += f"; script-src {_digest(live)}; connect-src 'self'"
        script = Element("script", defer="defer")
        script.text = live
        reload = element("meta", http_equiv="refresh", content=str(_RELOAD_S))
        moving = [element("noscript", reload), script]
    head = (
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        style,
        *moving,
    )
    yield _begin(head)
    yield _text(element("header", element("h1", title), element("p", notice, class_="notice")))
    yield "\n<main>\n"
    for each in content:
        yield _text(each) + "\n"
    yield f"</main>{_END}"


def document(head: Iterable[Element], body: Iterable[Element]) -> Iterator[str]:
    """A page of another frame, as a server sends it: `head` is all that is in its head."""
    yield _begin(head)
    yield from map(_text, body)
    yield _END


def _begin(head: Iterable[Element]) -> str:
    return f'<!DOCTYPE html>\n<html lang="en">{_text(element("head", *head))}\n<body>\n'


def standalone(drawing: Element, title: str) -> str:
    """One drawing as a file of SVG, with the rules of the stylesheet that are for drawings."""
    colours = STYLE[: STYLE.index("* {")].replace(":root", "svg")
    rules = STYLE[STYLE.index("/* drawings */") : STYLE.index("/* end of drawings */")]
    style = Element("style")
    style.text = f"{colours}svg {{ background: var(--paper); font-family: system-ui, sans-serif; }}\n{rules}"
    made = Element("svg", {**drawing.attrib, "xmlns": "http://www.w3.org/2000/svg", "width": _DRAWING_WIDTH})
    made.extend((element("title", title), style, *drawing))
    return tostring(made, encoding="unicode")


def _digest(of: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(of.encode()).digest()).decode()}'"


def _text(of: Element) -> str:
    return tostring(of, encoding="unicode", method="html")
