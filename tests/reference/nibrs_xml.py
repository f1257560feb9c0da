"""NIBRS XML as flat segments once more: one report at a time with ElementTree, in plain Python, slow and obvious.

Written from the IEPD's mapping and the layout of the Technical Specification without the engine's data files.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable

_URIS = {
    "nibrs": "http://fbi.gov/cjis/nibrs/2019",
    "cjis": "http://fbi.gov/cjis/2.0",
    "j": "http://release.niem.gov/niem/domains/jxdm/5.2/",
    "nc": "http://release.niem.gov/niem/niem-core/3.0/",
    "s": "http://release.niem.gov/niem/structures/3.0/",
}
DECLARED = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _URIS.items())
_ID, _REF = (f"{{{_URIS['s']}}}{name}" for name in ("id", "ref"))
_LENGTHS = {"0": 43, "1": 88, "2": 71, "3": 307, "4": 141, "5": 46, "6": 110, "7": 66}
_CATEGORIES = {"GROUP A INCIDENT REPORT": "A", "GROUP B ARREST REPORT": "B", "ZERO REPORT": "0"}
_LOSSES = {
    name: str(code)
    for code, name in enumerate(
        ["NONE", "BURNED", "COUNTERFEITED", "DESTROYED_DAMAGED_VANDALIZED", "RECOVERED", "SEIZED", "STOLEN", "UNKNOWN"],
        1,
    )
}
_AGES = {"NEONATAL": "NN", "NEWBORN": "NB", "BABY": "BB", "UNKNOWN": "00"}
_YES = {"true": "Y", "1": "Y", "false": "N", "0": "N"}

Element = ET.Element


class Line:
    """A segment, written field by field; positions count from 1."""

    def __init__(self, level: str, header: str) -> None:
        self.text = list(header.ljust(320))
        self.text[4] = level
        self.level = level

    def put(self, start: int, width: int, value: str) -> None:
        """A value that is too long ends with a question mark; a second, different one makes it end with one."""
        if not value.strip():
            return
        value = value if len(value) <= width else value[: width - 1] + "?"
        value = value.ljust(width)
        there = "".join(self.text[start - 1 : start - 1 + width])
        if there.strip() and there != value:
            self.text[start + width - 2] = "?"
        else:
            self.text[start - 1 : start - 1 + width] = value

    def slots(self, start: int, step: int, count: int, values: list[str], width: int = 0) -> None:
        """Values in the slots of a group; one more than there are slots spoils the last."""
        for n, value in enumerate(values):
            if n >= count:
                self.text[start - 1 + step * (count - 1) + (width or step) - 1] = "?"
            elif value.strip():
                self.text[start - 1 + step * n : start - 1 + step * n + len(value)] = value

    def bytes(self, *, with_cargo: bool) -> bytes:
        length = _LENGTHS[self.level] - (self.level == "1" and not with_cargo)
        return (f"{length:04d}" + "".join(self.text[4:length])).encode("latin-1")


def _cut(value: str, width: int) -> str:
    return value if len(value) <= width else value[: width - 1] + "?"


def _bad(value: str, width: int) -> str:
    return value[:width].ljust(width)[: width - 1] + "?" if value else ""


def _coded(codes: dict[str, str], width: int) -> Callable[[str], str]:
    return lambda value: codes[value] if value in codes else _bad(value, width)


def _is_number(value: str) -> bool:
    return value != "" and all(character in "0123456789" for character in value)


def _number(value: str, width: int) -> str:
    return value.rjust(width, "0") if _is_number(value) and len(value) <= width else _bad(value, width)


def _date(value: str) -> str:
    day = value[:10]
    good = (
        len(day) == 10
        and day[4] == day[7] == "-"
        and _is_number(day.replace("-", "", 2) if day.count("-") == 2 else "")
    )
    return day.replace("-", "") if good and (len(value) == 10 or value[10] == "T") else _bad(value, 8)


def _quantity(value: str) -> str:
    units, _, parts = value.partition(".")
    good = (_is_number(units) or not units) and (_is_number(parts) or not parts) and value.strip(".")
    if good and len(units) <= 9 and len(parts) <= 3:
        return units.rjust(9, "0") + parts.ljust(3, "0")
    return _bad(value, 12)


class Report:
    """One report."""

    def __init__(self, row: bytes, bias: dict[str, str], relationships: dict[str, str]) -> None:
        around = f"<row{DECLARED}>".encode()
        self.root = ET.fromstring(around + row + b"</row>")[0]
        self.bias, self.relationships = bias, relationships
        self.named = {element.get(_ID): element for element in reversed(list(self.root)) if element.get(_ID)}

    def texts(self, of: Element | None, path: str) -> list[str]:
        if of is None:
            return []
        return [(found.text or "").strip(" \t\r\n") for found in of.findall(path, _URIS) if not len(found)]

    def text(
        self, line: Line, start: int, width: int, of: Element | None, path: str, made: Callable[[str], str] = str
    ) -> None:
        for value in self.texts(of, path):
            if value:
                line.put(start, width, made(value))

    def all(self, path: str) -> list[Element]:
        return self.root.findall(path, _URIS)

    def follow(self, of: Element | None, path: str) -> Element | None:
        found = None if of is None else next((e for e in of.findall(path, _URIS) if e.get(_REF)), None)
        return None if found is None else self.named.get(found.get(_REF))

    def refers(self, of: Element, path: str) -> bool:
        return any(e.get(_REF) for e in of.findall(path, _URIS))

    def header(self) -> tuple[str, str]:
        line = Line(" ", "")
        heads = self.all("nibrs:ReportHeader")  # what a second one has otherwise is spoilt, as a second value is

        def month(value: str) -> str:
            good = len(value) == 7 and value[4] == "-" and _is_number(value[:4] + value[5:])
            return value[5:] + value[:4] if good else _bad(value, 6)

        agency = "nibrs:ReportingAgency/{}/nc:IdentificationID"
        ori, city = (
            agency.format(name)
            for name in (
                "j:OrganizationAugmentation/j:OrganizationORIIdentification",
                "cjis:OrganizationAugmentation/cjis:DirectReportingCityIdentification",
            )
        )
        category = Line(" ", "")
        for head in heads:
            self.text(line, 6, 1, head, "nibrs:ReportActionCategoryCode", lambda value: _cut(value, 1))
            self.text(line, 7, 6, head, "nibrs:ReportDate/nc:YearMonthDate", month)
            self.text(line, 17, 9, head, ori)
            self.text(line, 13, 4, head, city)
            self.text(category, 1, 1, head, "nibrs:NIBRSReportCategoryCode", _coded(_CATEGORIES, 1))
        for incident in self.all("nc:Incident"):
            self.text(line, 26, 12, incident, "nc:ActivityIdentification/nc:IdentificationID")
        return "".join(line.text[:37]), category.text[0].strip()

    def lines(self) -> list[Line]:
        header, category = self.header()
        if category == "0":
            line = Line("0", header[:25] + "0" * 12)
            line.text[37:43] = header[6:12]
            return [line]
        if category == "B":
            arrestees = self.all("j:Arrestee")
            return [self.arrestee(Line("7", header[:25]), each) for each in arrestees] or [Line("7", header[:25])]
        if category != "A":
            return []
        admin = self.admin(Line("1", header))
        if header[5] == "D":
            return [admin]
        return [
            admin,
            *(self.offense(Line("2", header), each) for each in self.all("j:Offense")),
            *self.properties(header),
            *(self.victim(Line("4", header), each) for each in self.all("j:Victim")),
            *(self.offender(Line("5", header), each) for each in self.all("j:Subject")),
            *(self.arrestee(Line("6", header), each) for each in self.all("j:Arrestee")),
        ]

    def admin(self, line: Line) -> Line:
        for of in self.all("nc:Incident"):
            one = self.incident(Line("1", ""), of)
            for start, width in ((38, 8), (46, 1), (47, 2), (49, 1), (50, 8), (88, 1)):
                line.put(start, width, "".join(one.text[start - 1 : start - 1 + width]))
        return line

    def incident(self, line: Line, of: Element) -> Line:
        self.text(line, 38, 8, of, "nc:ActivityDate/nc:DateTime", _date)
        self.text(
            line,
            47,
            2,
            of,
            "nc:ActivityDate/nc:DateTime",
            lambda v: v[11:13] if v[10:11] == "T" and len(v) > 12 else "",
        )
        self.text(line, 38, 8, of, "nc:ActivityDate/nc:Date", _date)
        more = "cjis:IncidentAugmentation"
        report_date = _coded({"true": "R", "1": "R", "false": "", "0": ""}, 1)
        self.text(line, 46, 1, of, f"{more}/cjis:IncidentReportDateIndicator", report_date)
        self.text(line, 88, 1, of, f"{more}/j:OffenseCargoTheftIndicator", _coded(_YES, 1))
        more = "j:IncidentAugmentation"
        self.text(line, 49, 1, of, f"{more}/j:IncidentExceptionalClearanceCode")
        self.text(line, 50, 8, of, f"{more}/j:IncidentExceptionalClearanceDate/nc:Date", _date)
        return line

    def offense(self, line: Line, of: Element) -> Line:
        self.text(line, 38, 3, of, "nibrs:OffenseUCRCode")
        attempted = _coded({"true": "A", "1": "A", "false": "C", "0": "C"}, 1)
        self.text(line, 41, 1, of, "j:OffenseAttemptedIndicator", attempted)
        line.slots(42, 1, 3, [_cut(v, 1) for v in self.texts(of, "j:OffenseFactor/j:OffenseFactorCode")])
        for link in self.all("j:OffenseLocationAssociation"):
            if self.follow(link, "j:Offense") is of:
                self.text(line, 45, 2, self.follow(link, "nc:Location"), "nibrs:LocationCategoryCode")
        self.text(line, 47, 2, of, "j:OffenseStructuresEnteredQuantity", lambda v: _number(v, 2))
        self.text(line, 49, 1, of, "j:OffenseEntryPoint/j:PassagePointMethodCode")
        line.slots(50, 1, 3, [_cut(v, 1) for v in self.texts(of, "nibrs:CriminalActivityCategoryCode")])
        line.slots(53, 3, 3, [_cut(v, 3) for v in self.texts(of, "j:OffenseForce/j:ForceCategoryCode")])
        biases = [_coded(self.bias, 2)(v) for v in self.texts(of, "j:OffenseFactorBiasMotivationCode")]
        line.slots(62, 2, 5, biases)
        return line

    def properties(self, header: str) -> list[Line]:
        made: dict[str, Line] = {}
        items: dict[str, list[str]] = {}
        drugs: dict[str, list[str]] = {}
        quantities: dict[str, list[str]] = {}
        for of in self.root:
            if of.tag not in (f"{{{_URIS['nc']}}}Item", f"{{{_URIS['nc']}}}Substance"):
                continue
            one = Line("3", header)
            self.text(one, 38, 1, of, "nc:ItemStatus/cjis:ItemStatusCode", _coded(_LOSSES, 1))
            self.text(one, 39, 2, of, "j:ItemCategoryNIBRSPropertyCategoryCode")
            self.text(one, 41, 9, of, "nc:ItemValue/nc:ItemValueAmount/nc:Amount", lambda v: _number(v, 9))
            self.text(one, 50, 8, of, "nc:ItemValue/nc:ItemValueDate/nc:Date", _date)
            self.text(one, 229, 2, of, "nc:ItemQuantity", lambda v: _number(v, 2))
            if of.tag.endswith("Substance"):
                self.text(one, 233, 1, of, "j:DrugCategoryCode")
                self.text(one, 234, 12, of, "nc:SubstanceQuantityMeasure/nc:MeasureDecimalValue", _quantity)
                self.text(one, 246, 2, of, "nc:SubstanceQuantityMeasure/j:SubstanceUnitCode")
            text = "".join(one.text)
            loss, item, quantity, drug = text[37], text[38:57], text[228:230], text[232:247]
            if loss not in made:
                made[loss] = Line("3", header)
                made[loss].put(38, 1, loss)
                items[loss], drugs[loss], quantities[loss] = [], [], []
            again = drug.strip() and not item[2:].strip() and any(i[:2] == item[:2] for i in items[loss])
            if item.strip() and not again:
                items[loss].append(item)
            if drug.strip():
                drugs[loss].append(drug)
            if quantity.strip():
                quantities[loss].append(quantity)
        for loss, line in made.items():
            line.slots(39, 19, 10, items[loss])
            line.slots(233, 15, 3, drugs[loss])
            if loss in "57" and quantities[loss]:
                found = quantities[loss]
                if all(map(_is_number, found)):
                    total = sum(map(int, found))
                    text = f"{total % 100:02d}" if total <= 99 else f"{total // 10 % 10}?"
                else:
                    text = found[0][0] + "?"
                line.put(229 if loss == "7" else 231, 2, text)
        return list(made.values())

    def person(self, line: Line, start: int, of: Element) -> Element | None:
        person = self.follow(of, "nc:RoleOfPerson")
        age = "nc:PersonAgeMeasure/"
        block = Line(" ", "")

        def years(value: str) -> str:
            return value.rjust(2, "0").ljust(4) if _is_number(value) and len(value) <= 2 else _bad(value, 4)

        words = _coded({word: code.ljust(4) for word, code in _AGES.items()}, 4)
        self.text(block, 1, 4, person, f"{age}nc:MeasureIntegerValue", years)
        self.text(block, 1, 4, person, f"{age}nc:MeasureValueText", words)
        ends = f"{age}nc:MeasureIntegerRange/"
        self.text(block, 1, 2, person, f"{ends}nc:RangeMinimumIntegerValue", lambda v: _number(v, 2))
        self.text(block, 3, 2, person, f"{ends}nc:RangeMaximumIntegerValue", lambda v: _number(v, 2))
        for place, name in (
            (5, "PersonSexCode"),
            (6, "PersonRaceNDExCode"),
            (7, "PersonEthnicityCode"),
            (8, "PersonResidentCode"),
        ):
            self.text(block, place, 1, person, f"j:{name}")
        width = 7 if line.level == "5" else 8
        line.text[start - 1 : start - 1 + width] = block.text[:width]
        return person

    def victim(self, line: Line, of: Element) -> Line:
        person = self.person(line, 72, of)
        self.text(line, 38, 3, of, "j:VictimSequenceNumberText", lambda v: _number(v, 3))
        self.text(line, 71, 1, of, "j:VictimCategoryCode")
        line.slots(80, 2, 2, [_cut(v, 2) for v in self.texts(of, "j:VictimAggravatedAssaultHomicideFactorCode")])
        self.text(line, 84, 1, of, "j:VictimJustifiableHomicideFactorCode")
        line.slots(85, 1, 5, [_cut(v, 1) for v in self.texts(of, "j:VictimInjury/j:InjuryCategoryCode")])
        connected, related = [], []
        for link in self.all("j:OffenseVictimAssociation"):
            if self.follow(link, "j:Victim") is of and self.refers(link, "j:Offense"):
                offense = self.follow(link, "j:Offense")
                code = Line("2", "")
                self.text(code, 38, 3, offense, "nibrs:OffenseUCRCode")
                known = offense is not None and offense.tag.endswith("}Offense")
                connected.append("".join(code.text[37:40]) if known else "???")
        line.slots(41, 3, 10, connected)
        for link in self.all("j:SubjectVictimAssociation"):
            if self.follow(link, "j:Victim") is of and self.refers(link, "j:Subject"):
                subject = self.follow(link, "j:Subject")
                one = Line("4", "")
                self.text(one, 1, 2, subject, "j:SubjectSequenceNumberText", lambda v: _number(v, 2))
                relation = _coded(self.relationships, 2)
                self.text(one, 3, 2, link, "nibrs:VictimToSubjectRelationshipCode", relation)
                known = subject is not None and subject.tag.endswith("}Subject")
                related.append(("".join(one.text[:2]) if known else "??") + "".join(one.text[2:4]))
        line.slots(90, 4, 10, related)
        for official in self.all("j:EnforcementOfficial"):
            if person is not None and self.follow(official, "nc:RoleOfPerson") is person:
                last = official
                one = Line("4", "")
                self.text(one, 130, 2, last, "j:EnforcementOfficialActivityCategoryCode")
                self.text(one, 132, 1, last, "j:EnforcementOfficialAssignmentCategoryCode")
                ori = "j:OrganizationAugmentation/j:OrganizationORIIdentification/nc:IdentificationID"
                self.text(one, 133, 9, last, f"j:EnforcementOfficialUnit/{ori}")
                self.text(one, 133, 9, last, f"nc:EnforcementOfficialUnit/{ori}")
                line.text[129:141] = one.text[129:141]
        return line

    def offender(self, line: Line, of: Element) -> Line:
        self.text(line, 38, 2, of, "j:SubjectSequenceNumberText", lambda v: _number(v, 2))
        self.person(line, 40, of)
        return line

    def arrestee(self, line: Line, of: Element) -> Line:
        six = line.level == "6"
        arrest = next(
            (
                self.follow(link, "nc:Activity")
                for link in self.all("j:ArrestSubjectAssociation")
                if self.follow(link, "j:Subject") is of and self.follow(link, "nc:Activity") is not None
            ),
            None,
        )
        self.text(line, 38, 2, of, "j:ArrestSequenceID", lambda v: _number(v, 2))
        self.text(line, 40 if six else 26, 12, arrest, "nc:ActivityIdentification/nc:IdentificationID")
        self.text(line, 52 if six else 40, 8, arrest, "nc:ActivityDate/nc:Date", _date)
        self.text(line, 60 if six else 48, 1, arrest, "j:ArrestCategoryCode")
        if six:
            self.text(line, 61, 1, of, "j:ArrestSubjectCountCode")
        self.text(line, 62 if six else 49, 3, arrest, "j:ArrestCharge/nibrs:ChargeUCRCode")
        line.slots(65 if six else 52, 3, 2, [_cut(v, 3) for v in self.texts(of, "j:ArresteeArmedWithCode")])
        self.person(line, 71 if six else 58, of)
        self.text(line, 79 if six else 66, 1, of, "j:ArresteeJuvenileDispositionCode")
        return line


def flat(rows: list[bytes], bias: dict[str, str], relationships: dict[str, str]) -> list[bytes]:
    """The flat lines of reports, in order."""
    lines = [line for row in rows for line in Report(row, bias, relationships).lines()]
    cargo = any(line.level == "1" and line.text[87] != " " for line in lines)
    return [line.bytes(with_cargo=cargo) for line in lines]
