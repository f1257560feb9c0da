"""Facts of segments that the whole submission sets, of all records at once and of records in parts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.format.records.column import Text
from cji_core.format.records.nibrs.records import Records
from cji_operations.nibrs.headers import Headers, Standard, segment_facts
from cji_operations.nibrs.specification import load_rule_set

_RULES = load_rule_set("nibrs/3.1")
_LENGTHS = {
    level: sorted({n for name in _RULES.levels if _RULES.levels[name] == level for n in _RULES.lengths[name]})
    for level in (1, 2, 3)
}
_SEGMENTS = st.tuples(st.sampled_from(sorted(_LENGTHS)), st.integers(0, 1), st.booleans())


def _records(segments: list[tuple[int, int, bool]]) -> Records:
    lines = []
    for level, which, fits in segments:
        length = _LENGTHS[level][which % len(_LENGTHS[level])]
        lines.append(f"{length:04d}{level}I012020".encode().ljust(length if fits else length - 1))
    data = np.frombuffer(b"".join(lines), np.uint8)
    lengths = np.array([len(line) for line in lines], np.int64)
    return Records.of_lines(Text(data=data, starts=np.cumsum(lengths) - lengths, lengths=lengths))


@settings(max_examples=50)
@given(st.lists(_SEGMENTS, min_size=2, max_size=12), st.data())
def test_the_first_segment_of_another_length(segments: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    def standard(part: list[tuple[int, int, bool]]) -> Standard:
        records = _records(part)
        return Standard.of(Headers.of(records.beginnings), records.beginnings, records.text.lengths, _RULES)

    def found(part: list[tuple[int, int, bool]], before: Standard | None, whole: Standard | None) -> list[bool]:
        records = _records(part)
        facts = segment_facts(
            Headers.of(records.beginnings),
            records.beginnings,
            np.zeros(len(part), np.int64),
            records.text.lengths,
            _RULES,
            before=before,
            whole=whole,
        )["other_length"]
        return [bool(fact) for fact in np.broadcast_to(facts, len(part))]

    first, told, twin = dict[int, int](), set[int](), list[bool]()
    for level, which, fits in segments:
        length = _LENGTHS[level][which % len(_LENGTHS[level])]
        twin.append(fits and first.setdefault(level, length) != length and level not in told)
        told |= {level} if twin[-1] else set()
    assert found(segments, None, None) == twin
    cut = data.draw(st.integers(1, len(segments) - 1))
    before, after = segments[:cut], segments[cut:]
    whole = standard(before).then(standard(after))
    nothing = Standard.of(
        Headers.of(np.empty((0, 45), np.uint8)), np.empty((0, 45), np.uint8), np.empty(0, np.int64), _RULES
    )
    assert found(before, nothing, whole) + found(after, standard(before), whole) == twin
