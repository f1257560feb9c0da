"""`redact` against its slow twin, on texts put together at random."""

from collections.abc import Sequence

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.operations.redact import CLASSES
from cji_operations.redact.finder import Finder
from cji_operations.redact.plain import plain
from cji_operations.redact.vocabulary import Vocabulary
from tests.reference.redact import certain, slow_plain, slow_spans
from tests.support.narratives import narratives
from tests.support.redact_tools import redacted

FINDER, VOCABULARY = Finder(CLASSES, (), ()), Vocabulary()
WORDS = [
    "Garza",
    "garza",
    "GARZA",
    "Smith",
    "Young",
    "young",
    "YOUNG",
    "Mark",
    "mark",
    "Will",
    "WILL",
    "Mr.",
    "Ofc.",
    "Officer",
    "officer",
    "JOHN",
    "John",
    "J.",
    "A",
    "Q",
    "O'Brien",
    "D'Angelo",
    "Peña",
    "Peña",
    "de",
    "la",
    "van",
    "Jr.",
    "III",
    "said",
    "was",
    "SAID",
    "the",
    "The",
    "a",
    "in",
    "and",
    "&",
    ",",
    ".",
    ";",
    ":",
    "-",
    "--",
    "'",
    "'",
    '"',
    "(",
    ")",
    "\n",
    "\n\n",
    "Zzyx",
    "zzyx",
    "ZZYX",
    "Krz",
    "KRZ",
    "Smith's",
    "Garza-Lopez",
    "Garza-",
    "Min-jun",
    "Lopez,",
    "JOHN,",
    "12",
    "1482",
    "Elm",
    "St.",
    "Street",
    "Apt",
    "4",
    "03/14/2024",
    "March",
    "5th",
    "2019",
    "555-0142",
    "(512)",
    "123-45-6789",
    "ABC-1234",
    "TX",
    "plate",
    "SSN",
    "a@b.co",
    "@handle",
    "yesterday",
    "Tuesday",
    "last",
    "night",
    "aka",
    "named",
    "\xad",
    "\u200b",
    "\u2019",
    "“",
    "”",
    "–",
    "Austin,",
    "Texas",
    "I-35",
    "FM",
    "1960",
    "№12",
    "Ж",
    "\x01",
    "sees",
    "SEES",
    "\t",
    "\r\n",
]
TEXT = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from([" ", " ", " ", "  ", "", "\n", "-", ", "])), max_size=30
).map(lambda parts: "".join(word + gap for word, gap in parts).encode())
BYTES = st.one_of(TEXT, TEXT, TEXT, st.binary(max_size=20), st.text(max_size=20).map(str.encode))


def check(texts: Sequence[bytes]) -> None:
    array = pa.array(texts, pa.binary())
    read = plain(array)
    spans = FINDER.spans(read)
    starts = [sum(map(len, texts[:i])) for i in range(len(texts))]
    found: list[list[tuple[str, int, int]]] = [[] for _ in texts]
    finds = zip(
        spans.first.tolist(), spans.end.tolist(), spans.kind.tolist(), read.rows(spans.first).tolist(), strict=True
    )
    for first, end, kind, row in finds:
        begin = int(read.origin[first]) - starts[row]
        found[row].append((CLASSES[kind], begin, int(read.origin[end]) - starts[row]))
    assert found == [slow_spans(text, VOCABULARY) for text in texts]
    assert read.codes.tolist() == [slow_plain(text)[2] for text in texts]


@settings(deadline=None, max_examples=60)
@given(st.lists(BYTES, min_size=1, max_size=4))
def test_finds_are_those_of_the_slow_twin(texts: list[bytes]) -> None:
    check(texts)


NUMERALS = st.lists(
    st.sampled_from([*"0123456789", "1", "12", "55", "2024", "-", "/", " ", " at ", "A", "$", ".", ","])
).map("".join)


@settings(deadline=None, max_examples=400)
@given(
    st.one_of(NUMERALS, st.from_regex(r"[a-z ]{0,3}[0-9]{1,4}[-/ ][0-9]{1,4}([-/ ][0-9]{2,4})?[. ]?", fullmatch=True))
)
def test_numbers_that_their_form_betrays_are_found(text: str) -> None:
    """By an independent reading, letter by letter: nothing that it finds is left."""
    (found,), _, spans = redacted([text])
    covered = {at for each in spans.to_pylist() for at in range(each["start"], each["end"])}
    for first, end in certain(text):
        left = [at for at in range(first, end) if text[at].isdigit() and at not in covered]
        assert not left, (text, text[first:end], found)


def test_finds_in_narratives_are_those_of_the_twin() -> None:
    check([each.text for each in narratives() if each.variation in {"as written", "wrapped"}])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(st.none(), BYTES), max_size=5), st.sampled_from(["class", "row"]))
def test_a_text_is_redacted_by_itself(texts: list[bytes | None], marks: str) -> None:
    """Its neighbours change nothing, and marks stand exactly where the spans say."""
    together, status, spans = redacted(texts, marks=marks)
    alone = [redacted([text], marks=marks) for text in texts]
    assert together == [found for (found,), _, _ in alone]
    assert status.status.tolist() == [int(each.status[0]) for _, each, _ in alone]
    for row, text in enumerate(texts):
        if text and together[row] is not None and marks == "class":
            own = [each for each in spans.to_pylist() if each["row"] == row]
            pieces, last = list[bytes](), 0
            for each in own:
                pieces += [text[last : each["start"]], f"[{each['class'].upper()}]".encode()]
                last = each["end"]
            assert together[row] == b"".join([*pieces, text[last:]])
