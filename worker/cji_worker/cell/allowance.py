"""How much input the policy allows a job: rows and ciphertext bytes of all its parts together.

The cell counts them because it cannot be bypassed: no segment is unsealed, and no row is used, that is not counted.
"""

from cji_core.errors import Denied, DeniedBy, Stage


class Allowance:
    """The allowance of one job, less the input so far."""

    def __init__(self, *, rows: int, max_bytes: int) -> None:
        self._rows, self._bytes = rows, max_bytes

    def take_bytes(self, count: int) -> None:
        """Count a sealed segment before it is opened. Raises Denied for one too many."""
        self._bytes -= count
        if self._bytes < 0:
            raise Denied(DeniedBy.BYTES, stage=Stage.UNSEAL)

    def take_rows(self, count: int) -> None:
        """Count the rows of a batch before they are used. Raises Denied for one too many."""
        self._rows -= count
        if self._rows < 0:
            raise Denied(DeniedBy.ROWS, stage=Stage.COMPUTE)
