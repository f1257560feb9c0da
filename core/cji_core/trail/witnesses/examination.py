"""The examination of a trail against everything that its log took, without a network.

There are two sources: the deliverer's records, each with the proof that a quorum cosigned it, and the entries in a
monitor's copy of the log, which proved them when it read them.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from cji_core.trail.delivery import LOG, DeliveryError
from cji_core.trail.witnesses.agency_log import LogWitness
from cji_core.trail.witnesses.comparison import compare
from cji_core.trail.witnesses.findings import Examination, Fault, Finding, Sighting, Source
from cji_core.trail.witnesses.keys import ReceiptKeys
from cji_core.trail.witnesses.records import Offer, RecordError, Records, Witnessed

MONITOR: Source = "monitor"


def examine(
    trail: Path,
    *,
    records: Path | None,
    log: LogWitness,
    entries: Sequence[Offer] = (),
    keys: ReceiptKeys,
    max_delay: int | None = None,
) -> Examination:
    """Compare a trail with the records in a folder, and with a monitor's entries of this trail.

    `max_delay` is the delay that the log's policy publishes, in seconds. Raises OSError if the folder or the trail
    cannot be read.
    """
    result = Examination()
    if records is not None:
        _records(result, records, log, keys)
    _entries(result, entries, keys)
    result.sightings.sort(key=lambda each: each.checkpoint.size)
    _two_histories(result)
    compare(result, trail, keys, max_delay=max_delay)
    return result


def _records(result: Examination, folder: Path, log: LogWitness, keys: ReceiptKeys) -> None:
    series = _Series(result, LOG, keys)
    for file, record in Records(folder):
        if isinstance(record, RecordError):
            result.add(Finding(fault="unreadable", source=LOG, text=f"{file}: {record}"))
        else:
            series.take(record.offer, record, log)


def _entries(result: Examination, offers: Iterable[Offer], keys: ReceiptKeys) -> None:
    series = _Series(result, MONITOR, keys)
    for offer in offers:
        series.take(offer, None, None)


class _Series:
    """The checkpoints of one source, each of which continues the one before."""

    def __init__(self, result: Examination, source: Source, keys: ReceiptKeys) -> None:
        self._result, self._source, self._keys = result, source, keys
        self._before: tuple[Offer, bool] | None = None

    def take(self, offer: Offer, record: Witnessed | None, log: LogWitness | None) -> None:
        """Add a sighting, or what is wrong with it."""
        at, good = None, self._has_signature(offer)
        if good and record is not None and log is not None:
            at = self._cosigned(offer, record, log)
            good = at is not None
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
            self._result.sightings.append(Sighting(source=self._source, checkpoint=offer.checkpoint(), at=at))

    def _has_signature(self, offer: Offer) -> bool:
        checkpoint = offer.checkpoint()
        verdict = self._keys.judge(checkpoint)
        if verdict == "forged":
            self._fault("forged", checkpoint.size, f"the checkpoint of {checkpoint.size} lines has a wrong signature")
        elif verdict == "unknown_key":
            text = f"the checkpoint of {checkpoint.size} lines is signed by a key that is not among those given"
            self._fault("unknown_key", checkpoint.size, text)
        return verdict == "verified"

    def _cosigned(self, offer: Offer, record: Witnessed, log: LogWitness) -> str | None:
        """The time of the quorum in the proof, None for another proof."""
        try:
            return log.verify(offer, record.receipt)
        except DeliveryError as error:
            size = offer.checkpoint().size
            self._fault("receipt", size, f"the checkpoint of {size} lines: {error}")
            return None

    def _fault(self, fault: Fault, size: int, text: str) -> None:
        self._result.add(Finding(fault=fault, source=self._source, size=size, text=text))


def _two_histories(result: Examination) -> None:
    for one, other in pairwise(result.sightings):
        same = one.checkpoint.origin == other.checkpoint.origin and one.checkpoint.size == other.checkpoint.size
        if same and one.checkpoint.root != other.checkpoint.root:
            size = one.checkpoint.size
            text = f"the {one.source} and the {other.source} have two histories of {size} lines, both signed"
            result.add(Finding(fault="fork", size=one.checkpoint.size, text=text))
