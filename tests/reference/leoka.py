"""Law Enforcement Officers Killed or Assaulted once more, officer by officer, in plain Python: written from the FBI's
text of conversion (version 3.0, pages 59 to 90). Tests hold the engine against it.

`convert` returns (column, ORI, month, line) -> number, of what counts something; columns are A to M.
"""

from collections import Counter
from collections.abc import Sequence

from tests.reference.return_a import incidents, month_of

ORDER = ["11", "12", "13", "14", "15", "20", "30", "35", "50", "60", "65", "70", "85", "90", "95", "40", "99"]
LETTER = {**dict.fromkeys(ORDER[:5], "B"), "20": "C", **dict.fromkeys(ORDER[6:15], "D"), "40": "E", "99": "E"}
ACTIVITIES = [f"{n:02d}" for n in range(1, 12)]


def weapon_of(offenses: Sequence[str], code: str) -> str | None:
    """The letter of the column: of all segments of this offense the first weapon in the FBI's order."""
    found = [s[at : at + 2] for s in offenses if s[37:40] == code for at in (52, 55, 58)]
    return next((LETTER[weapon] for weapon in ORDER if weapon in found), None)


def frame_of(hour: str) -> str:
    """The line of the time of assault."""
    if len(hour) == 2 and all(c in "0123456789" for c in hour) and int(hour) < 24:
        return "15" + "abcdefghijkl"[int(hour) // 2]
    return "15u"


def convert(lines: Sequence[str]) -> Counter[tuple[str, str, str, str]]:
    cells: Counter[tuple[str, str, str, str]] = Counter()
    for report in incidents([line.rstrip("\r\n") for line in lines]):
        segments = [s.ljust(307) for s in report]
        admin = next((s for s in segments if s[4] == "1"), " " * 307)
        month, offenses = month_of(admin[37:45]) or "", [s for s in segments if s[4] == "2"]
        dated = sorted(s[51:59] for s in segments if s[4] == "6" and month_of(s[51:59]))
        cleared = (dated[0][:6] if dated else "") if any(s[4] == "6" for s in segments) else None
        if admin[48] in "ABCDE":
            cleared = month_of(admin[49:57]) or ""
        for victim in segments:
            if victim[4] != "4" or victim[70] != "L":
                continue
            ori = victim[132:141].rstrip() or segments[0][16:25].rstrip()
            codes = {victim[at : at + 3] for at in range(40, 70, 3)}
            if "09A" in codes:
                cells["A", ori, month, "killed"] += 1
            if not codes & {"13A", "13B"}:
                continue
            weapon = weapon_of(offenses, "13A" if "13A" in codes else "13B")
            if weapon is None or victim[129:131] not in ACTIVITIES:
                cells["A", ori, month, "unclassifiable"] += 1
                continue
            line = str(int(victim[129:131]))
            for each in (line, "12"):
                cells["A", ori, month, each] += 1
                cells[weapon, ori, month, each] += 1
                if victim[131] in "FGHIJKL":
                    cells[victim[131], ori, month, each] += 1
                if cleared is not None:
                    cells["M", ori, cleared, each] += 1
            injuries = set(victim[84:89])
            if injuries & set("BILMOTU"):
                cells["A", ori, month, "13"] += 1
                cells[weapon, ori, month, "13"] += 1
            elif "N" in injuries:
                cells["A", ori, month, "14"] += 1
                cells[weapon, ori, month, "14"] += 1
            cells["A", ori, month, frame_of(admin[46:48])] += 1
    return cells
