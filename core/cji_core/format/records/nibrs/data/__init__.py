"""The layout, code tables and rules of NIBRS specifications, and the mapping of XML: CSV files, read beside them."""

import csv
from importlib.resources import files


def read_data(name: str) -> list[dict[str, str]]:
    """The lines of one of the files."""
    text = files(__package__).joinpath(name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))
