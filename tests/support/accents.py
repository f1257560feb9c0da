"""Persons with accents in their names, written twice: as they are spelt, and as an old system has them."""

import unicodedata
from typing import Final

import numpy as np
import pyarrow as pa

from tests.reference.link import people

SURNAMES: Final = [
    "Peña",
    "García",
    "Muñoz",
    "Núñez",
    "Hernández",
    "Gutiérrez",
    "Jiménez",
    "Álvarez",
    "Ibáñez",
    "Rodríguez",
    "Müller",
    "Schröder",
    "Groß",
    "Weiß",
    "Jäger",
    "Sørensen",
    "Østergaard",
    "Bjørnstad",
    "Åkesson",
    "Lindström",
    "Čapek",
    "Dvořák",
    "Novotný",
    "Żółć",
    "Wałęsa",
    "Kowalczyński",
    "Łukaszewicz",
    "Ağaoğlu",
    "Şahin",
    "Çelik",
    "Öztürk",
    "Gonçalves",
    "Conceição",
    "Simões",
    "Magalhães",
    "Françoise",
    "Lévêque",
    "Béringer",
    "Châtelain",
    "Nguyễn",
    "Trần",
    "Đặng",
    "Phạm",
    "Ōkubo",
    "Žižek",
    "Đorđević",
    "Šarić",
    "Öğütçü",
    "Ólafsdóttir",
    "Þórsson",
]
GIVEN: Final = [
    "José",
    "María",
    "Andrés",
    "Martín",
    "Joaquín",
    "Sofía",
    "Inés",
    "Raúl",
    "Jürgen",
    "Björn",
    "Søren",
    "Łukasz",
    "Zoë",
    "Chloé",
    "André",
    "François",
    "Åsa",
    "Ömer",
    "Müşerref",
    "Tomáš",
    "Jiří",
    "Zdeněk",
    "Óscar",
    "Belén",
    "João",
    "Vítor",
    "Thảo",
    "Hiếu",
    "Siân",
    "Núria",
]
_WRITTEN: Final = {"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "Þ": "Th"}
_SYLLABLES: Final = "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu bra cle dri flo gru".split()  # noqa: SIM905


def ascii_only(name: str) -> str:
    """The name in capitals, without accents."""
    marked = unicodedata.normalize("NFD", "".join(_WRITTEN.get(letter, letter) for letter in name))
    return "".join(letter for letter in marked if letter.isascii()).upper()


def accented_twins(pairs: int, others: int, *, lost: bool, seed: int = 1) -> pa.RecordBatch:
    """Rows 2i and 2i + 1 below 2 * pairs are of one person, with accents in the first; `others` are alone.

    In the second, accents are lost, or else those of both are; half of the persons have moved, a few have no date.
    """
    rng = np.random.default_rng(seed)

    def ending() -> str:
        return "".join(rng.choice(_SYLLABLES, 2))

    rows = list[dict[str, str | None]]()
    for number in range(pairs + others):
        last, first = str(rng.choice(SURNAMES)) + ending(), str(rng.choice(GIVEN))
        day = np.datetime64("1940-01-01") + int(rng.integers(0, 22_000))
        row: dict[str, str | None] = {
            "last": last, "first": first, "DOB": str(day), "SEX": str(rng.choice(["M", "F"])),
            "postcode": f"{rng.integers(10_000, 10_400)}",
        }  # fmt: skip
        plain = row | {"last": ascii_only(last), "first": ascii_only(first)}
        rows.append(row if lost else plain)
        if number < pairs:
            again = dict(plain)
            if rng.random() < 0.5:
                again["postcode"] = f"{rng.integers(10_000, 10_400)}"
            if rng.random() < 0.3:
                again["DOB"] = None if rng.random() < 0.5 else str(day + int(rng.integers(40, 4_000)))
            rows.append(again)
    return people(**{name: [row[name] for row in rows] for name in rows[0]})
