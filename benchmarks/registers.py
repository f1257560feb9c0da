"""Two kinds of register that `generate.population` is not like, made up in numbers, with known truth.

`german_register`: names and dates of birth and nothing else; most records are of one person, some were entered twice.
`street_lists`: two lists of a town by name and address without dates of birth; families share surname and address.

Frequencies of German names are those of a power law over lists in the order of how common the names are.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.generate import (
    WIDTH,
    Names,
    Population,
    census_names,
    date_digits,
    decimal,
    shorten,
    slip,
    wrong_digit,
)
from cji_core.format.records.column import pack

__all__ = ["german_register", "street_lists"]

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_GIVEN: Final = """
PETER MICHAEL WOLFGANG THOMAS KLAUS WERNER MANFRED URSULA MARIA MONIKA PETRA ELISABETH SABINE RENATE HELGA KARIN
BRIGITTE INGRID ERIKA ANDREA GISELA CLAUDIA SUSANNE GABRIELE CHRISTA HANS HEINZ HORST JUERGEN ANDREAS STEFAN BERND
HELMUT FRANK DIETER CHRISTIAN GERHARD KARL UWE GUENTER JOSEF RALF WALTER MARTIN MARKUS JOACHIM HERBERT KURT ROLF FRANZ
GEORG MATTHIAS RAINER ANNA HILDEGARD ILSE GERTRUD MARTINA HANNELORE BARBARA CHRISTINE INGEBORG GERDA HEIKE ANGELIKA
MARGRET SIGRID ANKE KERSTIN BIRGIT STEFANIE NICOLE JULIA ANJA KATHARINA DANIELA SANDRA MELANIE TANJA SILKE ALEXANDER
DANIEL JAN TOBIAS SEBASTIAN FLORIAN PATRICK MARCO DIRK OLIVER CARSTEN TORSTEN HOLGER AXEL VOLKER NORBERT EBERHARD
SIEGFRIED ALFRED ERNST HERMANN WILHELM FRIEDRICH OTTO PAUL HEINRICH RUDOLF BRUNO ERICH EMIL LOTHAR EGON IRMGARD EDITH
ELFRIEDE WALTRAUD MARGOT LIESELOTTE HERTA FRIEDA EMMA KAETHE ROSWITHA SIEGLINDE DORIS ELKE HEIDEMARIE
"""
_SURNAMES: Final = """
MUELLER SCHMIDT SCHNEIDER FISCHER WEBER MEYER WAGNER BECKER SCHULZ HOFFMANN SCHAEFER KOCH BAUER RICHTER KLEIN WOLF
SCHROEDER NEUMANN SCHWARZ ZIMMERMANN BRAUN KRUEGER HOFMANN HARTMANN LANGE SCHMITT WERNER SCHMITZ KRAUSE MEIER LEHMANN
SCHMID SCHULZE MAIER KOEHLER HERRMANN KOENIG WALTER MAYER HUBER KAISER FUCHS PETERS LANG SCHOLZ MOELLER WEISS JUNG
HAHN SCHUBERT VOGEL FRIEDRICH KELLER GUENTHER FRANK BERGER WINKLER ROTH BECK LORENZ BAUMANN FRANKE ALBRECHT SCHUSTER
SIMON LUDWIG BOEHM WINTER KRAUS MARTIN SCHUMACHER KRAEMER VOGT STEIN JAEGER OTTO SOMMER GROSS SEIDEL HEINRICH BRANDT
HAAS SCHREIBER GRAF SCHULTE DIETRICH ZIEGLER KUHN KUEHN POHL ENGEL HORN BUSCH BERGMANN THOMAS VOIGT SAUER ARNOLD WOLFF
PFEIFFER GRAEFE EHLERS DREYER RAABE OSTERMANN LINDNER PETERSEN CARSTENSEN HANSEN CLAUSSEN THIESSEN BRUHN LUETH STAHL
REUTER KIRCHNER EBERT GOTTSCHALK NAGEL PROBST RIEDEL URBAN WENDT ZAHN HERZOG ADAM BACH DOERING ESSER FIEDLER GERLACH
HEMPEL IHDE JANSSEN KONRAD LOHMANN MENZEL NOACK OPITZ PAULSEN QUANDT REICHERT STROBEL TEICHMANN UHLIG VETTER WIRTH
YILMAZ ZANDER BREUER CONRAD DAHLKE ERDMANN FRITSCHE GEIGER HELLWIG ISENSEE JESSEN KIEFER LAUER MERTENS NIEMANN
"""
_POWER: Final = 0.8
_STREETS: Final = 400
_KINDS: Final = ("ST", "AVE", "RD", "DR", "LN", "CT")


def german_register(rows: int, *, twice: float = 0.1, seed: int = 1) -> Population:
    """`rows` records of `person/1`: first, middle, last, DOB; this share of them are a second record of a person.

    A second record has one error, in one of ten cases two: a slip in a name, another day, month or year, or a second
    given name left out.
    """
    rng = np.random.default_rng(seed)
    again = int(rows * twice)
    n = rows - again
    of = np.concatenate((np.arange(n), rng.choice(n, again, replace=False)))
    second = np.arange(rows) >= n
    given, surnames = _power_law(_GIVEN.split()), _power_law(_SURNAMES.split())
    first, middle, last = given.draw(n, rng)[of], given.draw(n, rng)[of], surnames.draw(n, rng)[of]
    middle[~(rng.random(n) < 0.15)[of]] = 0
    dates = date_digits(np.datetime64("1925-01-01") + rng.integers(0, 30_000, n))[of]
    for chosen in (second, second & (rng.random(rows) < 0.1)):
        kind = rng.choice(6, rows, p=(0.3, 0.3, 0.12, 0.12, 0.1, 0.06))
        slip(first, np.flatnonzero(chosen & (kind == 0)), rng)
        slip(last, np.flatnonzero(chosen & (kind == 1)), rng)
        for number, places in ((2, (7,)), (3, (5,)), (4, (2, 3))):
            wrong_digit(dates, np.flatnonzero(chosen & (kind == number)), places, rng)
        middle[chosen & (kind == 5)] = 0
    order = rng.permutation(rows)
    columns = {"first": first, "middle": middle, "last": last, "DOB": dates}
    return Population(
        records=_batch({name: (column[order], 0.0) for name, column in columns.items()}, rng), person=of[order]
    )


def street_lists(persons: int, *, in_both: float = 0.6, seed: int = 1) -> Population:
    """Both lists as one table of `person/1`: last, first, middle, street_number, address_1.

    Persons live in households of one to six, which share the address and nearly all the surname; this share of them
    is in both lists. The second list has slips, short forms, initials, and people who moved.
    """
    rng = np.random.default_rng(seed)
    household = np.repeat(
        np.arange(persons), rng.choice((1, 2, 3, 4, 5, 6), persons, p=(0.2, 0.3, 0.2, 0.15, 0.1, 0.05))
    )
    household = household[:persons]
    surnames, men, women = (census_names(which) for which in ("all.last", "male.first", "female.first"))
    woman = rng.random((persons, 1)) < 0.5
    first = np.where(woman, women.draw(persons, rng), men.draw(persons, rng))
    middle = np.where(woman, women.draw(persons, rng), men.draw(persons, rng))
    middle[:, 1:] = 0
    own = rng.random(persons) < 0.08
    last = surnames.draw(persons, rng)[np.where(own, np.arange(persons), household)]
    streets = np.char.add(surnames.words[:_STREETS].view(f"S{WIDTH}")[:, 0], b" ")
    streets = np.char.add(streets, np.array(_KINDS, "S3")[rng.integers(0, len(_KINDS), _STREETS)])
    street, number = rng.integers(0, _STREETS, persons), rng.integers(1, 9_900, persons)
    both = np.flatnonzero(rng.random(persons) < in_both)
    moved = rng.random(len(both)) < 0.04
    of = np.concatenate((np.arange(persons), both))
    home = np.concatenate((household, np.where(moved, rng.permutation(persons)[: len(both)], household[both])))
    second = np.arange(len(of)) >= persons

    def some(share: float) -> Ints:
        return np.flatnonzero(second & (rng.random(len(of)) < share))

    columns = [first[of], middle[of], last[of]]
    shorten(columns[0], np.isin(np.arange(len(of)), some(0.08)), rng)
    initial = some(0.03)
    columns[0][initial, 1:] = 0
    slip(columns[0], some(0.1), rng)
    slip(columns[2], some(0.1), rng)
    numbers = decimal(number[home], 4)
    wrong_digit(numbers, some(0.06), (0, 1, 2, 3), rng)
    address = _matrix(streets.tolist(), 2 * WIDTH)[street[home]]
    slip(address, some(0.12), rng)
    made = {
        "last": (columns[2], 0.0),
        "first": (columns[0], 0.01),
        "middle": (columns[1], 0.2),
        "street_number": (numbers, 0.02),
        "address_1": (address, 0.02),
    }
    order = rng.permutation(len(of))
    return Population(
        records=_batch({name: (column[order], missing) for name, (column, missing) in made.items()}, rng),
        person=of[order],
    )


def _power_law(names: list[str]) -> Names:
    return Names(
        words=_matrix([name.encode() for name in names], WIDTH),
        up_to=np.cumsum(np.arange(1.0, len(names) + 1) ** -_POWER),
    )


def _matrix(words: list[bytes], width: int) -> Bytes:
    return np.array(words, f"S{width}").view(np.uint8).reshape(-1, width)


def _batch(columns: dict[str, tuple[Bytes, float]], rng: np.random.Generator) -> pa.RecordBatch:
    """Records in which this share of each column's values is missing."""
    arrays: dict[str, Any] = {}
    for name, (matrix, missing) in columns.items():
        lengths = np.count_nonzero(matrix, axis=1) * (rng.random(len(matrix)) >= missing)
        arrays[name] = pack(matrix, lengths, pa.binary())
    return pa.RecordBatch.from_pydict(arrays)
