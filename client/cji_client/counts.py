"""The counts in a receipt, which the cell states, compared with the rows of opened outputs.

`cji_core.operations.volumes` states which output each count is about. A receipt has sums; the counts of each shard of a
job in parts are in the statement of its task. `Unverified.check` is `volumes` if any differs from what was counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from cji_client.errors import Unverified
from cji_client.received import ResultHeader
from cji_core.operations.volumes import RESULT, ROW_STATUS, subjects_output, wrong_counts
from cji_core.trail import Statement, VerifiedReceipt


def require_counts(receipt: VerifiedReceipt, header: ResultHeader, rows: Mapping[str, int]) -> None:
    """Return if the receipt's counts are those of `rows`, the rows of outputs by name. Raises Unverified(`volumes`)."""
    if wrong := wrong_counts(receipt.claims.volumes, header.schemas, rows):
        raise Unverified("volumes", f"in the receipt {', '.join(wrong)} in {', '.join(rows)}")


def by_output(header: ResultHeader, rows: Sequence[int]) -> dict[str, int]:
    """The rows of each output, by name, from those of each part."""
    return {name: sum(rows[part] for part in header.parts_of(name)) for name in header.schemas}


def require_shards(header: ResultHeader, statements: Iterable[Statement], rows: Sequence[int]) -> None:
    """Return if each task's statement has the rows of its own parts; `rows` are those of each part.

    Of several attempts at a task only the first counts, as in the receipt. Raises Unverified(`volumes`).
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
            if count != own[name]:
                what = f"task {said.task} of {said.stage} states {count} rows of {name}, counted {own[name]}"
                raise Unverified("volumes", what)


def require_consistent(receipt: VerifiedReceipt, header: ResultHeader) -> None:
    """Return if the counts fit each other and the schemas of the outputs, which needs no key."""
    require_counts(receipt, header, {RESULT: receipt.claims.volumes.rows_out})
