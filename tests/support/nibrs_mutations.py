"""For each rule one change to a valid report, and the rules that it must bring: as a rule, that one alone.

Where the specification has two rules for one fault, both are foreseen. RULES_WITHOUT says why a rule has no change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.support.nibrs_reports import (
    REPORTS,
    Edit,
    edit,
    insert,
    less,
    more,
    segment,
    swap,
    then,
    with_fields,
)

Row = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """`report` is the name of a valid one. `agency` and `filed` are rows of the side tables."""

    rule: int
    report: str
    change: Edit
    foreseen: frozenset[int]
    rule_set: str = "nibrs/3.1"
    also: frozenset[int] = field(default_factory=frozenset)
    agency: Row | None = None
    filed: Sequence[Row] = ()


def _m(rule: int, report: str, change: Edit, *others: int, **more: Any) -> Mutation:
    """`others` are the rules that come with it."""
    return Mutation(rule=rule, report=report, change=change, foreseen=frozenset((rule, *others)), **more)


def _set(rule: int, report: str, place: str, *others: int, **fields: Any) -> Mutation:
    """Other fields at a place."""
    return _m(rule, report, edit(place, **fields), *others)


def _old(mutation: Mutation) -> Mutation:
    """The same by what was in force in 2016."""
    return replace(mutation, rule_set="nibrs/2016")


def _now(mutation: Mutation) -> Mutation:
    """The same by what is in force since 2019."""
    return replace(mutation, rule_set="nibrs/2019")


def _everywhere(hundreds: Sequence[int], report: str, last: int, **fields: str) -> list[Mutation]:
    """A fault of what all segments of a report have in common: each level has its own rule for it."""
    rules = [hundred + last for hundred in hundreds]
    return [_m(rule, report, edit("*", **fields), *rules) for rule in rules]


_OF_SOCIETY: Final = (
    segment("offenses", offense="370", completed="C", substance=["N"], location="20", bias=["88"], activity=["P"]),
    segment("victims", sequence="009", connected=["370"], type="S"),
)
"""An offense that takes no property, and its victim."""


def _and_of_society(offense: str) -> Edit:
    """One more offense against society in a report of one."""
    return then(insert(_OF_SOCIETY[0], 2), edit("victims", connected=[offense, "370"]))


def _both(number: str, second: str) -> Edit:
    """A second report of this number behind the first."""
    return lambda report: [*report, *with_fields(REPORTS[second], "*", number=number)]


_A: Final = (100, 200, 300, 400, 500, 600)
_LEVELS: Final = (
    (100, "admin"),
    (200, "offenses"),
    (300, "properties"),
    (400, "victims"),
    (500, "offenders"),
    (600, "arrestees"),
)


def _behind(name: str, **fields: str) -> Edit:
    """The same report of another number behind, with other fields in all of its segments."""
    number = "0" * 12 if name == "zero" else "20-12346"
    return lambda report: [*report, *with_fields(REPORTS[name], "*", number=number, **fields)]


_DELETES: Final = ("deleted", "deleted arrest")
_NO_MONTHS: Final = ({"month": "13"}, {"year": "1990"})
_ODD_ZEROS: Final = ((15, "000 00000000"), (16, " 00000000000"), (17, "00000/000000"))
_SOCIETY: Final = {"type": "S", "age": "", "sex": "", "race": "", "ethnicity": "", "resident": ""}
_ORI: Final = {
    "ori": "VT0010000",
    "status": "A",
    "nibrs_start": "",
    "inactive_from": "",
    "covered_from": "",
    "federal": "",
}


def _agency(rule: int, report: str, *others: int, rule_set: str = "nibrs/3.1", **facts: str) -> Mutation:
    rules = frozenset((rule, *others))
    return Mutation(
        rule=rule, report=report, change=lambda r: r, foreseen=rules, rule_set=rule_set, agency={**_ORI, **facts}
    )


def _filed(rule: int, report: str, change: Edit, *rows: Row) -> Mutation:
    base = {"kind": "A", "ori": "VT0010000", "number": "20-12345", "sequence": "", "date": ""}
    return Mutation(
        rule=rule, report=report, change=change, foreseen=frozenset((rule,)), filed=[{**base, **row} for row in rows]
    )


def _also(rule: int, report: str, change: Edit, *others: int) -> Mutation:
    """A rule that is in no set, switched on."""
    return _m(rule, report, change, *others, also=frozenset((rule,)))


MUTATIONS: Final[Sequence[Mutation]] = [
    # what all segments have
    *_everywhere(_A, "robbery", 1, ori=""),
    *_everywhere(_A, "robbery", 1, number=""),
    *_everywhere(_A, "robbery", 1, month=""),
    *_everywhere(_A, "robbery", 15, number="20 12345"),
    *_everywhere(_A, "robbery", 16, number=" 20-12345"),
    *_everywhere(_A, "robbery", 17, number="20/12345"),
    *_everywhere(_A, "robbery", 4, city="GA-7"),
    *[
        _set(hundred + 1, "robbery", table, action="Z")
        for hundred, table in _LEVELS
        if table not in ("properties", "arrestees")
    ],
    _set(301, "recovery", "properties", action="Z"),
    _set(601, "assault", "arrestees", action="Z"),
    *[_set(h + 1, "robbery", t, length="    ") for h, t in _LEVELS],
    *[
        _set(r, "robbery", t, length="0099")
        for r, t in ((178, "admin"), (284, "offenses"), (484, "victims"), (584, "offenders"))
    ],
    *[_set(r, "robbery", t, length="0099") for r, t in ((301, "properties"), (601, "arrestees"))],
    _m(178, "larceny", _both("20-12346", "cargo")),
    _m(484, "assault", _both("20-12346", "officer")),
    _m(284, "intimidation", then(_both("20-12346", "couple"), edit("offenses/2", bias=["11", "12"]))),
    *[_set(h + 17, "robbery", t, h + 4, city="G\x80A7") for h, t in _LEVELS],
    _set(717, "arrest", "group_b", 704, city="G\x80A7"),
    _set(17, "zero", "zero", city="G\x80A7"),
    *[_m(50, "robbery", swap(place, place + 1)) for place in range(5)],
    _m(51, "robbery", insert(segment("unreadable", level="9"), 2)),
    _set(952, "robbery", "*", ori="VT001-000"),
    _set(952, "officer", "victims", officer_ori="VT002"),
    *[_set(952, name, "*", ori="VT001-000") for name in ("arrest", "zero", *_DELETES)],
    *[_old(_set(52, name, "*", ori="VT001-000")) for name in ("robbery", "arrest", "zero", *_DELETES)],
    _old(_set(52, "officer", "victims", officer_ori="VT002")),
    _m(55, "intimidation", less("admin")),
    _m(56, "intimidation", lambda report: [*report, *report]),
    _filed(56, "intimidation", lambda report: report, {}),
    _m(58, "intimidation", then(_both("20-12346", "couple"), edit("offenses/2", month="03"))),
    _m(
        59,
        "intimidation",
        then(_both("20-12346", "couple"), lambda r: [*r[:4], *with_fields(r[4:], "*", ori="NH0010000")]),
    ),
    *[_m(58, name, _behind(name, month="05")) for name in ("robbery", "arrest", "zero", *_DELETES)],
    *[_m(59, name, _behind(name, ori="NH0010000")) for name in ("robbery", "arrest", "zero", *_DELETES)],
    *[_set(60, name, "*", month="06") for name in ("zero", "intimidation", "arrest", *_DELETES)],
    _m(
        65,
        "robbery",
        insert(segment("offenses", offense="13C", completed="C", substance=["N"], location="20", bias=["88"]), 2),
    ),
    _set(70, "intimidation", "victims", offender_number=["02"]),
    _set(71, "cleared", "arrestees", arrest_date="20200405"),
    _set(72, "recovery", "properties", description=["25"]),
    _set(73, "vehicle", "properties", recovered_vehicles="02"),
    _m(74, "larceny", less("properties")),
    _m(75, "intimidation", less("offenders")),
    _m(75, "weapon law", less("victims")),
    _m(75, "intimidation", less("offenses"), 466),
    _m(76, "intimidation", insert(segment("properties", loss="1"), 2)),
    _m(77, "larceny", edit("offenses", completed="A"), 81),
    _m(78, "larceny", edit("properties", loss="4"), 81),
    _m(80, "weapon law", more("victims", sequence="002")),
    _m(81, "recovery", edit("properties", loss="4", recovered=[""])),
    _m(
        81,
        "robbery",
        then(
            insert(segment("properties", loss="1"), 2),
            insert(with_fields([*_OF_SOCIETY], "offenses", completed="A")[0], 2),
            insert(_OF_SOCIETY[1], 6),
        ),
    ),
    _set(84, "recovery", "properties", value=["000000101"]),
    _m(
        84,
        "vehicle",
        edit(
            "properties", description=["03", "38"], value=["000004000", "000005001"], recovered=["20200402", "20200402"]
        ),
    ),
    _m(85, "intimidation", then(more("offenders", sequence="03"), more("offenders", sequence="02"))),
    _m(
        85,
        "intimidation",
        then(
            more("offenders", sequence="03"),
            more("offenders", sequence="02"),
            edit("victims", offender_number=["01", ""], relationship=["AQ", "AQ"]),
        ),
    ),
    _old(_m(85, "intimidation", more("offenders", sequence="02"))),
    _m(88, "intimidation", _both("20-12345", "arrest")),
    # level 0
    *[
        _set(1, "zero", "zero", **fields)
        for fields in (
            {"ori": ""},
            {"number": ""},
            {"year": ""},
            {"zero_month": ""},
            {"month": "13"},
            {"year": "1990"},
            {"action": "I"},
            {"length": "0044"},
        )
    ],
    *[_old(_set(rule, "zero", "zero", number=number)) for rule, number in _ODD_ZEROS],
    *[_set(92, "zero", "zero", number=number) for _, number in _ODD_ZEROS],
    _set(90, "zero", "zero", zero_month="13"),
    _set(91, "zero", "zero", zero_year="20A0"),
    _set(92, "zero", "zero", number="000000000001"),
    _old(_set(92, "zero", "zero", number="000000000001")),
    *[_set(93, "zero", "zero", zero_year=year) for year in ("2018", "1990", "0000")],
    _set(94, "zero", "zero", zero_month="05"),
    _set(94, "zero", "zero", zero_year="2100"),
    _agency(93, "zero", nibrs_start="20200401"),
    _agency(96, "zero", 934, covered_from="20200301"),
    _filed(28, "zero", lambda report: report, {"date": "20200315"}),
    _filed(29, "zero", lambda report: report, {"kind": "B", "sequence": "01", "date": "20200315"}),
    # the ORI table
    *[
        _agency(rule, name, **facts)
        for name in ("robbery", "arrest", "zero", *_DELETES)
        for rule, facts in (
            (930, {"status": "H"}),
            (932, {"status": "D"}),
            (933, {"ori": "VT0090000"}),
            (934, {"status": "X"}),
            *(((934, {"covered_from": "20200505"}),) if name != "zero" else ()),  # 096 as well
        )
    ],
    _agency(173, "cleared", nibrs_start="20200406"),
    _agency(118, "intimidation", inactive_from="20200401"),
    _agency(173, "intimidation", nibrs_start="20200402"),
    replace(
        _agency(173, "intimidation", 153, nibrs_start="20200402"),
        change=edit("admin", cleared="N", cleared_date="20200402"),
    ),
    _agency(618, "assault", 118, inactive_from="20200401"),
    _agency(718, "arrest", inactive_from="20200410"),
    *[_agency(52, name, rule_set="nibrs/2016", ori="VT0090000") for name in ("robbery", "arrest", "zero", *_DELETES)],
    _agency(52, "officer", rule_set="nibrs/2016"),  # whose own agency is not listed
    _agency(952, "officer"),
    # level 1
    _set(101, "burglary", "admin", date=""),
    _set(101, "burglary", "admin", cleared=""),
    _set(104, "cargo", "admin", cargo="X"),
    _set(104, "burglary", "admin", cleared="X"),
    _set(105, "burglary", "admin", date="20200431"),
    _set(105, "intimidation", "admin", 170, date="20200506"),
    _set(105, "intimidation", "admin", cleared="A", cleared_date="20200431"),
    _set(106, "officer", "admin", 490, hour=""),
    _set(119, "intimidation", "admin", cargo="N"),
    _set(119, "intimidation", "admin", 104, cargo="X"),
    _set(122, "cargo", "admin", cargo="", length="0088", size="88"),
    _old(_set(119, "cargo", "admin", cargo="", length="0088", size="88")),
    _old(_set(122, "intimidation", "admin", cargo="Y")),
    _set(151, "burglary", "admin", report_date="X"),
    _set(152, "burglary", "admin", hour="24"),
    _set(153, "burglary", "admin", cleared_date="20200405"),
    _set(155, "intimidation", "admin", cleared="A", cleared_date="20200331"),
    _set(156, "intimidation", "admin", cleared="A"),
    _also(157, "intimidation", edit("admin", action="M", cleared=""), 101),
    _set(170, "intimidation", "admin", date="20200501"),
    _also(171, "intimidation", edit("admin", date="20181231")),
    _set(172, "intimidation", "admin", date="19901231"),
    *[_set(175, name, "*", **fields) for name in ("intimidation", "deleted") for fields in _NO_MONTHS],
    *[
        _set(rule, name, "*", **fields)
        for rule, name in ((101, "deleted"), (701, "deleted arrest"))
        for fields in ({"ori": ""}, {"number": ""}, {"month": ""}, {"length": "0089"})
    ],
    *[
        _set(rule + hundred, name, "*", **fields)
        for hundred, name in ((100, "deleted"), (700, "deleted arrest"))
        for rule, fields in (
            (4, {"city": "GA-7"}),
            (15, {"number": "20 12345"}),
            (16, {"number": " 20-12345"}),
            (17, {"number": "20/12345"}),
        )
    ],
    *[_set(105, "deleted", "deleted_incidents", date=date) for date in ("20200431", "20200506")],
    _set(197, "deleted", "deleted_incidents", date=""),
    _filed(198, "deleted", edit("deleted_incidents", date=""), {"date": "20181231"}),
    _filed(199, "deleted", edit("deleted_incidents", date=""), {"date": "20200401"}, {"date": "20200402"}),
    # level 2
    _set(201, "larceny", "offenses", 466, offense=""),
    _set(201, "weapon law", "offenses", completed=""),
    _m(201, "weapon law", edit("offenses", substance=[""])),
    _set(201, "weapon law", "offenses", location=""),
    _m(201, "weapon law", edit("offenses", bias=[""])),
    _set(202, "burglary", "offenses", location="14", premises="A1"),
    *[
        _m(204, "weapon law", edit("offenses", **fields))
        for fields in (
            {"substance": ["X"]},
            {"bias": ["87"]},
            {"location": "43"},
            {"activity": ["X"]},
            {"weapon": ["36"]},
        )
    ],
    _set(204, "larceny", "offenses", 466, offense="99Z"),
    _set(204, "burglary", "offenses", entry="X"),
    _m(205, "larceny", edit("offenses", location="58")),
    *[
        _m(206, "weapon law", edit("offenses", **fields))
        for fields in (
            {"substance": ["A", "A"]},
            {"bias": ["11", "11"]},
            {"activity": ["P", "P"]},
            {"weapon": ["12", "12"]},
        )
    ],
    *[
        _m(207, "simple assault", edit("offenses", **fields))
        for fields in (
            {"substance": ["A", "N"]},
            {"bias": ["88", "11"]},
            {"activity": ["J", "N"]},
            {"weapon": ["40", "99"]},
        )
    ],
    *[
        _m(206, "simple assault", edit("offenses", **fields), *others)
        for fields, others in (
            ({"substance": ["N", "N"]}, ()),
            ({"bias": ["88", "88"]}, ()),
            ({"weapon": ["99", "99"]}, ()),
            ({"substance": ["N", "N", "A"]}, (207,)),
        )
    ],
    *[
        _m(207, "simple assault", edit("offenses", **fields), 206)
        for fields in (
            {"bias": ["88", "88", "11"]},
            {"bias": ["99", "99", "11"]},
            {"activity": ["N", "N", "G"]},
            {"weapon": ["99", "99", "40"]},
        )
    ],
    _m(207, "simple assault", edit("offenses", substance=["N", "X"]), 204),
    _m(219, "weapon law", edit("offenses", activity=["G"])),
    _m(220, "weapon law", edit("offenses", activity=[""])),
    _m(221, "weapon law", edit("offenses", weapon=[""])),
    _m(221, "weapon law", edit("offenses", weapon=[""], automatic=["A"]), 258),
    _m(222, "intimidation", edit("offenses", weapon=["12"])),
    _set(251, "intimidation", "offenses", completed="X"),
    _set(252, "burglary", "offenses", premises="01"),
    _set(252, "larceny", "offenses", location="14", premises="02"),
    _set(253, "burglary", "offenses", entry=""),
    _set(254, "larceny", "offenses", entry="F"),
    _m(255, "weapon law", edit("offenses", automatic=["X"])),
    _set(256, "intimidation", "offenses", completed="A"),
    _set(257, "burglary", "offenses", location="14"),
    _m(258, "simple assault", edit("offenses", automatic=["A"])),
    _m(258, "simple assault", edit("offenses", weapon=["99", ""], automatic=["", "A"])),
    _m(258, "intimidation", edit("offenses", automatic=["A"])),
    _m(262, "intimidation", more("offenses")),
    _m(
        263,
        "weapon law",
        then(
            *[
                insert(segment("offenses", offense=code, completed="C", substance=["N"], location="20", bias=["88"]), 2)
                for code in ("40A", "40B", "40C")
            ],
            *[
                insert(
                    segment(
                        "offenses",
                        offense="370",
                        completed="C",
                        substance=["N"],
                        location="20",
                        bias=["88"],
                        activity=["P"],
                    ),
                    2,
                )
            ],
            *[insert(segment("offenses", offense="40A", completed="C", substance=["N"], location="20", bias=["88"]), 2)]
            * 6,
            edit("victims", connected=["520", "40A", "40B", "40C", "370"]),
        ),
        262,
    ),
    _set(264, "intimidation", "offenses", 466, offense="90C"),
    _m(265, "simple assault", edit("offenses", weapon=["20"])),
    _m(
        266,
        "justified",
        then(
            insert(
                segment(
                    "offenses",
                    offense="520",
                    completed="C",
                    substance=["N"],
                    location="20",
                    bias=["88"],
                    activity=["P"],
                    weapon=["12"],
                ),
                2,
            ),
            lambda r: [*r[:4], segment("victims", sequence="002", connected=["520"], type="S"), *r[4:]],
        ),
    ),
    _m(267, "murder", edit("offenses", weapon=["99"])),
    _m(268, "larceny", edit("properties", description=["03"]), 390),
    _m(
        268,
        "larceny",
        then(edit("properties", description=["03"]), insert(_OF_SOCIETY[0], 2), insert(_OF_SOCIETY[1], 5)),
        390,
    ),
    _m(269, "simple assault", edit("offenses", weapon=["12"]), 265),
    _m(270, "justified", edit("offenses", bias=["11"])),
    # level 3
    _m(301, "drugs", edit("properties", drug=[""], quantity=[""], measure=[""])),
    _m(301, "drugs", edit("properties", drug=[""]), 366, 368),
    _m(301, "burglary", more("properties", loss="")),
    _m(302, "larceny", edit("properties", value=["0000001 0"])),
    _set(302, "vehicle", "properties/2", stolen_vehicles="A1"),
    _set(302, "vehicle", "properties", recovered_vehicles="A1"),
    _m(302, "drugs", edit("properties", quantity=["00000000A000"])),
    _m(304, "burglary", more("properties", loss="9")),
    _m(304, "larceny", edit("properties", description=["40"])),
    _m(304, "drugs", edit("properties", drug=["Z"])),
    _m(304, "drugs", edit("properties", measure=["ZZ"])),
    _m(305, "recovery", edit("properties", recovered=["20200331"])),
    _m(305, "recovery", edit("properties", recovered=["20200431"])),
    _m(306, "larceny", edit("properties", description=["20", "20"], value=["000000100", "000000100"])),
    _m(
        306,
        "drugs",
        edit("properties", drug=["E", "E"], quantity=["000000001000", "000000001000"], measure=["GM", "KG"]),
    ),
    _m(306, "drugs", edit("properties", drug=["U", "U"], quantity=["000000001000"] * 2, measure=["GM", "LT"])),
    _also(320, "recovery", edit("properties", recovered=["20200331"]), 305),
    _m(342, "larceny", edit("properties", value=["001000000"])),
    _m(
        343,
        "vehicle",
        then(
            edit("properties/2", description=["20"], stolen_vehicles="00"),
            edit("properties", recovered_vehicles="00"),
            insert(
                segment(
                    "offenses",
                    offense="280",
                    completed="C",
                    substance=["N"],
                    location="20",
                    bias=["88"],
                    activity=["P"],
                ),
                2,
            ),
            edit("victims", connected=["240", "280"]),
        ),
    ),
    _m(351, "larceny", edit("properties", value=["000000000"])),
    _m(351, "drugs", then(edit("properties", value=["000000000"]), _and_of_society("35A"))),
    _m(
        351,
        "drugs",
        edit("properties", description=["20"], value=["000000000"], drug=[""], quantity=[""], measure=[""]),
    ),
    *[
        _m(352, "kidnapping", edit("properties", **fields), *others)
        for fields, others in (
            ({"description": ["20"]}, ()),
            ({"stolen_vehicles": "01"}, (357,)),
            ({"recovered_vehicles": "01"}, (360,)),
            ({"drug": ["E"]}, (365,)),
            ({"recovered": ["20200402"]}, (355, 356)),
            ({"quantity": ["000000001000"]}, (366,)),
            ({"measure": ["GM"]}, (368,)),
        )
    ],
    _m(352, "kidnapping", edit("properties", value=["000000100"]), 354),
    _m(353, "larceny", edit("properties", description=["88"])),
    _m(354, "larceny", edit("properties", description=["20", ""], value=["000000100", "000000100"])),
    _m(355, "larceny", edit("properties", recovered=["20200402"])),
    _m(356, "stolen goods", edit("properties", description=["20", ""], recovered=["20200402", "20200402"])),
    _set(357, "larceny", "properties", stolen_vehicles="00"),
    _m(357, "vehicle", edit("offenses", completed="A"), 77, 81, 360),
    _set(358, "vehicle", "properties/2", stolen_vehicles=""),
    _m(
        359,
        "vehicle",
        then(
            less("properties"),
            insert(segment("properties", loss="7", description=["20"], value=["000000100"], stolen_vehicles="01"), 2),
        ),
    ),
    _old(
        _m(
            359,
            "vehicle",
            then(
                less("properties"),
                insert(
                    segment("properties", loss="7", description=["20"], value=["000000100"], stolen_vehicles="01"), 2
                ),
            ),
        )
    ),
    _set(360, "larceny", "properties", recovered_vehicles="00"),
    _set(361, "vehicle", "properties", recovered_vehicles=""),
    _m(362, "drugs", edit("properties", drug=["E", "X"])),
    _m(363, "drugs", edit("properties", drug=["E", "L", "X"], quantity=["000000001000"] * 3, measure=["GM", "GM", ""])),
    _m(
        363,
        "drugs",
        edit("properties", drug=["E", "L", "X"], quantity=["000000001000"] * 2, measure=["GM", "GM", "GM"]),
    ),
    _m(364, "drugs", edit("properties", quantity=[""], measure=[""])),
    _m(365, "paraphernalia", edit("properties", drug=["E"])),
    _m(366, "drugs", edit("properties", measure=[""]), 364),
    _m(367, "drugs", edit("properties", drug=["H"], measure=["NP"])),
    _m(368, "drugs", edit("properties", quantity=[""]), 364),
    _m(372, "larceny", edit("properties", description=[""], value=[""])),
    _m(372, "larceny", edit("properties", value=[""])),
    _m(372, "stolen goods", edit("properties", recovered=[""])),
    _m(375, "larceny", edit("properties", description=[""]), 354),
    _m(376, "larceny", more("properties")),
    _m(382, "larceny", edit("properties", description=["10"], value=[""])),
    _m(383, "drugs", edit("properties", value=["000000100"])),
    _old(_m(383, "drugs", edit("properties", value=["000000100"]))),
    _old(_m(383, "drugs", then(edit("properties", value=["000000100"]), _and_of_society("35A")))),
    _m(384, "drugs", edit("properties", measure=["XX"], quantity=["000000002000"])),
    _m(
        387,
        "drugs",
        edit("properties", description=["11"], value=["000000010"], drug=[""], quantity=[""], measure=[""]),
    ),
    _m(387, "paraphernalia", edit("properties", description=["10"])),
    _m(387, "paraphernalia", then(edit("properties", description=["10"]), _and_of_society("35B"))),
    _m(
        387,
        "drugs",
        then(
            edit("properties", description=["11"], value=["000000010"], drug=[""], quantity=[""], measure=[""]),
            _and_of_society("35A"),
        ),
    ),
    _m(388, "vehicle", edit("properties/2", description=["03", "05"], value=["000005000", "000005000"])),
    _m(
        389,
        "vehicle",
        then(
            edit("properties", description=["03", "05"], value=["000004000"] * 2, recovered=["20200402"] * 2),
            edit("properties/2", description=["03", "05"], value=["000005000"] * 2, stolen_vehicles="02"),
        ),
    ),
    _m(390, "burglary", edit("properties", description=["29"])),
    _m(391, "larceny", edit("properties", description=["09"])),
    _m(392, "nothing seized", edit("properties", drug=[""])),
    _m(392, "nothing seized", edit("properties", drug=[""], measure=["GM"]), 352, 368),
    # level 4
    _set(401, "larceny", "victims", sequence=""),
    _m(401, "weapon law", edit("victims", connected=[""]), 65),
    _set(401, "larceny", "victims", type=""),
    _m(401, "murder", edit("victims", circumstance=[""])),
    _m(401, "simple assault", edit("victims", injury=[""])),
    _m(401, "intimidation", edit("victims", offender_number=[""], relationship=[""])),
    _m(401, "intimidation", edit("victims", offender_number=[""])),
    _set(402, "larceny", "victims", sequence="A01"),
    _m(402, "intimidation", edit("victims", offender_number=["A1"])),
    *[_m(402, "murder", edit("victims", circumstance=[number])) for number in ("1", " 1", "X1")],
    _set(404, "larceny", "victims", sequence="000"),
    _m(404, "larceny", edit("victims", connected=["23H", "99Z"])),
    *[
        _set(404, "larceny", "victims", **fields)
        for fields in (
            {"type": "X"},
            {"age": "8"},
            {"sex": "X"},
            {"race": "X"},
            {"ethnicity": "X"},
            {"resident": "X"},
        )
    ],
    _m(404, "officer", edit("victims", officer_activity="12")),
    _m(404, "officer", edit("victims", officer_assignment="A")),
    _m(404, "murder", edit("victims", circumstance=["11"])),
    _m(404, "justified", edit("victims", justifiable="H")),
    _m(404, "simple assault", edit("victims", injury=["X"])),
    _m(404, "intimidation", edit("victims", relationship=["XX"])),
    _m(406, "larceny", edit("victims", connected=["23H", "23H"])),
    *[_m(406, "murder", edit("victims", circumstance=[code] * 2)) for code in ("01", "10")],
    _m(406, "assault", edit("victims", injury=["M", "M"])),
    _m(406, "intimidation", edit("victims", offender_number=["01", "01"], relationship=["AQ", "AQ"])),
    _m(406, "assault", edit("victims", injury=["N", "N"])),
    _m(407, "assault", edit("victims", injury=["M", "N"])),
    _m(407, "assault", edit("victims", injury=["N", "N", "M"]), 406),
    _set(408, "larceny", "victims", age=" 30"),
    _set(409, "larceny", "victims", age="303"),
    _set(410, "larceny", "victims", age="3025"),
    _m(419, "intimidation", edit("victims", circumstance=["01"])),
    _m(419, "intimidation", edit("victims", injury=["M"])),
    _set(422, "larceny", "victims", age="0025"),
    _set(449, "couple", "victims", age="17"),
    _set(450, "couple", "victims", 449, age="12"),
    _old(_set(450, "couple", "victims", age="09")),
    _m(451, "larceny", more("victims")),
    _set(452, "officer", "victims", age="16"),
    *[_set(453, "larceny", "victims", **fields) for fields in ({"age": ""}, {"sex": ""}, {"race": ""})],
    *[
        _set(454, "officer", "victims", **fields)
        for fields in ({"age": ""}, {"sex": ""}, {"race": ""}, {"officer_activity": ""}, {"officer_assignment": ""})
    ],
    _set(455, "justified", "victims", justifiable=""),
    _m(456, "murder", edit("victims", circumstance=["01", "10"])),
    _m(456, "murder", edit("victims", circumstance=["10", "11"]), 404),
    _set(457, "murder", "victims", justifiable="C"),
    *[
        _m(458, "weapon law", edit("victims", **fields))
        for fields in ({"age": "30"}, {"sex": "F"}, {"race": "W"}, {"ethnicity": "N"}, {"resident": "R"})
    ],
    _m(458, "weapon law", edit("victims", injury=["N"]), 419),
    _m(458, "weapon law", edit("victims", offender_number=["01"], relationship=["AQ"]), 459),
    _m(
        459,
        "larceny",
        then(
            edit("victims", offender_number=["01"], relationship=["AQ"]),
            edit("offenders", sequence="01", age="25", sex="M", race="W"),
        ),
    ),
    _m(460, "intimidation", edit("victims", relationship=[""])),
    _old(_set(461, "burglary", "victims", 467, **_SOCIETY)),
    _m(462, "assault", edit("victims", circumstance=["07"])),
    _m(463, "justified", edit("victims", circumstance=["09"], justifiable="")),
    _m(
        464,
        "intimidation",
        edit(
            "victims",
            type="G",
            age="",
            sex="",
            race="",
            ethnicity="",
            resident="",
            offender_number=[""],
            relationship=[""],
        ),
    ),
    _m(465, "weapon law", edit("victims", type="G"), 80),
    _m(466, "intimidation", edit("victims", connected=["13C", "23H"])),
    _set(467, "larceny", "victims", **_SOCIETY),
    _m(
        468,
        "intimidation",
        then(edit("victims", offender_number=["00"]), edit("offenders", sequence="00", age="", sex="", race="")),
    ),
    _set(469, "statutory", "victims", sex="U"),
    _now(_m(458, "weapon law", edit("victims", offender_number=["01"], relationship=["AQ"]), 459)),
    _now(_m(459, "weapon law", edit("victims", offender_number=["01"], relationship=["AQ"]), 458)),
    _now(_m(404, "intimidation", edit("victims", relationship=["HR"]))),
    _m(404, "intimidation", edit("victims", relationship=["XR"])),
    _m(470, "intimidation", edit("victims", relationship=["VO"])),
    _m(470, "intimidation", then(edit("victims", relationship=["VO"]), more("offenders", sequence="02"))),
    _m(
        470,
        "intimidation",
        then(more("victims", sequence="002"), edit("victims", relationship=["VO"])),
    ),
    _m(471, "brawl", edit("victims", offender_number=["01", "02"], relationship=["VO", "VO"]), 474),
    _m(472, "intimidation", edit("offenders", age="00", sex="U", race="U")),
    _m(474, "brawl", edit("victims/2", offender_number=["01"])),
    _m(
        475,
        "couple",
        then(
            edit("victims", offender_number=["01", "02"], relationship=["SE", "SE"]), more("offenders", sequence="02")
        ),
    ),
    _m(476, "couple", more("victims", sequence="002")),
    _m(477, "negligence", edit("victims", circumstance=["01"])),
    _m(
        478,
        "assault",
        then(
            insert(segment("offenses", offense="13C", completed="C", substance=["N"], location="20", bias=["88"]), 2),
            edit("victims", connected=["13A", "13C"]),
        ),
    ),
    _m(479, "simple assault", edit("victims", injury=["O"])),
    _old(_m(479, "simple assault", edit("victims", injury=["O"]))),
    _m(
        479,
        "simple assault",
        then(
            insert(REPORTS["larceny"][2], 2),
            insert(REPORTS["larceny"][1], 2),
            edit("victims", connected=["13B", "23H"], injury=["O"]),
        ),
    ),
    _m(480, "murder", edit("victims", circumstance=["08"])),
    _set(481, "statutory", "victims", age="18"),
    _m(482, "larceny", edit("victims", type="L", officer_activity="01", officer_assignment="F")),
    *[
        _set(483, "larceny", "victims", **fields)
        for fields in ({"officer_activity": "01"}, {"officer_assignment": "F"}, {"officer_ori": "VT0020000"})
    ],
    _old(_m(490, "officer", edit("admin", hour=""))),
    # level 5
    _set(501, "larceny", "offenders", sequence=""),
    *[_set(501, "intimidation", "offenders", **fields) for fields in ({"age": ""}, {"sex": ""}, {"race": ""})],
    _set(502, "larceny", "offenders", sequence="A1"),
    *[_set(504, "intimidation", "offenders", **fields) for fields in ({"sex": "X"}, {"race": "X"}, {"ethnicity": "X"})],
    _set(508, "intimidation", "offenders", age=" 25"),
    _set(509, "intimidation", "offenders", age="252"),
    _set(510, "intimidation", "offenders", age="2520"),
    _set(522, "intimidation", "offenders", age="0025"),
    _set(549, "couple", "offenders", age="17"),
    _set(550, "couple", "offenders", 549, age="12"),
    _old(_set(550, "couple", "offenders", age="09")),
    _m(551, "intimidation", more("offenders")),
    *[
        _set(552, "larceny", "offenders", **fields)
        for fields in ({"age": "25"}, {"sex": "M"}, {"race": "W"}, {"ethnicity": "N"})
    ],
    _old(_set(553, "couple", "offenders", sex="F")),
    _old(_m(553, "couple", edit("victims", relationship=["HR"]))),
    _set(554, "family", "offenders", age="04"),
    _m(555, "larceny", more("offenders", sequence="01", age="25", sex="M", race="W")),
    _set(556, "intimidation", "offenders", age="7"),
    _m(557, "larceny", edit("admin", cleared="A", cleared_date="20200405"), 558),
    _m(558, "intimidation", then(edit("admin", cleared="A", cleared_date="20200405"), edit("offenders", age="00"))),
    _set(559, "justified", "offenders", age="00"),
    _set(560, "rape", "offenders", sex="F"),
    _m(560, "rape", then(more("offenders", sequence="02"), edit("offenders", sex="F"))),
    _old(_set(560, "rape", "offenders", sex="F")),
    _old(_m(560, "rape", then(edit("offenders", sex="F"), edit("victims", offender_number=["02"])), 70)),
    _m(
        560,
        "rape",
        then(edit("offenders", sex="F"), edit("victims", offender_number=["01", "00"], relationship=["AQ", ""])),
        70,
    ),
    _m(584, "intimidation", then(_both("20-12346", "couple"), edit("offenders/2", ethnicity="N"))),
    # level 6
    *[
        _set(601, "assault", "arrestees", **fields)
        for fields in (
            {"sequence": ""},
            {"transaction": ""},
            {"arrest_date": ""},
            {"arrest_type": ""},
            {"multiple": ""},
            {"arrest_offense": ""},
            {"age": ""},
            {"sex": ""},
            {"race": ""},
        )
    ],
    _m(601, "assault", edit("arrestees", armed_with=[""])),
    _set(602, "assault", "arrestees", sequence="00"),
    *[
        _set(604, "assault", "arrestees", **fields)
        for fields in (
            {"arrest_type": "X"},
            {"multiple": "X"},
            {"arrest_offense": "99Z"},
            {"race": "X"},
            {"ethnicity": "X"},
            {"resident": "X"},
        )
    ],
    _m(604, "assault", edit("arrestees", armed_with=["10"])),
    _set(604, "assault", "arrestees", age="15", disposition="X"),
    _old(_set(604, "assault", "arrestees", 623, clearance="X")),
    _old(_m(604, "assault", edit("arrestees", clearance_offense=["99Z"]), 623)),
    _set(605, "assault", "arrestees", arrest_date="20200431"),
    _m(605, "assault", then(edit("*", month="05"), edit("arrestees", arrest_date="20200506"))),
    *[_m(606, "assault", edit("arrestees", armed_with=[code] * 2)) for code in ("12", "01")],
    _m(607, "assault", edit("arrestees", armed_with=["12", "01"])),
    _set(608, "assault", "arrestees", age=" 25"),
    _set(609, "assault", "arrestees", age="252"),
    _set(610, "assault", "arrestees", age="2520"),
    _set(615, "assault", "arrestees", transaction="20 12345"),
    _set(616, "assault", "arrestees", transaction=" 20-12345"),
    _set(617, "assault", "arrestees", transaction="20/12345"),
    _set(622, "assault", "arrestees", age="0025"),
    _old(_set(623, "assault", "arrestees", clearance="Y")),
    _set(640, "assault", "arrestees", age="1618"),
    _set(641, "assault", "arrestees", age="99"),
    _set(652, "assault", "arrestees", age="15"),
    _set(653, "assault", "arrestees", disposition="H"),
    _m(654, "assault", edit("arrestees", armed_with=["12"], automatic=["X"])),
    _m(655, "assault", edit("arrestees", automatic=["A"])),
    _m(655, "assault", edit("arrestees", armed_with=["01", ""], automatic=["", "A"])),
    _m(656, "assault", more("arrestees", sequence="02")),
    _m(661, "assault", then(more("arrestees"), more("offenders", sequence="02"))),
    _set(664, "assault", "arrestees", age="7"),
    _set(665, "assault", "arrestees", arrest_date="20200331"),
    _set(667, "assault", "arrestees", sex="U"),
    _also(
        668,
        "assault",
        then(edit("arrestees", clearance="Y"), more("arrestees", sequence="02"), more("offenders", sequence="02")),
    ),
    _m(
        669,
        "justified",
        lambda report: [
            *report,
            segment(
                "arrestees",
                sequence="01",
                transaction="1",
                arrest_date="20200410",
                arrest_type="T",
                multiple="N",
                arrest_offense="13A",
                armed_with=["01"],
                age="25",
                sex="M",
                race="W",
            ),
        ],
    ),
    _set(670, "assault", "arrestees", arrest_offense="09C"),
    _also(671, "assault", edit("arrestees", clearance="Y")),
    # level 7
    *[
        _set(701, "arrest", "group_b", **fields)
        for fields in (
            {"ori": ""},
            {"number": ""},
            {"month": ""},
            {"action": "I"},
            {"length": "0067"},
            {"sequence": ""},
            {"arrest_date": ""},
            {"arrest_type": ""},
            {"arrest_offense": ""},
            {"age": ""},
            {"sex": ""},
            {"race": ""},
        )
    ],
    _m(701, "arrest", edit("group_b", armed_with=[""])),
    _set(702, "arrest", "group_b", sequence="00"),
    *[
        _set(704, "arrest", "group_b", **fields)
        for fields in (
            {"arrest_type": "X"},
            {"arrest_offense": "99Z"},
            {"race": "X"},
            {"ethnicity": "X"},
            {"resident": "X"},
            {"city": "GA-7"},
            {"month": "13"},
        )
    ],
    _m(704, "arrest", edit("group_b", armed_with=["10"])),
    _set(704, "arrest", "group_b", age="15", disposition="X"),
    _set(705, "arrest", "group_b", arrest_date="20200431"),
    *[_set(705, name, "*", month="05", arrest_date="20200506") for name in ("arrest", "deleted arrest")],
    *[_set(704, "deleted arrest", "*", **fields) for fields in _NO_MONTHS],
    *[_m(706, "arrest", edit("group_b", armed_with=[code] * 2)) for code in ("12", "01")],
    _m(707, "arrest", edit("group_b", armed_with=["12", "01"])),
    _set(708, "arrest", "group_b", age=" 25"),
    _set(709, "arrest", "group_b", age="252"),
    _set(710, "arrest", "group_b", age="2520"),
    _set(715, "arrest", "group_b", number="20 12345"),
    _set(716, "arrest", "group_b", number=" 20-12345"),
    _set(717, "arrest", "group_b", number="20/12345"),
    _set(720, "arrest", "group_b", arrest_date="20181231"),
    _agency(720, "arrest", nibrs_start="20200411"),
    _set(722, "arrest", "group_b", age="0025"),
    _set(740, "arrest", "group_b", age="1618"),
    _set(741, "arrest", "group_b", age="99"),
    _m(751, "arrest", lambda report: [*report, *report]),
    _set(752, "arrest", "group_b", age="15"),
    _set(753, "arrest", "group_b", disposition="H"),
    _m(754, "arrest", edit("group_b", armed_with=["12"], automatic=["X"])),
    _m(755, "arrest", edit("group_b", automatic=["A"])),
    _m(755, "arrest", edit("group_b", armed_with=["01", ""], automatic=["", "A"])),
    _set(757, "arrest", "group_b", age="7"),
    _set(758, "arrest", "group_b", sex="U"),
    _filed(759, "arrest", lambda report: report, {"kind": "B", "sequence": "01"}),
    _set(760, "arrest", "group_b", arrest_offense="13A"),
    *[_old(_set(761, "arrest", "group_b", arrest_offense="90I", age=age)) for age in ("25", "00")],
    _old(_set(761, "arrest", "group_b", 757, arrest_offense="90I", age="BB")),
    _set(702, "deleted arrest", "deleted_arrests", sequence="00"),
    *[
        _set(705, "deleted arrest", "deleted_arrests", arrest_date=date)
        for date in ("20200431", "20200501", "20200506")
    ],
    _set(797, "deleted arrest", "deleted_arrests", arrest_date=""),
    _filed(
        798,
        "deleted arrest",
        edit("deleted_arrests", arrest_date=""),
        {"kind": "B", "sequence": "01", "date": "20181231"},
    ),
    _filed(
        799,
        "deleted arrest",
        edit("deleted_arrests", arrest_date=""),
        {"kind": "B", "sequence": "01"},
        {"kind": "B", "sequence": "02"},
    ),
]

RULES_WITHOUT: Final[Mapping[int, str]] = {
    931: "not implemented: the specification leaves nothing for it, see rules.csv",
}


def main() -> None:
    """Print the table: rule, rule set, changed report, rules foreseen."""
    for one in MUTATIONS:
        others = " ".join(f"{rule:03d}" for rule in sorted(one.foreseen - {one.rule}))
        print(f"{one.rule:03d}  {one.rule_set:<10}  {one.report:<15}  {others}")
    for rule, why in RULES_WITHOUT.items():
        print(f"{rule:03d}  {why}")


if __name__ == "__main__":
    main()
