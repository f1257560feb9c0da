"""A witness that is a folder, for example another machine's mount: one file for each checkpoint, never overwritten."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cji_core.trail.delivery import DeliveryError
from cji_core.trail.fields import utc_hundredths
from cji_core.trail.witnesses.records import (
    FileReceipt,
    Offer,
    Receipt,
    RecordError,
    Seen,
    decode_offer,
    file_name,
    read_file,
    sizes_in,
    write_once,
)
from cji_core.trail.witnesses.refusals import ReceiptRefusedError
from cji_core.trail.witnesses.settings import FileTable


class FileWitness:
    """The folder of a `FileTable`."""

    def __init__(self, table: FileTable, *, clock: Callable[[], datetime]) -> None:
        self._folder, self._clock = Path(table.folder), clock

    def newest(self, _known: Offer | None) -> Offer | None:
        """The largest checkpoint in the folder. Raises DeliveryError."""
        try:
            for size in reversed(sizes_in(self._folder)):
                data = read_file(self._folder / file_name(size))
                if data.endswith(b"\n"):  # otherwise a crash left a part, which the next submission completes
                    return _offer(data, size)
        except (OSError, RecordError) as error:
            raise DeliveryError(f"the folder of the witness: {error}") from error
        return None

    def submit(self, offer: Offer) -> Seen:
        """Add the file. Raises DeliveryError, also if the folder has another file of this name."""
        name = file_name(offer.checkpoint().size)
        try:
            write_once(self._folder / name, offer.encode())
        except FileExistsError as error:
            raise DeliveryError(f"the folder of the witness has another {name}") from error
        except OSError as error:
            raise DeliveryError(f"the folder of the witness does not take {name}: {type(error).__name__}") from error
        return Seen(receipt=FileReceipt(name=name), at=utc_hundredths(self._clock()), clock="deliverer")

    def verify(self, offer: Offer, receipt: Receipt) -> None:
        """Return if the receipt names this offer's file. Raises ReceiptRefusedError."""
        if not isinstance(receipt, FileReceipt) or receipt.name != file_name(offer.checkpoint().size):
            raise ReceiptRefusedError("not a receipt of this witness for this checkpoint")


def _offer(data: bytes, size: int) -> Offer:
    offer = decode_offer(data)
    if offer.checkpoint().size != size:
        raise RecordError("a file is named for another size")
    return offer
