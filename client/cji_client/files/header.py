"""The names of columns in a header."""

from collections.abc import Sequence

from cji_client.errors import SpecError


def require_distinct(names: Sequence[str], where: str) -> None:
    """SpecError unless each column has a name of its own. It has places, no names: they may be those of a person."""
    first = dict[str, int]()
    fault = "" if names else ": there is none"
    for at, name in enumerate(names, 1):
        before = first.setdefault(name, at)
        if not name or before != at:
            fault = f": columns {before} and {at} have the same" if name else f": column {at} has none"
            break
    if fault:
        remedy = "Give each column a name of its own, and remove what stands above the names, such as a title."
        raise SpecError(f"{where} must have distinct column names{fault}", remedy=remedy)
