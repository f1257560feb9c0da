"""Reading persons: what is wrong with a value is listed at its column."""

from cji_core.format.records import RowStatus, Status
from cji_core.operations.screen import Code
from cji_core.operations.status_codes import ValueCode
from cji_operations.screen import run
from tests.reference import screen as twin
from tests.support.screen_tools import RECORD, SMITH, Row, screened


def test_what_is_wrong_is_said_of_its_column() -> None:
    columns = ("city", "SEX", "RAC", "DOB", "SOC", "NAM", "file_code")
    rows: list[Row] = [
        {"NAM": "SMITH", "DOB": "19800230", "SEX": "Q", "RAC": "1", "SOC": "000123456", "file_code": "W", "city": None},
        {"NAM": "PEÑA, JO", "DOB": "19800229", "SEX": "MF", "RAC": "W", "SOC": "12", "file_code": "Q", "city": None},
    ]
    wrong = [
        (0, ValueCode.NOT_IN_TABLE, 2),
        (0, ValueCode.NOT_A_DATE, 3),
        (0, ValueCode.NEVER_ISSUED, 4),
        (0, ValueCode.WRONG_FORM, 5),
        (1, ValueCode.NOT_IN_TABLE, 1),
        (1, ValueCode.WRONG_FORM, 4),
    ]
    index = twin.index(rows, columns)
    status = run(twin.batch("hotfile/1", rows, columns), index, twin.asked("ncic_qw"), twin.MODEL).status

    def said(status: RowStatus) -> list[tuple[int, int, int]]:
        return sorted(zip(status.rows.tolist(), status.codes.tolist(), status.columns.tolist(), strict=True))

    assert said(status) == sorted([*wrong, (0, ValueCode.NOT_IN_TABLE, 1), (0, Code.NOT_SCREENABLE, -1)])
    assert said(index.status) == sorted([*wrong, (0, Code.NOT_REACHABLE, -1), (1, Code.UNKNOWN_FILE, -1)])
    assert status.status.tolist() == [Status.NOT_USABLE, Status.PARTLY_USED]


def test_one_long_name_does_not_widen_all() -> None:
    found = screened([{**SMITH, "NAM": "SMITH" * 20 + ", JOHN"}, SMITH], [RECORD], twin.asked("ncic_qw"))
    assert found.found.tolist()[1] == 1
    assert found.status.status.tolist() == [Status.PARTLY_USED, Status.OK]
