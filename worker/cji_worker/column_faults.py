"""Refusals for cells of a sealed column: from the cell in numbers, to the caller by the names in its own header."""

from typing import Final

from cji_core.errors import Limit, Reason, Refusal, Stage
from cji_core.format.job import Header
from cji_worker.ipc.messages import CellPlace, FaultyColumn

_OF_COLUMNS: Final = frozenset((Reason.COLUMN_KEY_WRONG, Reason.COLUMN_CELL_INVALID))


class CellsRefused(Refusal):
    """COLUMN_KEY_WRONG or COLUMN_CELL_INVALID, in the cell. `place` are numbers in the job's header."""

    def __init__(self, reason: Reason, *, stage: Stage, place: CellPlace) -> None:
        super().__init__(reason, stage=stage)
        self.place = place


class ColumnRefused(Refusal):
    """The same refusal, in the keyholder."""

    def __init__(self, reason: Reason, *, stage: Stage, column: FaultyColumn) -> None:
        super().__init__(reason, stage=stage)
        self.column = column


def refusal_at(
    place: CellPlace | None, header: Header, reason: Reason, stage: Stage, limit: Limit | None = None
) -> Refusal:
    """The refusal of a cell, which may be hostile: with the names at this place, if the job has such a column."""
    if limit is not None and reason is Reason.LIMIT_EXCEEDED:
        return Refusal(reason, stage=stage, limit=limit)
    column = None if place is None or reason not in _OF_COLUMNS else _column(place, header)
    return Refusal(reason, stage=stage) if column is None else ColumnRefused(reason, stage=stage, column=column)


def _column(place: CellPlace, header: Header) -> FaultyColumn | None:
    if place.part is None:
        outputs = header.sealed_outputs
        if place.column >= len(outputs):
            return None
        return FaultyColumn(table=outputs[place.column].output, column=outputs[place.column].column)
    if place.part >= len(header.parts) or place.column >= len(header.parts[place.part].sealed_columns):
        return None
    part = header.parts[place.part]
    return FaultyColumn(
        table=part.name,
        column=part.sealed_columns[place.column],
        part=place.part - len(header.inputs) + 1 if part.shards > 1 else None,
        row=place.row,
    )
