"""The retention log of a pool in a packet: which jobs' sealed data is gone, and by which record. `cji_audit.retention`.

The file has one record a line, from the first. A record that is refused is a fact with its fault, no error.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from cji_audit.packet.errors import PacketError
from cji_audit.packet.keys import Keys
from cji_audit.packet.material import Disposed, File, Retention
from cji_audit.retention import Finding, Log, RetentionLogError, compare, read_log
from cji_core.trail import ReceiptError

MAX_BYTES: Final = 32 << 20
FILE: Final = "retention.jws"
_REMEDY: Final = "Give the folder of the log that `cji retention run` keeps, retention-log."


def read_retention(name: str, data: bytes, keys: Keys, receipts: Mapping[str, bytes]) -> Retention:
    """The facts of a log, compared with the receipts that were given. PacketError for what is not text of records."""
    if len(data) > MAX_BYTES:
        raise PacketError(f"{name} is larger than 32 MiB", "Give the packet of a shorter time, or of one pool.")
    try:
        documents = data.decode("ascii").split()
    except UnicodeDecodeError:
        documents = []
    if not documents:
        raise PacketError(f"{name} has no record", _REMEDY)
    log, fault = _read(documents, keys)
    findings = log.end() + _compared(log, receipts)
    return Retention(
        file=File.of(name, data),
        records=log.size,
        head=log.head,
        fault=fault,
        findings=tuple(f"record {each.number}: {each.rule}: {each.what}" for each in findings),
        signers=tuple(sorted(log.signers)),
        on_hold=tuple(sorted(log.on_hold)),
        disposed=tuple(_disposed(log, number) for number in sorted(log.deleted)),
    )


def _read(documents: Iterable[str], keys: Keys) -> tuple[Log, str]:
    """As many records as are of the chain, and why the next is not."""
    try:
        return read_log(documents, keys), ""
    except RetentionLogError as error:
        kept, fault = [*documents][: error.number], str(error)
    return read_log(kept, keys), fault


def _compared(log: Log, receipts: Mapping[str, bytes]) -> list[Finding]:
    try:
        return compare(log, (text for data in receipts.values() for text in data.decode("ascii", "replace").split()))
    except ReceiptError as error:
        raise PacketError("a file of --receipts has no receipt", "Give receipts, *.jws.") from error


def _disposed(log: Log, number: int) -> Disposed:
    each = log.deleted[number]
    return Disposed(
        record=number,
        job=each.deletion.job,
        area=each.deletion.area,
        time=each.record.time,
        receipt_sha384=each.deletion.receipt_sha384 or "",
        blobs=len(each.deletion.blobs),
        kept=each.kept,
        erased=log.is_erased(number),
    )
