"""The counts in a receipt, which the cell states, compared with the rows of opened outputs.

`cji_core.operations.volumes` states which output each count is about. `Unverified.check` is `volumes` if one differs
from what was counted.
"""

from collections.abc import Mapping

from cji_client.errors import Unverified
from cji_client.received import ResultHeader
from cji_core.operations.volumes import RESULT, wrong_counts
from cji_core.trail import Claims, VerifiedReceipt


def require_counts(receipt: VerifiedReceipt, header: ResultHeader, rows: Mapping[str, int]) -> None:
    """Return if the receipt's counts are those of `rows`, the rows of outputs by name. Raises Unverified(`volumes`)."""
    if wrong := wrong_counts(receipt.claims, header.schemas, rows):
        raise Unverified("volumes", f"in the receipt {', '.join(wrong)} in {', '.join(rows)}")


def require_consistent(receipt: VerifiedReceipt, header: ResultHeader) -> None:
    """Return if the counts fit each other and the schemas of the outputs, which needs no key."""
    require_counts(receipt, header, {RESULT: receipt.claims.volumes.rows_out})


def require_sums(claims: Claims) -> None:
    """Return if the bytes in and out are those of the parts, which needs nothing but the receipt."""
    for name, parts in (("bytes_in", claims.inputs), ("bytes_out", claims.outputs)):
        if getattr(claims.volumes, name) != sum(part.bytes for part in parts):
            raise Unverified("volumes", f"in the receipt {name} is not the sum of its parts")
