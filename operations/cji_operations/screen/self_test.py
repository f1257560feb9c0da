"""An inquiry against a record of a hot file, then one against the reference that the first left resident."""

from typing import Final

from cji_core.operations.screen import Screen
from cji_operations.operation import Case

CASES: Final = (
    Case(
        schema="person/1",
        row={"NAM": "DOE, JOHN", "SEX": "M", "RAC": "W", "DOB": "19800101", "SOC": "1"},
        parameters=Screen(preset="ncic_qw_expanded_dob", max_hits=5, retain_seconds=1),
        sides={
            "reference": (
                "hotfile/1",
                {
                    "NAM": "DOE, JON",
                    "SEX": "M",
                    "RAC": "W",
                    "DOB": "19800102",
                    "SOC": "2",
                    "NIC": "W",
                    "file_code": "W",
                },
            )
        },
    ),
    Case(
        schema="person/1",
        row={"last": "DOE", "first": "JOHN", "DOB": "19800101"},
        parameters=Screen(preset="iii_qh", max_hits=5, resident_reference="0" * 64),
    ),
)
