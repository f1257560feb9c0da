"""Made-up people as records: for demonstrations, so that none of them is anybody's."""

from typing import Final

import numpy as np
import pyarrow as pa

__all__ = ["made_up_file", "made_up_people"]

_FIRST: Final = tuple("James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth".split())  # noqa: SIM905
_LAST: Final = tuple("Smith Johnson Williams Brown Jones Garcia Miller Davis Martinez Lopez".split())  # noqa: SIM905
_SYLLABLES: Final = tuple("ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu".split())  # noqa: SIM905
_STREETS: Final = tuple("Oak Pine Maple Cedar Elm Lake Hill Park Church Mill".split())  # noqa: SIM905
_PLACES: Final = (
    ("Atlanta", "30301", "GA"),
    ("Macon", "31201", "GA"),
    ("Austin", "73301", "TX"),
    ("Salem", "97301", "OR"),
)
_TWICE: Final = 0.2
_DAYS: Final = 30_000


def made_up_people(rows: int, *, seed: int = 1) -> pa.Table:
    """Rows of person/1; a fifth of them are second records of a person, with an error in one name."""
    rng = np.random.default_rng(seed)
    first_records = rows - int(rows * _TWICE)
    of = np.concatenate([np.arange(first_records), rng.integers(0, first_records, rows - first_records)])
    endings = rng.choice(_SYLLABLES, (first_records, 2))
    first, last = rng.choice(_FIRST, first_records)[of].tolist(), rng.choice(_LAST, first_records).tolist()
    last = [f"{last[at]}{endings[at, 0]}{endings[at, 1]}" for at in of]
    born = np.datetime64("1930-01-01") + rng.integers(0, _DAYS, first_records)
    for at in range(first_records, rows):
        name, place = last[at], int(rng.integers(1, 4))
        last[at] = name[:place] + name[place + 1 :]
    order = rng.permutation(rows)
    dates = [str(day).replace("-", "") for day in born[of][order]]
    return pa.table({"last": [last[at] for at in order], "first": [first[at] for at in order], "DOB": dates})


def made_up_file(rows: int, *, seed: int = 1) -> pa.Table:
    """The same people with addresses, in columns of an agency's own names.

    No Social Security number of anybody begins with 000.
    """
    people, rng = made_up_people(rows, seed=seed), np.random.default_rng(seed + 1)
    places = [_PLACES[at] for at in rng.integers(0, len(_PLACES), rows)]
    return pa.table(
        {
            "rec_id": [f"rec-{at}" for at in range(rows)],
            "given_name": people["first"],
            "surname": people["last"],
            "street_number": [str(number) for number in rng.integers(1, 2000, rows)],
            "address_1": [f"{name} Street" for name in rng.choice(_STREETS, rows)],
            "suburb": [city for city, _, _ in places],
            "postcode": [code for _, code, _ in places],
            "state": [state for _, _, state in places],
            "date_of_birth": people["DOB"],
            "soc_sec_id": [f"000{number:06d}" for number in rng.integers(1, 999_999, rows)],
        }
    )
