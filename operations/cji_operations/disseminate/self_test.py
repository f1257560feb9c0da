"""A record of a hot file, released to an agency."""

import datetime
from typing import Final

from cji_core.operations.disseminate import Disseminate
from cji_operations.operation import Case

CASES: Final = (
    Case(
        schema="hotfile/1",
        row={"NIC": "W000000000", "file_code": "W", "NAM": "DOE, J", "SID": None},
        parameters=Disseminate(recipient_class="criminal_justice", as_of=datetime.date(2026, 1, 1)),
    ),
)
