"""Households: parents and children at one address, sons of their fathers' name, and twins."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tests.reference.link import people

_MEN: Final = [
    "James",
    "John",
    "Robert",
    "Michael",
    "William",
    "David",
    "Richard",
    "Joseph",
    "Thomas",
    "Charles",
    "Daniel",
    "Matthew",
    "Anthony",
    "Mark",
    "Donald",
    "Steven",
    "Paul",
    "Andrew",
    "Joshua",
    "Kenneth",
    "Kevin",
    "Brian",
    "George",
    "Edward",
    "Ronald",
    "Timothy",
    "Jason",
    "Jeffrey",
    "Ryan",
    "Jacob",
    "Gary",
    "Nicholas",
    "Eric",
]
_WOMEN: Final = [
    "Mary",
    "Patricia",
    "Jennifer",
    "Linda",
    "Elizabeth",
    "Barbara",
    "Susan",
    "Jessica",
    "Sarah",
    "Karen",
    "Lisa",
    "Nancy",
    "Betty",
    "Margaret",
    "Sandra",
    "Ashley",
    "Kimberly",
    "Emily",
    "Donna",
    "Michelle",
    "Carol",
    "Amanda",
    "Dorothy",
    "Melissa",
    "Deborah",
    "Stephanie",
    "Rebecca",
    "Sharon",
    "Laura",
    "Cynthia",
    "Amy",
]
_FIRST: Final = "Ba Ca Da Fa Ga Ha Ja Ka La Ma Na Pa Ra Sa Ta Va Wa Bo Co Do Fo Go Ho Jo Lo Mo No Po Ro So".split()  # noqa: SIM905
_THEN: Final = "ber der ler mer ner per ker rett mond ford ton well ley man son kins wick sey land".split()  # noqa: SIM905

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Households:
    """Records, the person of each, and the pairs of persons that are father and son of one name, and twins."""

    records: pa.RecordBatch
    person: Ints
    namesakes: tuple[tuple[int, int], ...]
    twins: tuple[tuple[int, int], ...]

    def together(self, cluster: Ints, pairs: tuple[tuple[int, int], ...]) -> int:
        """How many of these pairs of persons have records in one cluster."""
        of_person = [set(cluster[self.person == number].tolist()) for number in range(int(self.person.max()) + 1)]
        return sum(bool(of_person[a] & of_person[b]) for a, b in pairs)

    def recall(self, cluster: Ints) -> float:
        """The share of pairs of records of one person that are in one cluster."""
        pairs = [np.flatnonzero(self.person == number) for number in range(int(self.person.max()) + 1)]
        joined = [cluster[a] == cluster[b] for rows in pairs for i, a in enumerate(rows) for b in rows[i + 1 :]]
        return float(np.mean(joined))


def households(
    n: int, *, named: float = 0.1, written: float = 0.5, twins: float = 0.03, social: bool = False, seed: int = 1
) -> Households:
    """`n` households. Of sons, the share `named` have their father's name, of which `written` records have a suffix."""
    rng = np.random.default_rng(seed)
    rows, person = list[dict[str, str | None]](), list[int]()
    namesakes, pairs_of_twins = list[tuple[int, int]](), list[tuple[int, int]]()

    def add(row: dict[str, str | None], suffix: str | None) -> int:
        number = person[-1] + 1 if person else 0
        for _ in range(int(rng.choice([1, 2, 3], p=[0.3, 0.5, 0.2]))):
            rows.append(_again(row, suffix if rng.random() < written else None, rng))
            person.append(number)
        return number

    for _ in range(n):
        last = str(rng.choice(_FIRST)) + str(rng.choice(_THEN)) + str(rng.choice(["", "s", "e"]))
        home: dict[str, str | None] = {
            "last": last, "address_1": f"{rng.integers(1, 4000)} {rng.choice(_FIRST)}{rng.choice(_THEN)} Street",
            "postcode": f"{rng.integers(20_000, 20_300)}",
        }  # fmt: skip
        born = np.datetime64("1935-01-01") + int(rng.integers(0, 12_000))

        def someone(
            first: str, sex: str, day: np.datetime64, home: dict[str, str | None] = home
        ) -> dict[str, str | None]:
            number = f"{rng.integers(10**8, 6 * 10**8):09d}" if social else None
            return home | {"first": first, "SEX": sex, "DOB": str(day), "SOC": number}

        name = str(rng.choice(_MEN))
        sons = int(rng.integers(0, 3))
        has_namesake = sons > 0 and rng.random() < named
        father = add(someone(name, "M", born), "Sr" if has_namesake else None)
        add(someone(str(rng.choice(_WOMEN)), "F", born + int(rng.integers(-2_000, 3_000))), None)
        for number in range(sons):
            day = born + int(rng.integers(7_000, 13_000))
            own = name if has_namesake and not number else str(rng.choice([one for one in _MEN if one != name]))
            son = add(someone(own, "M", day), "Jr" if own == name else None)
            if own == name:
                namesakes.append((father, son))
            elif rng.random() < twins:
                other = str(rng.choice([one for one in _MEN if one not in {own, name}]))
                pairs_of_twins.append((son, add(someone(other, "M", day), None)))
        for _ in range(int(rng.integers(0, 2))):
            add(someone(str(rng.choice(_WOMEN)), "F", born + int(rng.integers(7_000, 13_000))), None)
    order = rng.permutation(len(rows))
    columns = {name: [rows[at].get(name) for at in order] for name in (*rows[0], "suffix") if social or name != "SOC"}
    return Households(
        records=people(**columns),
        person=np.array(person)[order],
        namesakes=tuple(namesakes),
        twins=tuple(pairs_of_twins),
    )


def _again(row: dict[str, str | None], suffix: str | None, rng: np.random.Generator) -> dict[str, str | None]:
    """One more record of a person: half of the suffixes stand behind the surname, and there are errors."""
    found = dict(row)
    if suffix is not None:
        if rng.random() < 0.5:
            found["last"] = f"{found['last']} {suffix}."
        else:
            found["suffix"] = suffix.upper()
    errors = rng.random(5)
    if errors[0] < 0.08:
        found["DOB"] = str(np.datetime64(row["DOB"]) + int(rng.choice([-10, -1, 1, 10, 30, 365])))
    elif errors[0] < 0.12:
        found["DOB"] = None
    first = row["first"] or ""
    if errors[1] < 0.08:
        found["first"] = first[:1] + first[2:]
    if errors[2] < 0.2:
        found["address_1"], found["postcode"] = f"{rng.integers(1, 4000)} Elm Road", f"{rng.integers(20_000, 20_300)}"
    if errors[3] < 0.05:
        found["postcode"] = None
    if errors[4] < 0.3:
        found["SOC"] = None
    return found
