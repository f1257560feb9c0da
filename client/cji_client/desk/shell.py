"""The frame of every page of the desk, and the elements of its forms, which a browser neither keeps nor completes."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Final
from xml.etree.ElementTree import Element

from cji_client.desk.questions import YES
from cji_client.desk.running import Failure
from cji_core.page.markup import STYLE, Part, document, element

SHEET: Final = STYLE + files("cji_client.desk").joinpath("desk.css").read_text(encoding="utf-8")
SCRIPT: Final = files("cji_client.desk").joinpath("desk.js").read_text(encoding="utf-8")
ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="6" fill="#0b62a4"/>'
    '<path d="M8 11h16v12H8z" fill="none" stroke="#fff" stroke-width="2.5"/>'
    '<path d="M12 11V8h8v3" fill="none" stroke="#fff" stroke-width="2.5"/></svg>'
)
STEPS: Final = (("files", "Files"), ("task", "Task"), ("check", "Check"), ("results", "Results"))
_PROMISE: Final = "Your records stay in this computer's memory. Only sealed jobs leave it."


def page(folder: str, title: str, content: Iterable[Part], *, step: str = "", reload: int | None = None) -> str:
    """A page; `step` is the part of the way that it is, `reload` the seconds after which it is loaded again."""
    again = [] if reload is None else [element("noscript", element("meta", http_equiv="refresh", content=str(reload)))]
    head = (
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} – CJI desk"),
        element("link", rel="icon", type="image/svg+xml", href=f"{folder}/icon.svg"),
        element("link", rel="stylesheet", href=f"{folder}/desk.css"),
        *again,
        element("script", src=f"{folder}/desk.js", defer="defer"),
    )
    body = (
        element("a", "Skip to the page", class_="skip", href="#main"),
        _header(folder, step),
        element("main", element("h1", title), *content, id="main", tabindex="-1"),
        element("footer", element("p", _PROMISE)),
    )
    return "".join(document(head, body))


def _header(folder: str, step: str) -> Element:
    steps = element("ol")
    for name, label in STEPS:
        link = element("a", label, href=f"{folder}/{name}")
        if name == step:
            link.set("aria-current", "step")
        steps.append(element("li", link))
    leave = form(f"{folder}/quit", button("Quit", kind="quiet"), class_="quit")
    brand = element("a", "CJI desk", class_="brand", href=f"{folder}/")
    return element("header", brand, element("nav", steps, aria_label="Steps"), leave)


def form(action: str, *content: Part, class_: str = "", upload: bool = False) -> Element:
    """A form that is posted to this desk."""
    made = element("form", *content, method="post", action=action, autocomplete="off", spellcheck="false")
    if class_:
        made.set("class", class_)
    if upload:
        made.set("enctype", "multipart/form-data")
    return made


def button(label: str, *, kind: str = "", name: str = "", value: str = "") -> Element:
    """A button that sends its form; `kind` is main, quiet or nothing."""
    made = element("button", label, type="submit")
    for attribute, text in (("class", kind), ("name", name), ("value", value)):
        if text:
            made.set(attribute, text)
    return made


def link(label: str, href: str, *, kind: str = "", new: bool = False) -> Element:
    """A link; `new` opens it beside this page."""
    made = element("a", label, href=href)
    if kind:
        made.set("class", kind)
    if new:
        made.set("target", "_blank")
        made.set("rel", "noopener")
    return made


def field(
    label: str,
    name: str,
    value: str = "",
    *,
    hint: str = "",
    required: bool = False,
    most: int = 256,
    kind: str = "text",
) -> Element:
    """A text with its label; `kind` is text, number or date."""
    made = element(
        "input", type=kind, id=name, name=name, value=value, maxlength=str(most), autocomplete="off",
        spellcheck="false", autocapitalize="off",
    )  # fmt: skip
    return _labelled(label, made, name, hint, required=required)


def select(
    label: str, name: str, options: Mapping[str, str], chosen: str = "", *, hint: str = "", hide: bool = False
) -> Element:
    """A choice of one of `options`, words by value; with `hide` only screen readers get the label."""
    made = element("select", id=name, name=name, autocomplete="off")
    for value, words in options.items():
        option = element("option", words, value=value)
        if value == chosen:
            option.set("selected", "selected")
        made.append(option)
    return _labelled(label, made, name, hint, hide=hide)


def radios(legend: str, name: str, options: Sequence[tuple[str, str, Part]], chosen: str) -> Element:
    """A choice of one of `options`: value, title, and what explains it."""
    made = element("fieldset", element("legend", legend), class_="choices")
    for value, title, about in options:
        entry = element("input", type="radio", name=name, value=value, id=f"{name}-{value}", autocomplete="off")
        if value == chosen:
            entry.set("checked", "checked")
        words = element("span", element("strong", title), element("span", about, class_="about"))
        made.append(element("label", entry, words, for_=f"{name}-{value}", class_="choice"))
    return made


def checks(legend: str, rows: Iterable[tuple[str, str, bool]], *, hint: str = "") -> Element:
    """Switches: name, words, and whether it is on. One alone needs no legend."""
    made = element("fieldset", *([element("legend", legend)] if legend else []), class_="ticks")
    if hint and legend:
        made.append(element("p", hint, class_="hint"))
    for name, words, on in rows:
        entry = element("input", type="checkbox", name=name, value=YES, id=name, autocomplete="off")
        if on:
            entry.set("checked", "checked")
        label = element("label", words, for_=name)
        about = [element("p", hint, class_="hint", id=f"{name}-hint")] if hint and not legend else []
        if about:
            entry.set("aria-describedby", f"{name}-hint")
        made.append(element("div", entry, element("div", label, *about), class_="tick"))
    return made


def problem(failure: Failure, *more: Part) -> Element:
    """Why something did not work."""
    return element(
        "div",
        element("h2", "This did not work"),
        *(element("p", line) for line in failure.what.splitlines()),
        *(element("p", line, class_="remedy") for line in failure.remedy.splitlines()),
        *more,
        class_="problem",
        role="alert",
    )


def note(*content: Part, kind: str = "note") -> Element:
    """A remark."""
    return element("p", *content, class_=kind)


def _labelled(
    label: str, control: Element, name: str, hint: str, *, required: bool = False, hide: bool = False
) -> Element:
    made = element("div", element("label", label, for_=name, class_="hidden" if hide else "label"), class_="field")
    if hint:
        made.append(element("p", hint, class_="hint", id=f"{name}-hint"))
        control.set("aria-describedby", f"{name}-hint")
    if required:
        control.set("required", "required")
    made.append(control)
    return made
