"""The statements and keys of a job's sealed columns, as its admission and its receipt have them."""

from cji_core.format.job.header import Header
from cji_core.trail.fields import UsedColumnKey, UsedColumnKeys


def used_column_keys(header: Header) -> tuple[UsedColumnKeys, ...]:
    """In the order of the header and of each statement; none for a job without sealed columns."""
    return tuple(
        UsedColumnKeys(
            statement_sha384=statement.sha384.hex(),
            keys=tuple(UsedColumnKey(key_path=key.key_path, cek_sha384=key.cek_sha384.hex()) for key in keys),
        )
        for statement, keys in header.used_column_keys.items()
    )
