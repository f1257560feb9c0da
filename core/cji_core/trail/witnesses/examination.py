"""The examination of a trail against everything that witnesses returned, without a network."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from cji_core.trail.delivery import DeliveryError
from cji_core.trail.witnesses.comparison import compare
from cji_core.trail.witnesses.destination import Witness
from cji_core.trail.witnesses.findings import Examination, Fault, Finding, Sighting
from cji_core.trail.witnesses.keys import ReceiptKeys
from cji_core.trail.witnesses.records import (
    Offer,
    RecordError,
    Records,
    Witnessed,
    decode_offer,
    file_name,
    read_file,
    sizes_in,
)


def examine(
    trail: Path,
    *,
    state: Mapping[str, Path],
    copies: Sequence[Path],
    witnesses: Mapping[str, Witness],
    keys: ReceiptKeys,
) -> Examination:
    """Compare a trail with the records in `state` (by witness) and with copies of the folders of file witnesses.

    Raises OSError if a folder or the trail cannot be read.
    """
    result = Examination()
    for name, folder in state.items():
        _records(result, name, folder, witnesses.get(name), keys)
    for folder in copies:
        _copies(result, folder, keys)
    result.sightings.sort(key=lambda each: each.checkpoint.size)
    _two_histories(result)
    compare(result, trail, keys)
    return result


def _records(result: Examination, name: str, folder: Path, witness: Witness | None, keys: ReceiptKeys) -> None:
    series = _Series(result, name, keys)
    for file, record in Records(folder):
        if isinstance(record, RecordError):
            result.add(Finding(fault="unreadable", witness=name, text=f"{file}: {record}"))
        elif witness is None or record.witness != name:
            text = f"{file} is of the witness {record.witness}, which the configuration does not have here"
            result.add(Finding(fault="witness", witness=name, text=text))
        else:
            series.take(record.offer, record, witness)


def _copies(result: Examination, folder: Path, keys: ReceiptKeys) -> None:
    series = _Series(result, str(folder), keys)
    for size in sizes_in(folder):
        name = file_name(size)
        try:
            offer = decode_offer(read_file(folder / name))
            if offer.checkpoint().size != size:
                raise RecordError("it is named for another size")
        except RecordError as error:
            result.add(Finding(fault="unreadable", witness=str(folder), text=f"{name}: {error}"))
        else:
            series.take(offer, None, None)


class _Series:
    """The checkpoints of one folder, each of which continues the one before."""

    def __init__(self, result: Examination, name: str, keys: ReceiptKeys) -> None:
        self._result, self._name, self._keys = result, name, keys
        self._before: tuple[Offer, bool] | None = None

    def take(self, offer: Offer, record: Witnessed | None, witness: Witness | None) -> None:
        """Add a sighting, or what is wrong with it."""
        good = self._sound(offer, record, witness)
        size, before = offer.checkpoint().size, self._before
        had = before[0].checkpoint().size if before else 0
        if offer.previous != had:
            self._fault("gap", size, f"the checkpoint of {size} lines continues one of {offer.previous}, not of {had}")
        elif before is not None and before[1] and good:
            try:
                offer.continues(before[0])
            except RecordError as error:
                self._fault("fork", size, f"the checkpoint of {size} lines does not continue that of {had}: {error}")
        self._before = offer, good
        if good:
            at, clock = (record.at, record.clock) if record else (None, None)
            checkpoint = offer.checkpoint()
            self._result.sightings.append(Sighting(witness=self._name, checkpoint=checkpoint, at=at, clock=clock))

    def _sound(self, offer: Offer, record: Witnessed | None, witness: Witness | None) -> bool:
        checkpoint = offer.checkpoint()
        verdict = self._keys.judge(checkpoint)
        if verdict == "forged":
            self._fault("forged", checkpoint.size, f"the checkpoint of {checkpoint.size} lines has a wrong signature")
        elif verdict == "unknown_key":
            text = f"the checkpoint of {checkpoint.size} lines is signed by a key that is not among those given"
            self._fault("unknown_key", checkpoint.size, text)
        elif record is not None and witness is not None:
            try:
                witness.verify(offer, record.receipt)
            except DeliveryError as error:
                self._fault("receipt", checkpoint.size, f"the checkpoint of {checkpoint.size} lines: {error}")
                return False
        return verdict == "verified"

    def _fault(self, fault: Fault, size: int, text: str) -> None:
        self._result.add(Finding(fault=fault, witness=self._name, size=size, text=text))


def _two_histories(result: Examination) -> None:
    for one, other in pairwise(result.sightings):
        same = one.checkpoint.origin == other.checkpoint.origin and one.checkpoint.size == other.checkpoint.size
        if same and one.checkpoint.root != other.checkpoint.root:
            text = f"{one.witness} and {other.witness} saw two histories of {one.checkpoint.size} lines, both signed"
            result.add(Finding(fault="fork", size=one.checkpoint.size, text=text))
