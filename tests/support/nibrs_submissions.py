"""NIBRS submissions with accidents."""

from hypothesis import strategies as st

from cji_operations.validate import load_rule_set
from tests.support.nibrs_reports import REPORTS, lines

__all__ = ["submissions"]

_CHARACTERS = b" 0123456789ABCDEFGHILMNOPRSTUVWX-+\t\x80\x00"
_OFFENSES = [code.encode() for code in load_rule_set("nibrs/2016").codes["offense"].codes]
_PLACES = {2: (37,), 4: (40, 43, 46), 6: (61,), 7: (48,)}


@st.composite
def submissions(draw: st.DrawFn) -> bytes:
    """Valid reports with a few accidents: bytes, codes, lines lost, doubled, swapped, cut, blank."""
    names = draw(st.lists(st.sampled_from(sorted(REPORTS)), min_size=1, max_size=4))
    found = [line for name in names for line in lines(REPORTS[name])]
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(found) - 1))
        line = bytearray(found[place])
        match draw(st.sampled_from(("byte", "byte", "byte", "code", "lose", "double", "swap", "cut", "long", "blank"))):
            case "byte" if line:
                low = draw(st.sampled_from((0, min(37, len(line) - 1))))
                line[draw(st.integers(low, len(line) - 1))] = draw(st.sampled_from(_CHARACTERS))
                found[place] = bytes(line)
            case "code" if len(line) > 70 and line[4] - 48 in _PLACES:
                start = draw(st.sampled_from(_PLACES[line[4] - 48]))
                line[start : start + 3] = draw(st.sampled_from(_OFFENSES))
                found[place] = bytes(line)
            case "lose" if len(found) > 1:
                del found[place]
            case "double":
                found.insert(draw(st.integers(0, len(found))), bytes(line))
            case "swap":
                other = draw(st.integers(0, len(found) - 1))
                found[place], found[other] = found[other], found[place]
            case "cut":
                found[place] = bytes(line[: draw(st.integers(0, len(line)))])
            case "long":
                found[place] = bytes(line) + b" " * draw(st.integers(1, 3))
            case "blank":
                found.insert(place, b" " * draw(st.integers(0, 7)))
            case _:
                pass
    end = draw(st.sampled_from((b"\n", b"\r\n")))
    return end.join(found) + draw(st.sampled_from((b"", end, end * 2)))
