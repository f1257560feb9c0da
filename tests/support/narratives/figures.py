"""How much of the labelled narratives `redact` finds: figures for each class."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cji_core.operations.redact import CLASSES
from cji_operations.redact.finder import Finder
from cji_operations.redact.plain import plain
from tests.support.narratives import Narrative


@dataclass(slots=True)
class Figures:
    """Of one class of labels: how many there are, are covered whole, and are touched; of finds: all, and right ones."""

    labels: int = 0
    covered: int = 0
    touched: int = 0
    finds: int = 0
    right: int = 0

    @property
    def recall(self) -> float:
        """The share of labels of which no letter and no digit is left."""
        return self.covered / max(self.labels, 1)

    @property
    def precision(self) -> float:
        """The share of finds that touch a label of any class."""
        return self.right / max(self.finds, 1)


def figures(narratives: Iterable[Narrative]) -> dict[str, Figures]:
    """By class, without side tables: rules and packaged words alone."""
    texts = list(narratives)
    read = plain(pa.array([each.text for each in texts], pa.binary()))
    spans = Finder(CLASSES, (), ()).spans(read)
    row, begin, end = read.rows(spans.first), read.origin[spans.first], read.origin[spans.end]
    starts = np.cumsum([0, *(len(each.text) for each in texts)])
    found: dict[str, Figures] = {kind: Figures() for kind in CLASSES}
    for number, text in enumerate(texts):
        covered, labelled = (np.zeros(len(text.text), np.bool_) for _ in range(2))
        of_row = np.flatnonzero(row == number)
        for span in of_row.tolist():
            covered[begin[span] - starts[number] : end[span] - starts[number]] = True
        letters = np.array([chr(byte).isalnum() or byte >= 0x80 for byte in text.text], np.bool_)
        for kind, first, last in text.labels:
            labelled[first:last] = True
            inside = covered[first:last][letters[first:last]]
            each = found[kind.lower()]
            each.labels, each.covered, each.touched = (
                each.labels + 1,
                each.covered + bool(inside.all()),
                each.touched + bool(inside.any()),
            )
        for span in of_row.tolist():
            each = found[CLASSES[spans.kind[span]]]
            right = labelled[begin[span] - starts[number] : end[span] - starts[number]].any()
            each.finds, each.right = each.finds + 1, each.right + bool(right)
    return found


def lines(found: dict[str, Figures]) -> list[str]:
    """A line for each class."""
    return [
        f"{kind:8} {each.labels:4} labels  recall {each.recall:.3f}  touched {each.touched / max(each.labels, 1):.3f}  "
        f"{each.finds:4} finds  precision {each.precision:.3f}"
        for kind, each in found.items()
        if each.labels or each.finds
    ]
