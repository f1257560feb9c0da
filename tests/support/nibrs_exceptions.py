"""Where a rule has an exception, or asks for several things at once: a change that it must not find.

`rule` is not found; `foreseen` is what else is, as a rule nothing. nibrs_mutations has the changes that are found.
"""

from collections.abc import Sequence
from typing import Any, Final

from tests.support.nibrs_mutations import Mutation
from tests.support.nibrs_reports import (
    REPORTS,
    Edit,
    Report,
    Segment,
    edit,
    insert,
    less,
    more,
    segment,
    then,
    twice,
    with_fields,
)

__all__ = ["EXCEPTIONS", "OF_INCIDENTS"]

OF_INCIDENTS: Final = frozenset(
    (
        *(55, 65, 70, 71, 72, 73, 74, 75, 76, 77, 78, 80, 81, 84, 85, 172, 262, 263, 268, 343, 376, 451, 466, 470, 474),
        *(476, 480, 551, 555, 558, 559, 560, 656, 661, 665, 669),
    )
)
"""What is asked of incidents (action I) and not of updates to them."""


def _no(rule: int, report: str, change: Edit, *foreseen: int, **more: Any) -> Mutation:
    return Mutation(rule=rule, report=report, change=change, foreseen=frozenset(foreseen), **more)


def _offense(code: str, completed: str = "C", **fields: str | Sequence[str]) -> Segment:
    return segment("offenses", offense=code, completed=completed, substance=["N"], location="20", bias=["88"], **fields)


def _property(loss: str, description: str, value: int, **fields: str | Sequence[str]) -> Segment:
    return segment("properties", loss=loss, description=[description], value=[f"{value:09d}"], **fields)


_SOCIETY: Final = segment("victims", sequence="009", connected=["370"], type="S")
_PORNOGRAPHY: Final = _offense("370", activity=["P"])
_PLATE: Final = {"description": ["03", "38"], "recovered": ["20200402"] * 2}
_TWO_STOLEN: Final = {"description": ["03", "05"], "value": ["000005000"] * 2}
_TWO_RECOVERED: Final = {"description": ["03", "05"], "value": ["000002000"] * 2, "recovered": ["20200402"] * 2}
_ELSEWHERE: Final = {"ori": "VT0090000", "status": "A"}
_HERE: Final = {"ori": "VT0010000", "status": "A"}
_A_FILED: Final = {"kind": "A", "ori": "VT0010000", "number": "20-12345", "sequence": "", "date": "20200401"}
_B_FILED: Final = {**_A_FILED, "kind": "B", "sequence": "01"}
_OLD: Final = {"date": "20181231"}

_NO_DRUG: Final = {"drug": [""], "quantity": [""], "measure": [""]}
_THREE_DRUGS: Final = {
    "drug": ["A", "B", "X"],
    "quantity": ["000000001000", "000000001000", ""],
    "measure": ["GM", "GM", ""],
}
_SEIZED: Final = segment(
    "properties", loss="6", description=["10"], drug=["E"], quantity=["000000001000"], measure=["GM"]
)
_ATTEMPT: Final = then(
    edit("offenses", completed="A"),
    edit("properties", recovered_vehicles=""),
    edit("properties/2", stolen_vehicles=""),
)


def _broken_into(report: Report) -> Report:
    """The report of one offense with a burglary of its own victim."""
    admin, offense, goods, victim, *others = report
    stolen, robbed = REPORTS["burglary"][2:4]
    return [
        admin,
        offense,
        _offense("220", entry="F"),
        goods,
        stolen,
        victim,
        twice([robbed], "victims", sequence="002")[1],
        *others,
    ]


def _connected(code: str, *, weapon: Sequence[str] = (), **fields: str | Sequence[str]) -> Edit:
    """One more offense, to which the victim is connected too."""

    def changed(report: Report) -> Report:
        own = str(report[1][1]["offense"])
        with_offense = insert(_offense(code, weapon=weapon), 2)(report)
        return with_fields(with_offense, "victims", connected=[own, code], **fields)

    return changed


EXCEPTIONS: Final[Sequence[Mutation]] = [
    # what 2019 allows
    _no(404, "intimidation", edit("victims", relationship=["XR"]), rule_set="nibrs/2019"),
    _no(
        459,
        "larceny",
        then(
            edit("victims", offender_number=["01"], relationship=["AQ"]),
            edit("offenders", sequence="01", age="25", sex="M", race="W"),
        ),
        rule_set="nibrs/2019",
    ),
    _no(101, "robbery", edit("*", action="R"), rule_set="nibrs/2019"),
    # zero reports are added and deleted
    *[
        _no(rule, "zero", edit("zero", action="D"), filed=[{**row, "date": "20200315"}])
        for rule, row in ((28, _A_FILED), (29, _B_FILED))
    ],
    _no(93, "zero", edit("zero", action="D", zero_year="2018")),
    _no(96, "zero", edit("zero", action="D"), 934, agency={**_HERE, "covered_from": "20200301"}),
    # agencies
    *[
        _no(rule, name, edit("*", ori=""), *blank, rule_set=rule_set, agency=_ELSEWHERE)
        for rule, rule_set in ((52, "nibrs/2016"), (933, "nibrs/3.1"))
        for name, blank in (
            ("robbery", (101, 201, 301, 401, 501, 601)),
            ("arrest", (701,)),
            ("zero", (1,)),
            ("deleted", (101,)),
            ("deleted arrest", (701,)),
        )
    ],
    *[
        _no(rule, "officer", edit("victims", officer_ori=""), rule_set=rule_set, agency=_HERE)
        for rule, rule_set in ((52, "nibrs/2016"), (952, "nibrs/3.1"))
    ],
    _no(934, "robbery", lambda report: report, agency={**_HERE, "covered_from": "20200506"}),
    # structure
    _no(72, "vehicle", edit("properties", **_PLATE, value=["000002000", "000002000"])),
    _no(72, "stolen goods", edit("properties", description=["25"])),
    _no(77, "robbery", then(insert(_offense("370", "A", activity=["P"]), 2), lambda r: [*r[:5], _SOCIETY, *r[5:]])),
    _no(77, "kidnapping", less("properties"), 74),
    _no(78, "robbery", edit("properties", loss="9"), 304),
    _no(81, "robbery", then(insert(_offense("99Z"), 2), edit("properties", loss="4")), 78, 204),
    _no(84, "vehicle", insert(_property("6", "38", 9_000), 4), 81),
    _no(
        84,
        "vehicle",
        edit("properties", **{**_PLATE, "description": ["03", "20"]}, value=["000002000", "000009000"]),
        72,
    ),
    _no(
        84,
        "vehicle",
        then(
            edit("properties", **_PLATE, value=["000002000", "000009000"]),
            edit("properties/2", description=["03", "38"], value=["000005000", "000009000"]),
        ),
    ),
    *[
        _no(85, name, then(more("offenders", sequence="03"), more("offenders", sequence="02"), change), *foreseen)
        for name, change, foreseen in (
            ("robbery", edit("victims", offender_number=["01", "02"], relationship=["AQ", "AQ"]), ()),
            (
                "robbery",
                edit("victims", type="B", age="", sex="", race="", ethnicity="", resident="", injury=[""]),
                (458,),
            ),
            ("stolen goods", edit("victims", offender_number=["01"], relationship=["AQ"]), (459,)),
        )
    ],
    _no(85, "intimidation", more("offenders", sequence="02")),
    # level 1
    *[
        _no(
            rule,
            "larceny",
            then(edit("admin", hour=""), edit("victims", type="L", officer_activity="01", officer_assignment="F")),
            482,
        )
        for rule in (106, 490)
    ],
    _no(119, "cargo", less("offenses"), 75, 466),
    _no(122, "cargo", then(edit("admin", cargo="Y"), less("offenses")), 75, 466, rule_set="nibrs/2016"),
    _no(119, "cargo", edit("offenses", offense="99Z"), 204, 466),
    _no(122, "cargo", then(edit("admin", cargo="Y"), edit("offenses", offense="99Z")), 204, 466, rule_set="nibrs/2016"),
    _no(122, "cargo", edit("admin", cargo="")),
    _no(171, "intimidation", edit("admin", action="W", date="20181231"), also=frozenset((171,))),
    _no(173, "intimidation", edit("admin", action="M"), agency={**_HERE, "nibrs_start": "20200402"}),
    _no(
        173,
        "cleared",
        then(less("arrestees"), edit("admin", date="20200401", cleared_date="20200402")),
        agency={**_HERE, "nibrs_start": "20200402"},
    ),
    _no(197, "deleted", edit("deleted_incidents", date=""), 199, filed=[_A_FILED] * 2),
    _no(197, "deleted", edit("deleted_incidents", date=""), 198, filed=[{**_A_FILED, **_OLD}]),
    _no(198, "deleted", lambda report: report, filed=[{**_A_FILED, **_OLD}]),
    *[
        _no(rule, "deleted", edit("deleted_incidents", date=""), 199, filed=[_A_FILED, {**_A_FILED, **_OLD}])
        for rule in (197, 198)
    ],
    _no(199, "deleted", lambda report: report, filed=[_A_FILED, {**_A_FILED, **_OLD}]),
    # level 2
    *[
        _no(252, "burglary", edit("offenses", location=location, premises="02"), *foreseen)
        for location, foreseen in (("14", ()), ("19", ()), ("43", (204,)))
    ],
    _no(252, "burglary", edit("offenses", offense="99Z", location="14", premises="02"), 204, 466),
    _no(207, "simple assault", edit("offenses", weapon=["99", ""], automatic=["", "A"]), 258),
    _no(254, "burglary", edit("offenses", offense="99Z"), 204, 466),
    _no(
        268,
        "larceny",
        then(
            edit("properties", description=["03"]),
            insert(_offense("270"), 2),
            edit("victims", connected=["23H", "270"]),
        ),
    ),
    _no(266, "justified", more("offenses"), 262),
    # level 3
    _no(301, "drugs", edit("properties", loss="5", recovered=["20200402"], **_NO_DRUG), 72, 78, 81, 356),
    _no(306, "drugs", edit("properties", drug=["E", "E"], quantity=["000000001000"] * 2, measure=["GM", "NP"])),
    *[
        _no(
            343,
            "vehicle",
            then(change, insert(_offense("280", activity=["P"]), 2), edit("victims", connected=["240", "280"])),
        )
        for change in (
            lambda report: report,
            then(
                edit("properties", description=["20"], recovered_vehicles="00"),
                edit("properties/2", description=["20"], stolen_vehicles="00"),
            ),
        )
    ],
    _no(
        343,
        "vehicle",
        then(
            edit("properties", loss="6", recovered="", recovered_vehicles=""),
            insert(_offense("280", activity=["P"]), 2),
            edit("victims", connected=["240", "280"]),
        ),
        *(78, 81),
    ),
    *[
        _no(351, "larceny", edit("properties", description=[code], value=["000000000"]))
        for code in ("09", "22", "48", "65", "66", "77")
    ],
    _no(351, "drugs", edit("properties", value=["000000000"]), 383),
    _no(353, "larceny", edit("properties", description=["88"], value=["000000001"])),
    *[_no(356, "stolen goods", edit("properties", description=[code], value=[""])) for code in ("09", "77")],
    *[
        _no(rule, "vehicle", edit("offenses", completed=completed), found)
        for rule in (357, 360)
        for completed, found in (("", 201), ("X", 251))
    ],
    _no(360, "larceny", edit("properties", action="A", recovered_vehicles="01")),
    _no(383, "larceny", edit("properties", description=["10"])),
    _no(383, "drugs", then(edit("properties", value=["000000100"]), _broken_into), rule_set="nibrs/2016"),
    *[_no(rule, "drugs", less("offenses"), 75, 365, 466) for rule in (382, 383)],
    _no(383, "weapon law", insert(_property("6", "10", 100), 2), 76, rule_set="nibrs/2016"),
    _no(383, "drugs", then(edit("properties", value=["000000100"]), less("offenses")), 75, 365, 466),
    _no(387, "drugs", then(edit("properties", description=["11"], value=["000000010"], **_NO_DRUG), _broken_into)),
    _no(387, "paraphernalia", then(edit("properties", description=["10"]), _broken_into)),
    _no(387, "paraphernalia", edit("properties", loss="5", description=["10"], recovered=["20200402"]), 72, 78, 81),
    _no(362, "drugs", edit("properties", **_THREE_DRUGS)),
    _no(366, "drugs", edit("properties", **{**_THREE_DRUGS, "quantity": ["000000001000"] * 3}), 363),
    _no(368, "drugs", edit("properties", **{**_THREE_DRUGS, "measure": ["GM"] * 3}), 363),
    _no(364, "paraphernalia", edit("properties", description=["10"], drug=["E"]), 365, 387),
    *[_no(rule, "vehicle", _ATTEMPT, 77, 81) for rule in (358, 361)],
    _no(372, "larceny", edit("properties", description=["40"], value=[""]), 304),
    *[
        _no(372, "vehicle", then(less("properties"), insert(segment("properties", **fields), 2)), 359, 375)
        for fields in ({"loss": "7", "stolen_vehicles": "01"}, {"loss": "5", "recovered_vehicles": "01"})
    ],
    _no(390, "burglary", edit("properties", description=["40"]), 304),
    _no(390, "burglary", then(edit("properties", description=["29"]), insert(_offense("99Z"), 2)), 204),
    _no(392, "nothing seized", then(edit("properties", drug=[""]), insert(_SEIZED, 3))),
    _no(392, "nothing seized", then(edit("properties", drug=[""]), less("offenses")), 75, 466),
    _no(388, "vehicle", edit("properties/2", **_TWO_STOLEN, stolen_vehicles="00"), 73),
    _no(388, "vehicle", edit("properties/2", **_TWO_STOLEN, stolen_vehicles="02")),
    _no(
        388,
        "vehicle",
        edit("properties", **_TWO_RECOVERED, recovered_vehicles="02", stolen_vehicles="01"),
        *(72, 73, 357),
    ),
    *[
        _no(389, "vehicle", edit("properties", **_TWO_RECOVERED, recovered_vehicles=count), *foreseen)
        for count, foreseen in (("00", (72,)), ("02", (72, 73)))
    ],
    _no(389, "vehicle", edit("properties/2", **_TWO_STOLEN, stolen_vehicles="02", recovered_vehicles="01"), 360),
    # level 4
    _no(401, "robbery", edit("victims", type="L", injury=[""], officer_activity="01", officer_assignment="F"), 482),
    _no(
        472, "intimidation", then(edit("victims", relationship=["RU"]), edit("offenders", age="00", sex="U", race="U"))
    ),
    _no(477, "murder", _connected("13A", circumstance=["30"], injury=["N"], weapon=["12"]), 462, 478),
    _no(477, "murder", _connected("09C", circumstance=["30"], weapon=["12"]), 266, 463, 478),
    _no(478, "robbery", edit("victims", connected=["120", "120"]), 406),
    _no(479, "simple assault", _connected("36A", injury=["O"])),
    _no(480, "murder", then(_connected("36A"), edit("victims", circumstance=["08"]))),
    _no(480, "murder", then(edit("victims", circumstance=["08"]), more("victims", sequence="002"))),
    _no(480, "murder", then(edit("victims", circumstance=["08"]), insert(_PORNOGRAPHY, 2), insert(_SOCIETY, 4))),
    # level 5
    *[
        _no(
            553,
            "couple",
            then(edit("victims", sex=sex, relationship=[relation]), edit("offenders", sex=other)),
            rule_set="nibrs/2016",
        )
        for relation, sex, other in (("SE", "U", "U"), ("HR", "M", "M"), ("HR", "U", "M"), ("HR", "F", "U"))
    ],
    _no(558, "cleared", then(less("arrestees"), less("offenders")), 75),
    _no(559, "justified", less("offenders"), 75),
    *[
        _no(560, "rape", then(edit("victims", sex="U"), edit("offenders", sex="U")), 469, rule_set=rule_set)
        for rule_set in ("nibrs/3.1", "nibrs/2016")
    ],
    _no(
        560,
        "rape",
        then(more("offenders", sequence="02"), edit("offenders", sex="F")),
        85,
        rule_set="nibrs/2016",
    ),
    _no(560, "rape", less("offenders"), 75, rule_set="nibrs/2016"),
    _no(
        560,
        "rape",
        then(
            edit("victims", offender_number=["00"], relationship=[""]),
            edit("offenders", sequence="00", age="", sex="", race=""),
        ),
    ),
    # level 6 and 7
    *[
        _no(rule, "assault", edit("arrestees", age=age, disposition=disposition))
        for rule, age, disposition in ((640, "1618", "H"), (640, "1016", "R"), (653, "1618", "H"))
    ],
    *[
        _no(rule, "arrest", edit("group_b", age=age, disposition=disposition))
        for rule, age, disposition in ((740, "1618", "H"), (740, "1016", "R"), (753, "1618", "H"))
    ],
    _no(607, "assault", edit("arrestees", armed_with=["01", ""], automatic=["", "A"]), 655),
    _no(707, "arrest", edit("group_b", armed_with=["01", ""], automatic=["", "A"]), 755),
    _no(623, "assault", edit("arrestees", action="M", clearance="Y"), rule_set="nibrs/2016"),
    _no(652, "assault", edit("arrestees", age="1618"), 640),
    _no(656, "assault", less("offenders"), 75),
    _no(
        668,
        "assault",
        then(edit("arrestees", clearance="N"), more("arrestees", sequence="02"), more("offenders", sequence="02")),
        also=frozenset((668,)),
    ),
    _no(671, "assault", edit("arrestees", clearance="Y", clearance_offense=["13A"]), also=frozenset((671,))),
    _no(720, "arrest", edit("group_b", action="X", arrest_date="20181231"), 701),
    _no(751, "arrest", lambda report: [*report, *with_fields(report, "*", action="X")], 701),
    _no(759, "arrest", edit("group_b", action="X"), 701, filed=[_B_FILED]),
    _no(752, "arrest", edit("group_b", age="1618"), 740),
    *[_no(655, "assault", edit("arrestees", armed_with=[code], automatic=["A"])) for code in ("11", "15")],
    *[_no(755, "arrest", edit("group_b", armed_with=[code], automatic=["A"])) for code in ("11", "15")],
    _no(797, "deleted arrest", edit("deleted_arrests", arrest_date=""), 799, filed=[_B_FILED] * 2),
    _no(797, "deleted arrest", edit("deleted_arrests", arrest_date=""), 798, filed=[{**_B_FILED, **_OLD}]),
    _no(798, "deleted arrest", lambda report: report, filed=[{**_B_FILED, **_OLD}]),
    *[
        _no(
            rule, "deleted arrest", edit("deleted_arrests", arrest_date=""), 799, filed=[_B_FILED, {**_B_FILED, **_OLD}]
        )
        for rule in (797, 798)
    ],
    _no(799, "deleted arrest", lambda report: report, filed=[_B_FILED, {**_B_FILED, **_OLD}]),
    _no(761, "arrest", edit("group_b", arrest_offense="90I", age="15", disposition="H"), rule_set="nibrs/2016"),
]
