"""Runs the queries of deploy/sentinel on sample rows: a small interpreter over Microsoft's own syntax tree.

It knows exactly the operators and functions that our queries use. Anything else raises `UnsupportedError`, so that a
query never passes because a part of it was ignored. Rows are dicts, a table is a list of them and its columns with
types; the time of the query is given. Semantics are those of the KQL reference (learn.microsoft.com/kusto/query): a
missing string is empty, any other missing value is null, a comparison with null is null, and `where` takes null for
false.
"""

from tests.support.kql.functions import World
from tests.support.kql.operators import run
from tests.support.kql.tables import Node, Table, UnsupportedError

__all__ = ["Node", "Table", "UnsupportedError", "World", "run"]
