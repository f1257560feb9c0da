"""What `redact` replaces, what it withholds, and what no output of it has."""

import re

import pyarrow as pa
import pytest

from cji_core.errors import Reason, Stage
from cji_core.format.records import Status
from cji_core.operations.redact import MAX_TEXT_BYTES, REDACT, Code, Redaction
from tests.support.contexts import context, prepare_batch
from tests.support.redact_tools import narrative, redacted, side
from tests.support.refusals import refused


def one(text: str | bytes, **given: object) -> str:
    """The redacted text of one row."""
    (found,), status, _ = redacted([text], **given)  # type: ignore[arg-type]
    assert status.status.tolist() == [0]
    assert isinstance(found, bytes)
    return found.decode()


FOUND = [
    ("Ofc. Garza met Smith's wife.", "Ofc. [NAME] met [NAME]'s wife."),
    ("SMITH, JOHN A was arrested.", "[NAME] was arrested."),
    ("I saw J. Q. Okafor-Bell run.", "I saw [NAME] run."),
    ("Then José de la Peña left.", "Then [NAME] left."),
    ("Mr. Young said that Mark went home.", "Mr. [NAME] said that [NAME] went home."),
    ("A young man will mark the brown box.", "A young man will mark the brown box."),
    ("The driver was Nguyen.\nNGUYEN had a cut.", "The driver was [NAME].\n[NAME] had a cut."),
    ("Contact Villa-\nnueva at once.", "Contact [NAME] at once."),
    ("Contact Marisol\nVillanueva at once.", "Contact [NAME] at once."),
    ("It was 3rd of March 2024, a Friday.", "It was [DATE], a [DATE]."),
    ("Two weeks ago, on 19820214, at 1430 hours.", "[DATE], on [DATE], at 1430 hours."),
    ("SSN XXX-XX-1234 or 123 45 6789", "SSN [NUMBER] or [NUMBER]"),
    ("SSN 1 2 3 4 5 6 7 8 9, or 12345 6", "SSN [NUMBER], or [NUMBER]"),
    ("No. \u277a\u277a\u277a\u2776\u2777\u2778\u2779", "No. [NUMBER]"),
    ("Late Mon, Tue and Sat. He sat overnight.", "Late [DATE], [DATE] and [DATE]. He sat [DATE]."),
    ("Friday night, and in Mar '24.", "[DATE], and in [DATE]."),
    ("She spelled F-U-E-N-T-E-S for me.", "She spelled [NAME] for me."),
    ("Mrs. Do told Park Ji-hoon.", "Mrs. [NAME] told [NAME]."),
    ("Then Will Pruett met Ann Justice.", "Then [NAME] met [NAME]."),
    ("Ofc. Nguyen, T came.", "Ofc. [NAME], [NAME] came."),
    ("RR 2 Box 41 or 415 w cedar or 640 S. Glendale", "[ADDRESS] or [ADDRESS] or [ADDRESS]"),
    ("plate VWX-44-21, MT 7-44182B", "plate [PLATE], MT [PLATE]"),
    ("Gate code 4471, check 1044", "Gate code [NUMBER], check [NUMBER]"),
    ("Call (512) 555-0142 or +1 512 555 0143.", "Call [PHONE] or [PHONE]."),
    ("At 12 N. Elm St., Apt 4, and PO Box 12.", "At [ADDRESS], and [ADDRESS]."),
    ("He went to 1482 Willow Bend Dr.", "He went to [ADDRESS]"),  # two finds, neither of which has the whole
    ("TX plate ABC-1234, tag 7ABC123", "TX plate [PLATE], tag [PLATE]"),
    ("Mail a.b+c@example.org.", "Mail [EMAIL]."),
    ("FBI# 445211KB3, SID TX05512398", "FBI# [NUMBER], SID [NUMBER]"),
]


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_what_is_found_is_replaced_by_its_class(text: str, expected: str) -> None:
    assert one(text) == expected


def test_only_wanted_classes_are_replaced() -> None:
    assert one("Garza called on 1/2/2024.", classes=("date",)) == "Garza called on [DATE]."


def test_a_find_inside_another_one_does_not_stay() -> None:
    """The union of overlapping finds goes, whichever of them names the mark."""
    assert one("Report 24-001234 555-0142") == "Report [NUMBER]"


def test_equal_values_of_a_text_share_a_number() -> None:
    text = "GARZA, ANA hit Bo Lund on 1/2/24. Ana Garza left on 1/3/24."
    assert one(text, marks="row") == "[NAME-1] hit [NAME-2] on [DATE-1]. [NAME-1] left on [DATE-2]."
    assert redacted([text, text], marks="row")[0][1] == one(text, marks="row").encode()


def test_tokens_join_inside_a_project_only() -> None:
    given = {"marks": "project", "project": "a", "wrapped_project_key": b"w"}
    first, second = one("Saw Ana Garza.", **given), one("It was GARZA, ANA.", **given)
    (token,) = re.findall(r"\[NAME-[0-9a-v]{16}\]", first)
    assert token in second
    assert token not in one("Saw Ana Garza.", **given | {"project": "b"})
    assert token not in one("Saw Ana Garza.", **given, key=bytes(32))


def test_a_project_key_of_another_length_is_refused() -> None:
    with refused(Reason.BAD_PARAMETERS, stage=Stage.COMPUTE):
        redacted(["x"], marks="project", project="a", wrapped_project_key=b"w", key=b"short")


def test_missing_texts_are_null() -> None:
    for kind in (pa.utf8(), pa.binary()):
        found, status, spans = redacted([None, "", "x"], kind=kind)
        assert found[:2] == [None, None]
        assert status.counts() == (3, 0, 0, 0)
        assert spans.num_rows == 0


WITHHELD = [
    (b"Gar\xffza", Code.NOT_UTF8),
    (b"\x80\x80", Code.NOT_UTF8),
    (b"ends with \xc3", Code.NOT_UTF8),
    (b"overlong \xc0\xaf", Code.NOT_UTF8),
    (b"surrogate \xed\xa0\x80", Code.NOT_UTF8),
    (b"a\0b", Code.CONTROL_CHARACTER),
    (b"a\x01b", Code.CONTROL_CHARACTER),
    ("private \ue000".encode(), Code.CONTROL_CHARACTER),
    ("Иван Петров".encode(), Code.OTHER_SCRIPT),
    ("G\u0430rza with a Cyrillic letter".encode(), Code.OTHER_SCRIPT),
    (b"x" * (MAX_TEXT_BYTES + 1), Code.TOO_LONG),
]


@pytest.mark.parametrize(("text", "code"), WITHHELD)
def test_a_text_that_rules_cannot_read_is_withheld(text: bytes, code: Code) -> None:
    found, status, spans = redacted([b"Garza left.", text, b"Lund left."])
    assert found == [b"[NAME] left.", None, b"[NAME] left."]
    assert status.counts() == (2, 0, 0, 1)
    assert (status.rows.tolist(), status.codes.tolist(), status.columns.tolist()) == ([1], [code], [0])
    assert status.status[1] == Status.NOT_USABLE
    assert set(spans["row"].to_pylist()) == {0, 2}


@pytest.mark.parametrize("hidden", ["\u00ad", "\u200b", "\u2060", "\ufeff", "\u0301"])
def test_hidden_characters_hide_nothing(hidden: str) -> None:
    assert one(f"It was Gar{hidden}za's car.") == "It was [NAME]'s car."
    assert one(f"SSN 123-4{hidden}5-6789") == "SSN [NUMBER]"


@pytest.mark.parametrize(
    "name",
    [
        "\uff27\uff41\uff52\uff5a\uff41",
        "\U0001d406\U0001d41a\U0001d42b\U0001d433\U0001d41a",
        "\U0001f176\U0001f170\U0001f181\U0001f189\U0001f170",
        "\U0001f1ec\U0001f1e6\U0001f1f7\U0001f1ff\U0001f1e6",
        "Łukasz",
        "Bjørn",
        "Nguyễn",
        "O\u2019Brien",
    ],
)
def test_letters_in_other_clothes_are_letters(name: str) -> None:
    assert one(f"Later {name} came back.") == "Later [NAME] came back."


def test_the_persons_of_the_job_are_found() -> None:
    persons = side("person/1", NAM=["RIVER, SUMMER"], DOB=["19820214"], SOC=["123456789"], OLN=["AB12"], SID=["XX"])
    sides = {"persons": persons}
    text = "RIVER WAS SEEN AT THE RIVER. LICENSE AB-12. BORN 021482."
    assert one(text, sides=sides) == "[NAME] WAS SEEN AT THE [NAME]. LICENSE [NUMBER]. BORN [DATE]."
    assert (
        one("She said that Summer may come, in a summer.", sides=sides) == "She said that [NAME] may come, in a summer."
    )
    assert one("Then the river was high.", sides=sides) == "Then the river was high."
    _, _, spans = redacted([text], sides=sides)
    assert "person" in spans["rule"].to_pylist()


def test_words_of_an_agency_are_found_and_kept() -> None:
    words = side("words/1", word=["the old mill", "Zorbo", "quix"], kind=["address", "ordinary", "given"])
    sides = {"words": words}
    text = "Zorbo stood near the old mill with quix."
    assert one(text, sides=sides) == "Zorbo stood near [ADDRESS] with [NAME]."
    assert one(text) == "[NAME] stood near the old mill with quix."


def test_words_of_an_unknown_kind_are_refused() -> None:
    for kind in ("nonsense", None):
        with refused(Reason.BAD_PARAMETERS, stage=Stage.COMPUTE):
            redacted(["x"], sides={"words": side("words/1", word=["a"], kind=[kind])})


def test_spans_have_positions_and_no_value() -> None:
    text = "It was Peña, on 1/2/2024."
    _, _, spans = redacted(["x", text])
    assert spans.select(["row", "column", "class", "rule"]).to_pylist() == [
        {"row": 1, "column": "narrative", "class": "name", "rule": "prose"},
        {"row": 1, "column": "narrative", "class": "date", "rule": "numeric"},
    ]
    cut = [
        text.encode()[a:b].decode()
        for a, b in zip(*(spans[name].to_pylist() for name in ("start", "end")), strict=True)
    ]
    assert cut == ["Peña", "1/2/2024"]


def test_no_output_has_a_planted_value() -> None:
    """In the bytes of all outputs; among texts of all kinds, and more than one portion of them."""
    canaries = ["Qanaryworth", "987-65-4320", "canary.bird@example.org", "QQZ-4471", "17 Canarywood Ave", "02/29/1984"]
    text = "Row {}: Mr. {} ({}, SSN {}, {}), plate {}, lives at {}."
    name, number, mail, plate, address, born = canaries
    rest = " The rest was quiet."
    texts = [text.format(i, name, born, number, mail, plate, address) + rest * (i % 700) for i in range(600)]
    assert sum(map(len, texts)) > 3 * MAX_TEXT_BYTES
    for given in ({}, {"marks": "row"}, {"marks": "project", "project": "p", "wrapped_project_key": b"w"}):
        found, status, spans = redacted(texts, **given)
        assert status.counts() == (600, 0, 0, 0)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, spans.schema) as writer:
            writer.write_table(spans)
        whole = b"\n".join(found) + sink.getvalue().to_pybytes()
        for canary in canaries:
            for piece in re.findall(r"[A-Za-z]{5,}|[0-9]{4,}", canary):
                if piece not in {"example"}:
                    assert piece.encode() not in whole, canary


@pytest.mark.parametrize("column", ["title", "OCA"])
def test_a_column_that_is_not_there_is_refused(column: str) -> None:
    schema = narrative(["x"]).schema
    with refused(Reason.BAD_PARAMETERS, stage=Stage.COMPUTE):
        prepare_batch(REDACT.message(Redaction(columns=(column,))), "narrative/1", schema, context())
