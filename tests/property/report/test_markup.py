"""Values never become markup, whatever they are; samples do not depend on how outputs are cut into batches."""

from collections import Counter
from html.parser import HTMLParser

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_client.report.sample import Least, column, rows_at
from cji_client.report.validate_page import MOST_EXAMPLES, _kinds
from cji_core.operations.aggregate import Aggregate
from cji_core.page.charts import waterfall
from cji_core.page.markup import MOST_ROWS, element, number, table, value, visible
from tests.support.report_tools import PERSON, linked, opened, page_of, people

NASTY = (
    "<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", '" onload="x', "' x='", "<!--", "]]>",
    "&lt;b&gt;", "</td></table><svg onload=1>", "\x00<b>", "\u202egnp", "</title>",
    "a\r\nb", "&#60;i&#62;", "{{7*7}}", "\U000e0041",
)  # fmt: skip
hostile = st.lists(
    st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)), max_size=4
).map("".join)


class Shape(HTMLParser):
    """The tags of a page with the names of their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError("a declaration")


def linked_page(word: str) -> str:
    rows = [("DOW", "JANE", "19820214", None)] * 2
    texts = [f"{i}{word}" for i in range(2)]
    table = people(rows, address_1=texts, county=texts, postcode=texts)
    return page_of(linked(table.set_column(0, "record_id", pa.array(texts))))


def cells_page(word: str) -> str:
    table = pa.table({"county": [f"0{word}", f"1{word}"]})
    return page_of(opened(Aggregate(keys={"county": ()}, threshold=1), PERSON, table))


HARMLESS = {make: Shape(make("x")) for make in (linked_page, cells_page)}


@settings(max_examples=80, deadline=None)
@given(hostile)
def test_hostile_values_never_become_markup(word: str) -> None:
    for make, harmless in HARMLESS.items():
        found = Shape(make(word))
        assert found.tags == harmless.tags
        assert any(visible(f"0{word}", 200) == text for text in found.texts)


@given(st.binary(min_size=1, max_size=300))
def test_bytes_that_are_no_text_are_shown(data: bytes) -> None:
    (shown,) = value(data).itertext()
    assert shown.isprintable()


@given(st.text(max_size=400), st.integers(1, 300))
def test_shown_text_is_printable_and_bounded(text: str, most: int) -> None:
    shown = visible(text, most)
    assert shown.isprintable()
    if len(text) > most:
        assert shown == f"{visible(text[:most], most)} … ({len(text) - most} more characters)"
    if text.isprintable() and len(text) <= most:
        assert shown == text


@given(st.integers(0, 3 * MOST_ROWS), st.integers(0, 10))
def test_tables_are_bounded_and_state_what_is_left_out(rows: int, more: int) -> None:
    made = table(("n",), [(str(i),) for i in range(rows)], total=rows + more)
    assert len(made.findall("table/tbody/tr")) == min(rows, MOST_ROWS)
    left = rows + more - min(rows, MOST_ROWS)
    assert [p.text for p in made.findall("p")] == ([f"{left} more are in the result."] if left else [])


def test_text_between_elements_stays_in_its_place() -> None:
    made = element("p", "a", element("b", "c"), "d", "e", element("i"), "f")
    assert "".join(made.itertext()) == "acdef"


@given(st.lists(st.floats(allow_nan=False), max_size=20))
def test_bars_of_a_waterfall_lie_in_their_rails(weights: list[float]) -> None:
    bars = waterfall(weights)
    assert len(bars) == len(weights) + 1
    for bar in bars:
        for part in bar:
            start, length = float(part.attrib["x"]), float(part.attrib["width"])
            assert start >= -0.01
            assert start + length <= 100.02


@given(st.lists(st.lists(st.integers(0, 5), max_size=8), max_size=5), st.integers(1, 6))
def test_samples_are_the_first_of_the_sorted_rows(parts: list[list[int]], most: int) -> None:
    least = Least(most, lambda batch: column(batch, "x").astype(float))
    batches = [pa.record_batch({"x": pa.array(part, pa.int64()), "n": pa.array(range(len(part)))}) for part in parts]
    for batch in batches:
        least.add(batch)
    every = [(x, i) for part in parts for i, x in enumerate(part)]
    assert least.total == len(every)
    assert [(row["x"], row["n"]) for row in least.rows] == sorted(every, key=lambda each: each[0])[:most]
    values = [x for part in parts for x in part]
    assert rows_at(batches, range(1, 30, 3)).keys() == {i for i in range(1, 30, 3) if i < len(values)}
    assert [row["x"] for row in rows_at(batches, range(100)).values()] == values


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, "m"]), st.booleans()), max_size=9), max_size=4
    )
)
def test_kinds_of_findings_are_counted_across_batches(parts: list[list[tuple[str, str | None, bool]]]) -> None:
    names = ("column", "finding", "warning")
    kinds = [pa.utf8(), pa.utf8(), pa.bool_()]
    batches = [
        pa.record_batch([pa.array([row[i] for row in part], kinds[i]) for i in range(3)], names=names) for part in parts
    ]
    found = _kinds(batches, names)
    assert {key: kind.findings for key, kind in found.items()} == Counter(row for part in parts for row in part)
    for key, kind in found.items():
        assert len(kind.examples) == min(kind.findings, MOST_EXAMPLES)
        assert all(tuple(example.values()) == key for example in kind.examples)


def test_thousands_stand_apart() -> None:
    assert number(1234567.891, 1).text == "1\u2009234\u2009567.9"
    assert number(-12, sign=True).text == "-12"
