"""The layout, code tables and rules of NIBRS specifications, and the mapping of XML: CSV files, read beside them."""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path


@cache
def read_data(name: str) -> tuple[Mapping[str, str], ...]:
    """The lines of one of the files."""
    names, *lines = csv.reader(Path(__file__).with_name(name).read_text("utf-8").splitlines())
    return tuple(dict(zip(names, line, strict=True)) for line in lines)
