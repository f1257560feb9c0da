"""Names of persons in prose, by rules over words and their neighbours.

The rules rather find too much: a capital word in the middle of a sentence that no list knows is a name, and so is every
unknown word of a text in capitals. An ordinary word that is a name as well (Young, Mark, Hope) needs evidence: a title,
a name beside it, a verb of persons behind it. A word that was found once is found wherever else it stands in its text.
"""

import numpy as np

from cji_core.format.records.column import Bools, Ints
from cji_operations.redact.tokens import APOSTROPHE, BLANK, BREAK, COMMA, HYPHEN, OTHER, PERIOD, QUOTE, Tokens
from cji_operations.redact.vocabulary import (
    CLITIC,
    GIVEN,
    HONORIFIC,
    LISTED,
    NAME,
    NEVER,
    ORDINARY,
    PARTICLE,
    SPEAKS,
    STEM,
    SUFFIX,
    SURNAME,
    TITLE,
)

_ROUNDS = 3  # a name grows by this many words on either side
_ACRONYM_LETTERS = 4


def names(tokens: Tokens, already: Bools) -> tuple[Ints, Ints]:
    """(int64[k], int64[k]): where names begin and end; `already` bool[t]: words that other rules know to be names."""
    if not len(tokens.first):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    near = _Near(tokens)
    named = _seeds(tokens, near) | already
    named = _grown(tokens, near, named)
    named = _grown(tokens, near, _repeated(tokens, near, named))
    return _spans(tokens, near, named)


class _Near:
    """The neighbours of each word, computed once."""

    def __init__(self, t: Tokens) -> None:
        gap, width = t.gap[:-1], t.width[:-1]
        one = (t.end - t.first) == 1
        short = _before(one | t.has(TITLE | SUFFIX | PARTICLE), False)  # an abbreviation: its period ends no sentence
        self.clitic = t.has(CLITIC) & (gap == APOSTROPHE)
        self.blank = (gap == BLANK) & (width <= 3)
        self.joined = (
            self.blank | ((gap == HYPHEN) & (width == 1)) | ((gap == APOSTROPHE) & (width == 1) & ~self.clitic)
        )
        self.joined |= short & ((gap == PERIOD) | (gap == PERIOD | BLANK)) & (width <= 3)
        self.hyphen = (gap == HYPHEN) & (width == 1)
        self.comma = ((gap == COMMA) | (gap == COMMA | BLANK)) & (width <= 3)
        self.quoted = (gap == QUOTE | BLANK) & (width <= 3)
        self.starts = ((gap & (BREAK | OTHER | QUOTE)) > 0) | (((gap & PERIOD) > 0) & ~short)
        self.initial = one & t.capital
        cap = t.capital & ~self.clitic
        self.cap = np.where(t.caseless, ~self.clitic, cap)
        self.ordinary = t.has(ORDINARY | STEM)


def _before(flags: Bools, default: bool) -> Bools:
    """The flag of the word before each."""
    return np.append(np.array([default]), flags[:-1])


def _after(flags: Bools, default: bool) -> Bools:
    """The flag of the word after each."""
    return np.append(flags[1:], np.array([default]))


def _seeds(t: Tokens, near: _Near) -> Bools:
    """Words that are names by themselves, or by the words beside them."""
    length = t.end - t.first
    name, listed = t.has(NAME), t.has(LISTED)
    plain_name = name & ~t.has(ORDINARY | NEVER | TITLE)
    both = name & t.has(ORDINARY) & ~t.has(NEVER)
    unknown = ~name & ~near.ordinary & ~t.has(PARTICLE | SUFFIX | TITLE | NEVER | CLITIC) & ~near.clitic & (length > 1)
    mixed = ~t.caseless
    found: Bools = plain_name & near.cap & (length > 1)
    found |= plain_name & mixed & (length > 3) & ~near.clitic
    found |= listed & near.cap & (length > 2) & (~t.has(NEVER) | (mixed & ~near.starts))
    found |= unknown & mixed & t.capital & ~(t.upper & (length <= _ACRONYM_LETTERS))
    found |= unknown & t.caseless & (length > 2) & (t.voiced | (length > _ACRONYM_LETTERS))
    found |= _titled(t, near, unknown, both)
    surname = t.has(SURNAME) | unknown | found
    pair = near.comma & (t.has(GIVEN) | unknown) & near.cap & _before(surname & near.cap & ~t.has(NEVER), False)
    found |= (pair | _after(pair, False)) & (name | unknown)
    pair = near.blank & name & near.cap & _before(both & t.has(GIVEN) & near.cap, False)
    found |= pair | _after(pair, False)
    low_after = _after(~t.capital | ~near.blank, True)
    low_before = _before(~t.capital, True) | ~near.blank
    found |= both & mixed & t.capital & ~near.starts & low_before & low_after
    verb_after = _after(t.has(SPEAKS) & near.blank, False)
    found |= both & near.cap & verb_after & ~t.has(SPEAKS)
    possessive = _after(near.clitic & (length == 1), False)
    found |= both & mixed & t.capital & possessive
    return found


def _titled(t: Tokens, near: _Near, unknown: Bools, both: Bools) -> Bools:
    """Words behind a title, and behind words that tell who somebody is."""
    title = _before(t.has(TITLE), False) & near.joined
    honorific = _before(t.has(HONORIFIC), False) & near.joined
    name = t.has(NAME)
    possible = ~t.has(NEVER | TITLE) & ~near.clitic
    found: Bools = title & possible & near.cap & (name | unknown)
    found |= title & possible & ~t.caseless & t.capital & _after(~t.capital | ~near.blank, True) & ~near.ordinary
    found |= honorific & possible & near.cap
    street = _before(near.blank & _before(t.capital, False), False)  # Willow Bend Dr. She
    found |= honorific & ~street & ~near.clitic & ~t.caseless & t.capital
    caseless_low = t.caseless & ~t.capital
    found |= (title & caseless_low & possible & (name | unknown)) | (both & honorific)
    return found


def _grown(t: Tokens, near: _Near, named: Bools) -> Bools:
    """With initials, particles, suffixes and capital words that are joined to a name."""
    wordy = ~t.has(NEVER | TITLE) & ~near.clitic
    capital = near.cap & wordy & ((t.has(NAME) | ~near.ordinary) | (~t.caseless & ~near.starts))
    article = near.initial & (t.has(NEVER) | t.caseless) & ~_period_after(t)
    first_word = near.starts & near.ordinary & ~t.has(NAME)
    hyphened = near.hyphen & ~near.ordinary & ~near.clitic  # Ji-hoon
    last_word = ~t.caseless & t.capital & near.blank & t.has(TITLE) & _after(~t.capital | ~near.blank, True)
    first_name = ~t.caseless & t.capital & t.has(GIVEN) & t.has(NEVER)  # Will Pruett
    comma_initial = near.comma & near.initial & ~t.has(NEVER)
    for _ in range(_ROUNDS):
        behind = _before(named, False) & (near.joined | near.quoted)
        ahead = _after(named & (near.joined | near.quoted), False)
        grown = named | (behind & (capital | (near.initial & ~near.clitic)))
        grown |= ahead & ((capital & ~first_word) | (near.initial & ~article))
        grown |= _particles(t, near, named)
        grown |= (_before(named, False) & (near.joined | near.comma)) & t.has(SUFFIX)
        comma = _before(named, False) & near.comma & t.has(GIVEN) & near.cap
        grown |= comma | (_before(named, False) & (hyphened | last_word | comma_initial))
        grown |= first_name & _after(named & near.blank, False)
        if (grown == named).all():
            break
        named = grown
    return named


def _particles(t: Tokens, near: _Near, named: Bools) -> Bools:
    """Particles before a name: those in capitals, and those that a name stands before as well (Maria de la Cruz)."""
    particle = t.has(PARTICLE)
    behind: Bools = np.zeros(len(named), np.bool_)
    ahead: Bools = behind
    for _ in range(_ROUNDS):
        behind = particle & _before(named | behind, False) & near.joined
        ahead = particle & _after((named | ahead) & near.joined, False)
    found: Bools = ahead & (near.cap | behind)
    return found


def _period_after(t: Tokens) -> Bools:
    """bool[t]: a period follows the word."""
    found: Bools = (t.gap[1:] & PERIOD) > 0
    return found


def _repeated(t: Tokens, near: _Near, named: Bools) -> Bools:
    """With every other occurrence of a word that is a name somewhere in its text."""
    key = t.row * (int(t.word.max(initial=0)) + 1) + t.word
    source = named & ~t.has(PARTICLE | SUFFIX | NEVER) & ((t.end - t.first) > 1)
    again = np.isin(key, np.unique(key[source]))
    found: Bools = named | (again & ~near.clitic & (near.cap | ~near.ordinary))
    return found


def _spans(t: Tokens, near: _Near, named: Bools) -> tuple[Ints, Ints]:
    """Runs of joined words."""
    turned = near.comma & t.has(GIVEN) & _before(t.has(SURNAME) | ~t.has(GIVEN), False)  # SMITH, JOHN
    turned |= near.comma & t.has(SUFFIX)
    follows = named & _before(named, False) & (near.joined | near.quoted | turned)
    heads = np.flatnonzero(named & ~follows)
    tails = np.flatnonzero(named & ~_after(follows, False))
    return t.first[heads], t.end[tails]
