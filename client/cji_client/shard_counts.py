"""The rows of each part of a result: a receipt has the sums, the statement of each task those of its own shards."""

from collections import Counter
from collections.abc import Iterable, Sequence

from cji_client.errors import Unverified
from cji_client.received import ResultHeader
from cji_core.operations.volumes import RESULT, ROW_STATUS, subjects_output
from cji_core.trail import Statement


def by_output(header: ResultHeader, rows: Sequence[int]) -> dict[str, int]:
    """The rows of each output, by name, from those of each part."""
    return {name: sum(rows[part] for part in header.parts_of(name)) for name in header.schemas}


def require_shards(
    header: ResultHeader, statements: Iterable[Statement], rows: Sequence[int], *, withheld: bool
) -> None:
    """Return if each task's statement has the rows of its own parts; `rows` are those of each part.

    Those of a job with sealed columns (`withheld`) state no rows of a result. Of several attempts at a task only the
    first counts, as in the receipt. Raises Unverified(`volumes`).
    """
    parts, subjects = header.parts, subjects_output(header.schemas)
    seen = set[tuple[str, int]]()
    for said in statements:
        if (said.stage, said.task) in seen:
            continue
        seen.add((said.stage, said.task))
        own = Counter[str]()
        for each in said.parts_out:
            own[parts[each.part].name] += rows[each.part]
        stated = ((RESULT, said.rows_out), (ROW_STATUS, said.rows_status), (subjects, said.subjects_out))
        for name, count in stated:
            if count != (0 if withheld and name != ROW_STATUS else own[name]):
                what = f"task {said.task} of {said.stage} states {count} rows of {name}, counted {own[name]}"
                raise Unverified("volumes", what)
