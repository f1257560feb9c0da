"""Records: their schemas, their streams and the status of each row. Pure: no keys, files or network.

Who only reads the declarations of schemas loads neither numpy nor pyarrow: `status` and `stream` come when they are
first used.
"""

from typing import TYPE_CHECKING

from cji_core.data_classes import DataClass
from cji_core.format.records.declared import METADATA_KEY
from cji_core.format.records.schemas import (
    EVENTS,
    EVERY,
    FREE_TEXT,
    PERSONAL,
    ROW_STATUS,
    SCHEMAS,
    SEVERAL_ROWS,
    Column,
    RecordSchema,
    check_schema,
    columns,
    data_classes,
    tagged,
)
from cji_core.lazy import lazy

if TYPE_CHECKING:
    from cji_core.format.records.status import ROW_STATUS_SCHEMA, WHOLE_ROW, RowStatus, Status
    from cji_core.format.records.stream import (
        END_OF_STREAM,
        RESERVE_BYTES,
        StreamReader,
        StreamWriter,
        carrying,
        window_bytes,
    )
else:
    __getattr__ = lazy(__name__)

__all__ = [
    "END_OF_STREAM",
    "EVENTS",
    "EVERY",
    "FREE_TEXT",
    "METADATA_KEY",
    "PERSONAL",
    "RESERVE_BYTES",
    "ROW_STATUS",
    "ROW_STATUS_SCHEMA",
    "SCHEMAS",
    "SEVERAL_ROWS",
    "WHOLE_ROW",
    "Column",
    "DataClass",
    "RecordSchema",
    "RowStatus",
    "Status",
    "StreamReader",
    "StreamWriter",
    "carrying",
    "check_schema",
    "columns",
    "data_classes",
    "tagged",
    "window_bytes",
]
