"""Features of distinct words, looked up once for each: whether a word by itself is a name, or shows that others are.

Words are ASCII capitals. data/words.txt has ordinary words, data/names.txt given names and surnames, data/grammar.txt
titles, particles and the like; an agency adds its own by side tables. Endings of English (-s, -ed, -ing ...) are taken
off before a word counts as unknown.
"""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow

Features = npt.NDArray[np.uint16]

ORDINARY: Final = 1
GIVEN: Final = 2
SURNAME: Final = 4
LISTED: Final = 8
"""A name of the job's own persons."""
TITLE: Final = 16
HONORIFIC: Final = 32
"""A title that only a name follows."""
NEVER: Final = 64
"""No name where it is a capital word beside one: a role, a month, a state, a make, a word of grammar."""
PARTICLE: Final = 128
SUFFIX: Final = 256
STEM: Final = 512
"""Ordinary without its ending."""
SPEAKS: Final = 1024
"""A verb that persons are the subjects of."""
CLITIC: Final = 2048

NAME: Final = GIVEN | SURNAME | LISTED

_SECTIONS: Final = {
    "[given]": GIVEN,
    "[surname]": SURNAME,
    "[honorific]": HONORIFIC,
    "[title]": TITLE,
    "[never]": NEVER,
    "[particle]": PARTICLE,
    "[suffix]": SUFFIX,
    "[speaks]": SPEAKS,
    "[clitic]": CLITIC,
}


class Vocabulary:
    """Features of words; made once for a job."""

    def __init__(self, persons: Iterable[pa.Array] = (), added: Mapping[int, pa.Array] | None = None) -> None:
        """`persons` are words of names of the job's persons, `added` words by the feature that they get."""
        features = dict[bytes, int]()
        for word, feature in _PACKAGED.items():
            features[word] = feature
        for feature, words in (added or {}).items():
            for word in words.to_pylist():
                features[word] = features.get(word, 0) | feature
        for words in persons:
            for word in pc.unique(words).to_pylist():
                features[word] = features.get(word, 0) | LISTED
        self._words = arrow.from_bytes(
            np.frombuffer(b"".join(features), np.uint8), np.array([len(word) for word in features]), pa.binary()
        )
        self._features = np.append(np.array(list(features.values()), np.uint16), np.uint16(0))

    def of(self, words: pa.Array) -> Features:
        """uint16[k]: the features of distinct words, a `binary` array of ASCII capitals."""
        found = self._find(words)
        unknown = np.flatnonzero(found == 0)
        rest = words.take(arrow.from_numpy(unknown))
        ordinary = np.zeros(len(unknown), np.bool_)
        for ending, instead in _ENDINGS:
            ordinary |= (self._find(pc.replace_substring_regex(rest, ending, instead)) & ORDINARY) > 0
        found[unknown[ordinary]] = STEM
        return found

    def _find(self, words: pa.Array) -> Features:
        index = pc.index_in(words, value_set=self._words).fill_null(len(self._words))
        found: Features = self._features[arrow.numbers(index)]
        return found


_ENDINGS: Final = (
    ("(?:IES|IED)$", "Y"),
    ("E?S$", ""),
    ("S$", ""),
    ("D$", ""),
    ("ED$", ""),
    ("ING$", ""),
    ("ING$", "E"),
    ("(?:ILY)$", "Y"),
    ("LY$", ""),
    ("([BDGLMNPRTK])[BDGLMNPRTK](?:ED|ING)$", "\\1"),
)


def _read() -> dict[bytes, int]:
    found = dict[bytes, int]()
    for name in ("words.txt", "names.txt", "grammar.txt"):
        feature = ORDINARY
        for line in (files(__package__) / "data" / name).read_text("ascii").splitlines():
            if line.startswith("["):
                feature = _SECTIONS[line]
            elif not line.startswith("#"):
                for word in line.upper().replace("-", " ").encode().split():
                    ordinary = ORDINARY if feature in {TITLE, NEVER, SPEAKS} else 0
                    found[word] = found.get(word, 0) | feature | ordinary
    return found


_PACKAGED: Final = _read()
