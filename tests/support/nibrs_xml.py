"""NIBRS XML made from flat segments: the same report in the other form, written the way the FBI's samples are."""

import csv
from collections.abc import Iterable, Sequence
from importlib.resources import files
from itertools import groupby

__all__ = ["HEAD", "TAIL", "document", "report", "reports"]

_NAMES = {
    "nibrs": "http://fbi.gov/cjis/nibrs/2019",
    "cjis": "http://fbi.gov/cjis/2.0",
    "j": "http://release.niem.gov/niem/domains/jxdm/5.2/",
    "nc": "http://release.niem.gov/niem/niem-core/3.0/",
    "s": "http://release.niem.gov/niem/structures/3.0/",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<nibrs:Submission'
    + "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NAMES.items())
    + ">\n<cjis:MessageMetadata><cjis:MessageDateTime>2020-05-05T03:00:00</cjis:MessageDateTime>"
    + "</cjis:MessageMetadata>\n"
)
TAIL = "</nibrs:Submission>\n"


def _texts(form: str) -> dict[str, str]:
    text = files("cji_core.format.records.nibrs.data").joinpath("xml_values.csv").read_text("utf-8")
    return {row["code"]: row["text"] for row in csv.DictReader(text.splitlines()) if row["form"] == form}


_LOSS, _BIAS, _RELATIONSHIP = _texts("loss"), _texts("bias"), _texts("relationship")
_AGES = {"NN": "NEONATAL", "NB": "NEWBORN", "BB": "BABY", "00": "UNKNOWN"}
_CATEGORIES = {"0": "ZERO REPORT", "7": "GROUP B ARREST REPORT"}


def element(name: str, *content: str, **attributes: str) -> str:
    """An element; one without content is left out."""
    marks = "".join(f' s:{key}="{value}"' for key, value in attributes.items())
    inner = "".join(content)
    return f"<{name}{marks}>{inner}</{name}>" if inner else ""


def _to(kind: str, name: str) -> str:
    return f'<{kind} s:ref="{name}"/>'


def _at(line: str, start: int, width: int) -> str:
    return line[start - 1 : start - 1 + width].rstrip()


def _day(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 else text


def _slots(line: str, start: int, step: int, count: int) -> list[str]:
    found = [line[start - 1 + step * i : start - 1 + step * (i + 1)] for i in range(count)]
    return [slot for slot in found if slot.strip()]


def _number(text: str) -> str:
    return text.lstrip("0") or "0" if text.isdigit() else text


def _age(text: str) -> str:
    text = text.rstrip()
    if len(text) == 4 and text.isdigit():
        low, high = _number(text[:2]), _number(text[2:])
        ends = element("nc:RangeMaximumIntegerValue", high) + element("nc:RangeMinimumIntegerValue", low)
        return element("nc:PersonAgeMeasure", element("nc:MeasureIntegerRange", ends))
    if text in _AGES:
        return element("nc:PersonAgeMeasure", element("nc:MeasureValueText", _AGES[text]))
    return element("nc:PersonAgeMeasure", element("nc:MeasureIntegerValue", _number(text) if text else ""))


def _person(name: str, block: str) -> str:
    """Age, sex, race, ethnicity and resident status stand together at every level."""
    block = block.ljust(8)
    made = _age(block[:4])
    for place, tag in ((5, "j:PersonEthnicityCode"), (6, "j:PersonRaceNDExCode"), (8, "j:PersonResidentCode")):
        at = {5: 6, 6: 5, 8: 7}[place]
        made += element(tag, block[at].strip())
    made += element("j:PersonSexCode", block[4].strip())
    return element("nc:Person", made or " ", id=name)


def _header(line: str) -> str:
    ori = element("nc:IdentificationID", _at(line, 17, 9))
    city = element("nc:IdentificationID", _at(line, 13, 4))
    agency = element("j:OrganizationAugmentation", element("j:OrganizationORIIdentification", ori))
    direct = element("cjis:OrganizationAugmentation", element("cjis:DirectReportingCityIdentification", city))
    month, year = line[6:8], line[8:12]
    return element(
        "nibrs:ReportHeader",
        element("nibrs:NIBRSReportCategoryCode", _CATEGORIES.get(line[4], "GROUP A INCIDENT REPORT")),
        element("nibrs:ReportActionCategoryCode", line[5].strip()),
        element("nibrs:ReportDate", element("nc:YearMonthDate", f"{year}-{month}" if (month + year).strip() else "")),
        element("nibrs:ReportingAgency", agency, direct),
    )


def _incident(line: str) -> str:
    day, hour = _day(_at(line, 38, 8)), _at(line, 47, 2)
    when = element("nc:DateTime", f"{day}T{hour}:00:00") if hour else element("nc:Date", day)
    cleared = element("j:IncidentExceptionalClearanceDate", element("nc:Date", _day(_at(line, 50, 8))))
    cargo = {"Y": "true", "N": "false"}.get(_at(line, 88, 1), _at(line, 88, 1))
    return element(
        "nc:Incident",
        element("nc:ActivityIdentification", element("nc:IdentificationID", _at(line, 26, 12))),
        element("nc:ActivityDate", when),
        element(
            "cjis:IncidentAugmentation",
            element("cjis:IncidentReportDateIndicator", {"R": "true"}.get(_at(line, 46, 1), "false")),
            element("j:OffenseCargoTheftIndicator", cargo),
        ),
        element("j:IncidentAugmentation", element("j:IncidentExceptionalClearanceCode", _at(line, 49, 1)), cleared),
    )


def _offense(line: str, n: int) -> str:
    attempted = {"A": "true", "C": "false"}.get(_at(line, 41, 1), _at(line, 41, 1))
    return element(
        "j:Offense",
        element("nibrs:OffenseUCRCode", _at(line, 38, 3)),
        *(element("nibrs:CriminalActivityCategoryCode", code) for code in _slots(line, 50, 1, 3)),
        *(element("j:OffenseFactorBiasMotivationCode", _BIAS.get(code, code)) for code in _slots(line, 62, 2, 5)),
        element("j:OffenseStructuresEnteredQuantity", _number(_at(line, 47, 2))) if _at(line, 47, 2) else "",
        *(element("j:OffenseFactor", element("j:OffenseFactorCode", code)) for code in _slots(line, 42, 1, 3)),
        element("j:OffenseEntryPoint", element("j:PassagePointMethodCode", _at(line, 49, 1))),
        *(element("j:OffenseForce", element("j:ForceCategoryCode", code.rstrip())) for code in _slots(line, 53, 3, 3)),
        element("j:OffenseAttemptedIndicator", attempted) or " ",
        id=f"Offense{n}",
    )


def _goods(line: str) -> str:
    loss = _at(line, 38, 1)
    status = element("nc:ItemStatus", element("cjis:ItemStatusCode", _LOSS.get(loss, loss)))
    items, drugs = _slots(line, 39, 19, 10), _slots(line, 233, 15, 3)
    vehicles = _at(line, 229, 2) if loss == "7" else _at(line, 231, 2) if loss == "5" else ""
    quantity = element("nc:ItemQuantity", _number(vehicles)) if vehicles else ""
    made = ""
    if drugs and not any(item[:2] == "10" for item in items):
        items = [*items, ""]
    for item in items:
        of_drug = bool(drugs) and item[:2] in ("10", "")
        worth = element(
            "nc:ItemValueAmount", element("nc:Amount", _number(item[2:11].strip()) if item[2:11].strip() else "")
        )
        value = element(
            "nc:ItemValue", worth, element("nc:ItemValueDate", element("nc:Date", _day(item[11:19].strip())))
        )
        description = element("j:ItemCategoryNIBRSPropertyCategoryCode", item[:2].strip())
        if not of_drug:
            made += element("nc:Item", status, value, description, quantity)
        else:
            for drug in drugs:
                made += element("nc:Substance", status, value, description, quantity, _drug(drug))
                value = quantity = ""
            drugs = []
        quantity = ""
    return made or element("nc:Item", status, quantity)


def _drug(slot: str) -> str:
    units, parts = slot[1:10].strip(), slot[10:13].strip()
    amount = f"{_number(units)}.{parts}" if units and parts else units or parts
    return element("j:DrugCategoryCode", slot[0].strip()) + element(
        "nc:SubstanceQuantityMeasure",
        element("nc:MeasureDecimalValue", amount),
        element("j:SubstanceUnitCode", slot[13:15].strip()),
    )


def _arrest(line: str, n: int, places: dict[str, int]) -> tuple[str, str, str, str]:
    """Person, arrestee, arrest and their association."""
    at = {
        name: _at(line, place, {"day": 8, "offense": 3, "number": 12, "sequence": 2}.get(name, 1))
        for name, place in places.items()
    }
    armed = _slots(line, places["armed"], 3, 2)
    person = _person(f"PersonArrestee{n}", line[places["person"] - 1 : places["person"] + 7])
    arrestee = element(
        "j:Arrestee",
        _to("nc:RoleOfPerson", f"PersonArrestee{n}"),
        element("j:ArrestSequenceID", _number(at["sequence"])) if at["sequence"] else "",
        *(element("j:ArresteeArmedWithCode", code.rstrip()) for code in armed),
        element("j:ArresteeJuvenileDispositionCode", at["disposition"]),
        element("j:ArrestSubjectCountCode", at.get("multiple", "")),
        id=f"Arrestee{n}",
    )
    arrest = element(
        "j:Arrest",
        element("nc:ActivityIdentification", element("nc:IdentificationID", at["number"])),
        element("nc:ActivityDate", element("nc:Date", _day(at["day"]))),
        element("j:ArrestCharge", element("nibrs:ChargeUCRCode", at["offense"])),
        element("j:ArrestCategoryCode", at["type"]) or " ",
        id=f"Arrest{n}",
    )
    link = element("j:ArrestSubjectAssociation", _to("nc:Activity", f"Arrest{n}"), _to("j:Subject", f"Arrestee{n}"))
    return person, arrestee, arrest, link


_OF_6 = {
    "sequence": 38,
    "number": 40,
    "day": 52,
    "type": 60,
    "multiple": 61,
    "offense": 62,
    "armed": 65,
    "person": 71,
    "disposition": 79,
}
_OF_7 = {
    "sequence": 38,
    "number": 26,
    "day": 40,
    "type": 48,
    "offense": 49,
    "armed": 52,
    "person": 58,
    "disposition": 66,
}


def report(lines: Sequence[bytes]) -> str:
    """One report; its lines are whole segments."""
    texts = [line.decode("ascii").ljust(320) for line in lines]
    of = {level: [text for text in texts if text[4] == level] for level in "01234567"}
    parts = [_header(texts[0])]
    if of["7"]:
        parts += _arrest(of["7"][0], 1, _OF_7)
    elif of["1"]:
        parts.append(_incident(of["1"][0]))
        parts += _group_a(of)
    return element("nibrs:Report", *parts) + "\n"


def _group_a(of: dict[str, list[str]]) -> list[str]:
    offenses, victims, offenders = of["2"], of["4"], of["5"]
    arrests = [_arrest(line, n, _OF_6) for n, line in enumerate(of["6"], 1)]
    parts = [_offense(line, n) for n, line in enumerate(offenses, 1)]
    sites = [
        element("nc:Location", element("nibrs:LocationCategoryCode", _at(line, 45, 2)), id=f"Location{n}")
        for n, line in enumerate(offenses, 1)
    ]
    parts += sites
    parts += sorted((_goods(line) for line in of["3"]), key=lambda made: "nc:Substance" in made)
    parts += [_person(f"PersonVictim{n}", line[71:79]) for n, line in enumerate(victims, 1)]
    parts += [_person(f"PersonSubject{n}", line[39:46]) for n, line in enumerate(offenders, 1)]
    parts += [arrest[0] for arrest in arrests]
    parts += [_official(line, n) for n, line in enumerate(victims, 1)]
    parts += [_victim(line, n) for n, line in enumerate(victims, 1)]
    parts += [
        element(
            "j:Subject",
            _to("nc:RoleOfPerson", f"PersonSubject{n}"),
            element("j:SubjectSequenceNumberText", _at(line, 38, 2)),
            id=f"Subject{n}",
        )
        for n, line in enumerate(offenders, 1)
    ]
    parts += [arrest[part] for part in (1, 2, 3) for arrest in arrests]
    parts += [
        element("j:OffenseLocationAssociation", _to("j:Offense", f"Offense{n}"), _to("nc:Location", f"Location{n}"))
        for n, site in enumerate(sites, 1)
        if site
    ]
    parts += [_associations(line, n, offenses, offenders) for n, line in enumerate(victims, 1)]
    return parts


def _official(line: str, n: int) -> str:
    ori = element("nc:IdentificationID", _at(line, 133, 9))
    unit = element("j:OrganizationAugmentation", element("j:OrganizationORIIdentification", ori))
    inner = (
        element("j:EnforcementOfficialActivityCategoryCode", _at(line, 130, 2))
        + element("j:EnforcementOfficialAssignmentCategoryCode", _at(line, 132, 1))
        + element("j:EnforcementOfficialUnit", unit)
    )
    return element("j:EnforcementOfficial", _to("nc:RoleOfPerson", f"PersonVictim{n}"), inner) if inner else ""


def _victim(line: str, n: int) -> str:
    return element(
        "j:Victim",
        _to("nc:RoleOfPerson", f"PersonVictim{n}"),
        element("j:VictimSequenceNumberText", _number(_at(line, 38, 3))) if _at(line, 38, 3) else "",
        *(element("j:VictimInjury", element("j:InjuryCategoryCode", code)) for code in _slots(line, 85, 1, 5)),
        element("j:VictimCategoryCode", _at(line, 71, 1)),
        *(element("j:VictimAggravatedAssaultHomicideFactorCode", code) for code in _slots(line, 80, 2, 2)),
        element("j:VictimJustifiableHomicideFactorCode", _at(line, 84, 1)),
        id=f"Victim{n}",
    )


def _associations(line: str, n: int, offenses: list[str], offenders: list[str]) -> str:
    """A code or number that no segment has refers to an object that is not there."""
    made = ""
    codes = [_at(other, 38, 3) for other in offenses]
    for slot in _slots(line, 41, 3, 10):
        code = slot.rstrip()
        target = f"Offense{codes.index(code) + 1}" if code in codes else "OffenseNone"
        made += element("j:OffenseVictimAssociation", _to("j:Offense", target), _to("j:Victim", f"Victim{n}"))
    numbers = [_at(other, 38, 2) for other in offenders]
    for slot in _slots(line, 90, 4, 10):
        number, relation = slot[:2].rstrip(), slot[2:].rstrip()
        target = f"Subject{numbers.index(number) + 1}" if number in numbers else "SubjectNone"
        made += element(
            "j:SubjectVictimAssociation",
            _to("j:Subject", target),
            _to("j:Victim", f"Victim{n}"),
            element("nibrs:VictimToSubjectRelationshipCode", _RELATIONSHIP.get(relation, relation)),
        )
    return made


def reports(lines: Iterable[bytes]) -> list[str]:
    """The reports of a flat submission without accidents: level 1 begins one, and level 0 and 7 are one each."""
    count = 0

    def number(line: bytes) -> int:
        nonlocal count
        count += line[4:5] in b"017"
        return count

    return [report(list(group)) for _, group in groupby(filter(bytes.strip, lines), key=number)]


def document(made: Iterable[str]) -> bytes:
    """A document of these reports."""
    return (HEAD + "".join(made) + TAIL).encode()
