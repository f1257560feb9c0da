"""Files of records: text with delimiters or fixed positions, Excel workbooks, Parquet, Arrow, lines of NIBRS.

`read_file` recognises a file by its first bytes, and requires that its name agrees. Every reader streams: memory
depends on the longest row, and in a workbook on its table of strings, both of which are bounded. Nothing is decoded by
guess: text is UTF-8 or in the stated encoding. All refusals are SpecErrors, and none quotes a value.
"""

from cji_client.files.kinds import INPUT_SUFFIXES
from cji_client.files.reader import read_file

__all__ = ["INPUT_SUFFIXES", "read_file"]
