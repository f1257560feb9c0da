"""Words of all alphabets: folded, as names, plain, and letter by letter."""

import pyarrow as pa
import pytest

from cji_operations.kernels import letters
from cji_operations.kernels.strings import MAX_BYTES, words


def names(*values: str | bytes) -> list[str]:
    array = pa.array([value.encode() if isinstance(value, str) else value for value in values], pa.binary())
    return [(value or b"").decode() for value in letters.names(letters.folded(array)).to_pylist()]


def plain(*values: str) -> list[bytes]:
    array = pa.array([value.encode() for value in values], pa.binary())
    found = letters.plain(words(letters.names(letters.folded(array)))[0], blanks=False)
    return [row.tobytes().rstrip(b"\0") for row in found.data]


@pytest.mark.parametrize(
    "alike",
    [
        ("Peña", "PEÑA", "pen\N{COMBINING TILDE}a", "PEN\N{COMBINING TILDE}A", b"Pe\xf1a", b"PE\xd1A"),
        ("Straße", "STRASSE", "strasse"),
        (
            "\N{FULLWIDTH LATIN CAPITAL LETTER S}\N{FULLWIDTH LATIN SMALL LETTER M}ith",
            "SMITH",
            "\N{MATHEMATICAL BOLD CAPITAL S}mith",
            "Smith\N{ZERO WIDTH SPACE}",
        ),
        ("ΌΣΣΟΣ", "όσσος", "όσσοσ"),
        (
            "O'Brien",
            "O\N{RIGHT SINGLE QUOTATION MARK}BRIEN",
            "O\N{MODIFIER LETTER TURNED COMMA}brien",
            "o\N{ACUTE ACCENT}brien",
            "Obrien",
        ),
        ("García-López", "GARCÍA\N{HYPHEN}LÓPEZ", "garcía \N{EN DASH} lópez", "García\N{NO-BREAK SPACE}López."),
        ("St. John", "ST JOHN"),
        ("ﬁsher", "FISHER"),
    ],
)
def test_one_name_in_all_its_forms(alike: tuple[str | bytes, ...]) -> None:
    assert len(set(names(*alike))) == 1


def test_names_that_differ_in_an_accent_stay_apart() -> None:
    assert len(set(names("Peña", "Pena", "Péna"))) == 3
    assert set(plain("Peña", "Pena", "Péna")) == {b"PENA"}


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Wałęsa", b"WALESA"),
        ("Sørensen", b"SORENSEN"),
        ("Þórsson", b"THORSSON"),
        ("Æthelred", b"AETHELRED"),
        ("Đorđević", b"DORDEVIC"),
        ("İpek", b"IPEK"),
        ("I\N{LATIN SMALL LETTER S WITH CEDILLA}\N{LATIN SMALL LETTER DOTLESS I}k", b"ISIK"),
        ("De la Cruz", b"DELACRUZ"),
        ("Иванов", b"IVANOV"),
        ("Щербаков", b"SHCHERBAKOV"),
        ("Παπαδόπουλος", b"PAPADOPOULOS"),
    ],
)
def test_what_a_name_is_without_accents(name: str, written: bytes) -> None:
    assert plain(name) == [written]


@pytest.mark.parametrize("name", ["王小明", "김철수", "محمد", "דוד", "\N{CYRILLIC CAPITAL LETTER SOFT SIGN}"])
def test_other_alphabets_keep_their_letters(name: str) -> None:
    (found,) = plain(name)
    assert found
    array, _ = words(pa.array([found], pa.binary()))
    bytewise = letters.letters(array)
    assert 0 < bytewise.lengths[0] <= len(found)
    assert bytewise.data[0, : bytewise.lengths[0]].all()


def test_ascii_is_not_copied() -> None:
    array, _ = words(pa.array([b"SMITH", b"JONES"]))
    assert letters.letters(letters.plain(array, blanks=False)) is array


def test_a_long_value_is_cut_between_letters() -> None:
    long = pa.array([("é" * 300).encode(), b"A" * 300, b"SHORT", None], pa.binary())
    found = letters.cut(letters.folded(long)).to_pylist()
    assert found[0].decode() == "É" * (MAX_BYTES // 2)
    assert found[1:] == [b"A" * MAX_BYTES, b"SHORT", None]


def test_bytes_of_no_encoding_are_no_fault() -> None:
    assert all(isinstance(name, str) for name in names(b"\xff\xfe\x81", b"\x80", b"A\xc3"))


@pytest.mark.parametrize("blanks", range(4))
def test_of_a_value_with_many_marks_the_first_bytes_count(blanks: int) -> None:
    """Marks on one letter are put in order, which takes time with the square of them."""
    long = b"A" * blanks + "a\N{COMBINING ACUTE ACCENT}\N{COMBINING DOT BELOW}".encode() * 400
    first = long[:1020].decode("utf-8", "ignore").encode()
    found, of_first = letters.folded(pa.array([long, first], pa.binary())).to_pylist()
    assert found == of_first
    assert found.decode("utf-8")
