"""Everything that is to be replaced in a column of texts: finds of all rules, joined where they overlap.

Finds that overlap are one: nothing that any rule found stays. The class and the rule of the longest one name it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records.column import Bools, Ints
from cji_core.operations.redact import CLASSES, TextClass
from cji_operations.redact import patterns, phrases
from cji_operations.redact.names import names
from cji_operations.redact.phrases import Phrases
from cji_operations.redact.plain import Plain
from cji_operations.redact.plain import plain as plain_of
from cji_operations.redact.tokens import Tokens, tokens, words_of
from cji_operations.redact.vocabulary import GIVEN, LISTED, ORDINARY, SURNAME, Vocabulary

NAME_COLUMNS: Final = ("NAM", "last", "first", "middle")
_WORD_KINDS: Final = {"given": GIVEN, "surname": SURNAME, "name": LISTED, "ordinary": ORDINARY}
KINDS: Final = frozenset((*_WORD_KINDS, *CLASSES))
"""Kinds of words that an agency may list."""
_FIRST: Final[tuple[TextClass, ...]] = ("email", "date", "phone", "plate", "address", "number", "name")
_RANK: Final = np.array([_FIRST.index(each) for each in CLASSES])
"""Of equally long finds: a telephone is a number as well."""
_OWN_RULES: Final = ("prose", "person", "words")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Spans:
    """`k` finds that do not overlap, ascending, in the plain data: first, end int64[k]; kind and rule int64[k]."""

    first: Ints
    end: Ints
    kind: Ints
    rule: Ints


RULE_NAMES: Final = tuple(dict.fromkeys((*_OWN_RULES, *(rule.name for rule in patterns.RULES))))


class Finder:
    """All that a job looks for; made once for it."""

    def __init__(
        self, classes: Iterable[TextClass], persons: Sequence[pa.RecordBatch], words: Sequence[pa.RecordBatch]
    ) -> None:
        self._classes = frozenset(classes)
        self._phrases = [*phrases.of_persons(persons), *_listed_phrases(words)]
        self._vocabulary = Vocabulary(persons=_names_of(persons), added=_listed_words(words))

    def spans(self, plain: Plain) -> Spans:
        """All finds in the plain texts."""
        found = list[tuple[Ints, Ints, int, int]]()
        texts = plain.texts()
        for rule, first, end in patterns.found(texts, self._classes):
            found.append((first, end, CLASSES.index(rule.text_class), RULE_NAMES.index(rule.name)))
        for each, first, end in phrases.find(plain, self._phrases):
            if each.text_class in self._classes:
                found.append((first, end, CLASSES.index(each.text_class), RULE_NAMES.index(each.rule)))
        if "name" in self._classes:
            words = tokens(plain, self._vocabulary)
            kind = CLASSES.index("name")
            first, end = names(words, _inside(words, [(a, b) for a, b, k, _ in found if k == kind]))
            found.append((first, end, kind, RULE_NAMES.index("prose")))
        return _joined(found)


def _inside(words: Tokens, spans: Sequence[tuple[Ints, Ints]]) -> Bools:
    """bool[t]: the word lies in one of the spans."""
    found = np.zeros(len(words.first), np.bool_)
    for first, end in spans:  # of one rule, ascending
        at = np.searchsorted(first, words.first, "right") - 1
        found |= (at >= 0) & (words.end <= end[at])
    return found


def _joined(found: Sequence[tuple[Ints, Ints, int, int]]) -> Spans:
    lengths = [len(first) for first, _, _, _ in found]
    first, end = (np.concatenate([np.empty(0, np.int64), *(each[i] for each in found)]) for i in (0, 1))
    kind, rule = (np.repeat(np.array([each[i] for each in found], np.int64), lengths) for i in (2, 3))
    order = np.lexsort((rule, kind, -(end - first), first))
    first, end, kind, rule = first[order], end[order], kind[order], rule[order]
    if not len(first):
        return Spans(first=first, end=end, kind=kind, rule=rule)
    reach = np.maximum.accumulate(end)
    heads = np.flatnonzero(np.append(np.True_, first[1:] >= reach[:-1]))
    group = np.repeat(np.arange(len(heads)), np.diff(np.append(heads, len(first))))
    best = np.lexsort((np.arange(len(first)), _RANK[kind], first - end, group))[heads]
    return Spans(first=first[heads], end=reach[np.append(heads[1:], len(first)) - 1], kind=kind[best], rule=rule[best])


def _names_of(persons: Sequence[pa.RecordBatch]) -> Iterable[pa.Array]:
    """Words of names, as capitals; single letters are left out."""
    for batch in persons:
        for name in NAME_COLUMNS:
            if name in batch.schema.names:
                _, _, words = words_of(plain_of(batch.column(name)))
                yield words.filter(pc.greater(pc.binary_length(words), 1))


def _kind_rows(words: Sequence[pa.RecordBatch], kind: str) -> pa.Array:
    """The words of one kind."""
    found = [pa.nulls(0, pa.binary())]
    for batch in words:
        listed = pc.equal(batch.column("kind").cast(pa.binary()), pa.scalar(kind.encode(), pa.binary()))
        found.append(batch.column("word").cast(pa.binary()).filter(listed))
    return pa.concat_arrays(found)


def _listed_words(words: Sequence[pa.RecordBatch]) -> Mapping[int, pa.Array]:
    return {feature: words_of(plain_of(_kind_rows(words, kind)))[2] for kind, feature in _WORD_KINDS.items()}


def _listed_phrases(words: Sequence[pa.RecordBatch]) -> Iterable[Phrases]:
    for kind in CLASSES:
        yield Phrases(text_class=kind, rule="words", hashes=phrases.hashes_of(_kind_rows(words, kind)))


def unknown_kinds(words: Sequence[pa.RecordBatch]) -> bool:
    """Whether a row of the agency's words has a kind that does not exist, or none."""
    allowed = pa.array([kind.encode() for kind in sorted(KINDS)], pa.binary())
    return any(
        not pc.all(pc.is_in(batch.column("kind").cast(pa.binary()), value_set=allowed), min_count=0).as_py()
        for batch in words
    )
