"""`redact`: megabytes of narratives a second with every class, beside a slow twin with the same finds.

One thread. The clock has reading, finding, marks and the list of finds; the twin's has reading and finding alone, and
it goes through few texts, because it looks at one character and one word at a time. No recogniser of names is a peer:
their models have to be downloaded, and find other things. How much is found is printed for labelled narratives.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from benchmarks.harness import Result, paired, rate
from benchmarks.machine import facts
from benchmarks.report import Report
from cji_core.operations.redact import REDACT, SPANS, Redaction
from cji_operations.operation import Applied
from cji_operations.redact.vocabulary import Vocabulary
from tests.reference.redact import slow_spans
from tests.support.contexts import context, prepare_batch
from tests.support.narratives import narratives
from tests.support.narratives.figures import figures
from tests.support.redact_tools import narrative

__all__ = ["run"]

_CHUNK: Final = 16_384  # as a cell hands them to an operation
_FEW: Final = 60
_VOCABULARY: Final = Vocabulary()


def run(report: Report, *, quick: bool) -> Result:
    """Measure and print; a minute."""
    machine, copies, pairs = facts(), 10 if quick else 60, 3 if quick else 9
    report.heading("redact", machine)
    labelled = list(narratives())
    once = [each.text for each in labelled]
    texts = [b"Report %d. %s" % (copy, text) for copy in range(copies) for text in once]
    few = texts[:_FEW]
    assert _spans(few) == [slow_spans(text, _VOCABULARY) for text in few]
    size, size_of_few = (sum(map(len, each)) for each in (texts, few))
    batch = narrative(texts)
    with report.doing(f"{len(texts)} narratives, {pairs} pairs"):
        found = paired(rate(size, lambda: _redacted(batch)), rate(size_of_few, lambda: _twin(few)), pairs=pairs)
    report.table(
        f"MB a second, one thread, {len(texts)} narratives ({size / 1e6:.0f} MB)",
        ("", "ours", "peer", "ratio"),
        [
            (
                "slow twin",
                f"{found.subject.middle / 1e6:.2f}",
                f"{found.peer.middle / 1e6:.3f}",
                found.ratio.text(places=1),
            )
        ],
    )
    held_out = figures(each for each in labelled if each.held_out)
    report.table(
        "Held-out labelled narratives, without side tables",
        ("class", "labels", "recall", "precision"),
        [
            (name, f"{each.labels}", f"{each.recall:.3f}", f"{each.precision:.3f}")
            for name, each in held_out.items()
            if each.labels
        ],
    )
    growth = [(len(part), _seconds(narrative(part))) for part in (texts[: len(texts) // 10], texts)]
    report.table("Seconds", ("narratives", "s"), [(f"{n}", f"{seconds:.3f}") for n, seconds in growth])
    return Result(
        name="redact",
        machine=machine,
        figures={
            "bytes_per_s": found.subject.middle,
            "twin_bytes_per_s": found.peer.middle,
            "narratives_per_s": found.subject.middle * len(texts) / size,
        },
        ratios={"twin": found.ratio.middle},
        growth={"seconds": growth},
    )


def _seconds(batch: pa.RecordBatch) -> float:
    return 1 / rate(1, lambda: _redacted(batch))()


def _redacted(batch: pa.RecordBatch) -> list[Applied]:
    operation = prepare_batch(REDACT.message(Redaction(columns=("narrative",))), "narrative/1", batch.schema, context())
    return [operation.apply(batch.slice(first, _CHUNK)) for first in range(0, batch.num_rows, _CHUNK)]


def _spans(texts: Sequence[bytes]) -> list[list[tuple[str, int, int]]]:
    """(class, first byte, end) of the finds of each text."""
    found: list[list[tuple[str, int, int]]] = [[] for _ in texts]
    for applied in _redacted(narrative(texts)):
        for batch in applied.parts[SPANS.name]:
            for row in batch.to_pylist():
                found[row["row"]].append((row["class"], row["start"], row["end"]))
    return found


def _twin(texts: Sequence[bytes]) -> None:
    for text in texts:
        slow_spans(text, _VOCABULARY)
