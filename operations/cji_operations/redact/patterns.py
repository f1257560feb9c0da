"""Rules that are patterns: dates, numbers, telephones, addresses, plates, e-mail addresses, and names after a cue.

Patterns are RE2's, whose time is linear in the text, over the plain ASCII form of all texts at once. A rule's `before`
and `after` are its context and stay. To learn where a target lies, it is put between two marks that no plain text has.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cji_core.format.records import arrow
from cji_core.format.records.column import Ints
from cji_core.operations.redact import TextClass

_OPEN: Final = 1
_CLOSE: Final = 2
_MARKED: Final = "\\1\x01\\2\x02\\3"


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern of a class; letters of any case fit, unless `cased`."""

    text_class: TextClass
    name: str
    target: str
    before: str = ""
    after: str = ""
    cased: bool = False

    @property
    def expression(self) -> str:
        """The pattern with its context."""
        return f"{'' if self.cased else '(?i)'}({self.before})({self.target})({self.after})"


def find(texts: pa.Array, rule: Rule) -> tuple[Ints, Ints]:
    """(int64[k], int64[k]): where each target begins and ends in the data of `texts` (binary, from offset 0)."""
    marked = pc.replace_substring_regex(texts, rule.expression, _MARKED)
    _, data = arrow.text(marked)
    opened, closed = np.flatnonzero(data == _OPEN), np.flatnonzero(data == _CLOSE)
    before = 2 * np.arange(len(opened))
    return opened - before, closed - before - 1


# ------------------------------------------------------------------ dates

_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?"
    r"|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_WHOLE_MONTH: Final = (
    r"(?:January|February|March|April|May|June|July|August|September|October"
    r"|November|December"
    r"|JANUARY|FEBRUARY|MARCH|APRIL|MAY|JUNE|JULY|AUGUST|SEPTEMBER|OCTOBER"
    r"|NOVEMBER|DECEMBER)\b"
)
_MES: Final = (
    r"(?:enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|setiembre"
    r"|octubre|noviembre|diciembre)\b"
)
_WEEKDAY: Final = r"(?:mon|tues|wednes|wens|thurs|fri|satur|sun)day"
_SEASON: Final = r"(?:spring|summer|fall|autumn|winter)"
_NUMBER_WORD: Final = (
    r"(?:[0-9]{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|eleven|twelve|several|couple(?: of)?|few)"
)
_PERIOD: Final = (
    r"(?:night|morning|afternoon|evening|week|weekend|month|year|fall|spring"
    r"|summer|winter|autumn)"
)
_YEAR: Final = r"(?:19|20)[0-9]{2}"
_HOLIDAY: Final = (
    r"(?:christmas(?: eve| day)?|thanksgiving(?: day)?|new year'?s?(?: "
    r"eve| day)?|halloween|easter(?: sunday)?"
    r"|independence day|labor day|memorial day|veterans day|(?:fourth|4th) "
    r"of july|valentine'?s day|mother'?s day"
    r"|father'?s day|cinco de mayo|super ?bowl sunday|juneteenth|columbus "
    r"day|presidents'? day|mlk day)\b"
)
_ORDINAL: Final = r"(?:st|nd|rd|th)"

_DATES: Final = (
    Rule("date", "numeric", r"\b[0-9]{1,2}[/.-][0-9]{1,2}[/.-](?:[0-9]{4}|[0-9]{2})\b"),
    Rule("date", "iso", rf"\b{_YEAR[:-4]}[0-9X]{{2}}[/.-][0-9X]{{1,2}}[/.-][0-9X]{{1,2}}\b"),
    Rule("date", "compact", rf"\b{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])\b"),
    Rule("date", "compact", rf"\b(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]){_YEAR}\b"),
    Rule("date", "month_day", r"\b(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12][0-9]|3[01])\b"),
    Rule(
        "date",
        "words",
        rf"\b{_MONTH} +[0-9]{{1,2}}{_ORDINAL}?\b(?:,? *(?:of +)?{_YEAR}\b|,? '?[0-9]{{2}}\b)?"
        rf"|\b[0-9]{{1,2}}{_ORDINAL}? *-?(?:(?:day )?of +)?{_MONTH}(?:[ ,-]*"
        rf"(?:of )?(?:{_YEAR}|'?[0-9]{{2}})\b)?"
        rf"|\b{_MONTH},? +(?:of +)?{_YEAR}\b"
        rf"|\b{_MONTH} +(?:twenty[ -]|thirty[ -])?(?:first|second|third|fourth"
        r"|fifth|sixth|seventh|eighth|ninth"
        r"|(?:ten|eleven|twelf|thirteen|fourteen|fifteen|sixteen|seventeen"
        r"|eighteen|nineteen|twentie|thirtie)th)\b"
        rf"|\b[0-9]{{1,2}} de {_MES}(?: del? (?:[0-9]{{4}}|ano pasado))?"
        rf"|\b{_MONTH} '[0-9]{{2}}\b",
    ),
    Rule(
        "date",
        "month",
        rf"\b{_WHOLE_MONTH}|\b{_MES.capitalize()}",
        r"\b(?i:in|since|of|until|last|this|early|late|mid|during|by|before|after|next)[ -]",
        cased=True,
    ),
    Rule(
        "date",
        "year",
        rf"(?:the )?(?:{_SEASON} of )?{_YEAR}",
        r"\b(?:in|since|year|circa|until|from|before|during)\s+",
        r"\s*(?:[.,;)\n]|\s(?:[a-gi-z]|he|ha))",
    ),
    Rule("date", "year", rf"\b{_SEASON} (?:of )?{_YEAR}\b"),
    Rule(
        "date",
        "day",
        rf"the [0-9]{{1,2}}{_ORDINAL}",
        r"\b(?:on|by|until|since|before|after)\s+",
        r"\s*(?:[.,;)\n]|of\b|at\b|and\b)",
    ),
    Rule(
        "date",
        "relative",
        r"\b(?:(?:day before )?yesterday|today|tomorrow|tonight|last night"
        r"|the (?:day|night) before|anoche|ayer)\b"
        rf"|\b(?:last|this|next|past|previous|following)\s+(?:{_PERIOD}|{_WEEKDAY})\b"
        rf"|\b{_NUMBER_WORD}\s+(?:days?|weeks?|months?|years?|nights?)\s+(?:ago"
        r"|earlier|before|prior|later)\b",
    ),
    Rule(
        "date",
        "weekday",
        rf"\b(?:{_WEEKDAY}s?|lunes|martes|miercoles|jueves|viernes|sabado|domingo)\b"
        r"(?: (?:night|morning|afternoon|evening)\b)?|\bovernight\b",
    ),
    Rule("date", "weekday", r"\b(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|MON|TUES?|WED|THU(?:RS?)?|FRI)\b", cased=True),
    Rule(
        "date",
        "weekday",
        r"(?:Sat|Sun|SAT|SUN)\b",
        r"\b(?i:on|since|till?|until|last|next|by|this|before|after|and|it),? ",
        cased=True,
    ),
    Rule("date", "holiday", _HOLIDAY),
)

# ------------------------------------------------------------------ numbers

_ID_CUE: Final = (
    r"(?:ssn|soc(?:ial security)?|oln|dln?|driver'?s? licen[cs]e|licen[cs]e"
    r"|fbi|ucn|sid|doc|cdcr|tdcj|inmate|booking"
    r"|bkg|case|report|incident|citation|ticket|warrant|badge|docket|cause"
    r"|account|acct|card|serial|s/?n|vin|imei"
    r"|policy|passport|alien|employee|mni|pid|jid|event|cad|mrn|fcn|nic"
    r"|intake|id|member|claim|file|order|tag)"
)
_WITH_DIGIT: Final = r"[A-Z0-9]*(?:[A-Z]{1,4}-)*[A-Z0-9]*[0-9][A-Z0-9]*(?:[-/][A-Z0-9]+)*"

_NUMBERS: Final = (
    Rule("number", "ssn", r"\b[0-9]{3}[- .]?[0-9]{2}[- .]?[0-9]{4}\b|[0-9X*]{3}-[0-9X*]{2}-[0-9X*]{4}"),
    Rule("number", "digits", r"[0-9X](?:[-. ]?[0-9X]){4,}[-. ]?[0-9]\b", r"(?:^|[^0-9A-Z$.,])"),
    Rule("number", "code", r"\b(?:[A-Z]+[0-9]|[0-9]+[A-Z])[A-Z0-9]{3,}\b|\b[A-Z]{2,3}[0-9]{4,}\b"),
    Rule(
        "number",
        "case",
        r"\b(?:[A-Z]{1,4}[0-9]{0,4}-)*[0-9]{2,4}-(?:[A-Z]{1,4}-)*[0-9]{3,}\b"
        r"|\b[A-Z]{1,4}-(?:[A-Z0-9]{1,4}-)*[0-9]{3,}(?:-[A-Z0-9]+)*\b"
        r"|\b[A-Z]?[0-9]{3,}-[A-Z0-9]{2,}(?:-[0-9A-Z]+)*\b",
    ),
    Rule(
        "number",
        "cue",
        _WITH_DIGIT,
        rf"\b{_ID_CUE}(?:\s+(?:no|nos|num|number|nbr|id))?\.?[\s:#=]*(?:is "
        rf"|was )?(?:[A-Z]{{2}} )?#?",
        r"\b",
    ),
    Rule(
        "number", "cue", r"[0-9]{3,}\b", r"\b(?:(?:gate|door|pass|pin) ?code|pin|checks?|ck)(?: no\.?| number)?[ :#]+"
    ),
    Rule("number", "vessel", r"\b[A-Z]{2} [0-9]{4} [A-Z]{2}\b", cased=True),
    Rule("number", "hash", r"[A-Z]{0,3}-?[0-9]{2,}[A-Z0-9-]*", r"#\s?"),
    Rule("number", "ending", r"[0-9]{4}\b", r"\b(?:ending(?: in)?|last (?:four|4)(?: digits)?(?: of)?)[ :]*"),
    Rule(
        "phone",
        "phone",
        r"(?:\+?1[-. ]*)?(?:\([0-9]{3}\)|\b[0-9]{3})[-. /]*[0-9]{3}[-. ]+[0-9]{4}\b"
        r"|\b[0-9]{3}[-. ][0-9]{4}\b|\+[0-9][0-9() .-]{7,}[0-9]",
    ),
    Rule(
        "phone",
        "phone",
        r"[0-9]{7,10}\b",
        r"\b(?:ph|phone|cell|cb|call(?:ed)?|at|tel|number|reached at|contact)[ :#.]*",
    ),
    Rule("email", "email", r"[A-Z0-9._%+-]+@[A-Z0-9-]+(?:\.[A-Z0-9-]+)+|\bhttps?://[^\s]+|\bwww\.[^\s]+"),
    Rule("email", "handle", r"@[A-Z0-9_.]*[A-Z0-9_]{3}", r"(?:^|[\s(,\"'])"),
)

# ------------------------------------------------------------------ plates

_PLATE: Final = (
    r"(?:[A-Z]{2}[/ ] ?)?(?:[A-Z]{2,4}[- ]?[0-9]{2,5}|[0-9]{1,4}[- ]?[A-Z]{1,4}"
    r"(?:[- ]?[0-9]{1,4})?|[0-9]{3}[- ][A-Z]{3}"
    r"|[A-Z][0-9]{2,3}[- ]?[A-Z]{2,3}|[A-Z]{2}[0-9]{2}[- ]?[A-Z]{2,3}|[0-9]{3}[- "
    r"][A-Z]{2,3}|[0-9]{4,7})"
)
_PLATES: Final = (
    Rule(
        "plate",
        "cue",
        _PLATE,
        r"\b(?:licen[cs]e plates?|plates?|tags?|lp|lic|plt|reg(?:istration)?|placas?)"
        r"(?:\s+de [a-z]+)?(?:\s+(?:no\.?|number|of|is|was|reads?|bearing|on it))?[\s:,#/]*",
        r"\b",
    ),
    Rule(
        "plate",
        "state",
        r"(?:[A-Z]{1,3}[- ]?[0-9]{3,5}|[0-9]{3}[- ]?[A-Z]{3}|[0-9][A-Z]{3}[0-9]{3}"
        r"|[A-Z]{3}[0-9]{4}|[0-9]{1,2}-[0-9]{4,6}[A-Z]?)",
        r"\b(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|I[ADL]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]"
        r"|OK|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])[ /]",
        r"\b",
        cased=True,
    ),
    Rule(
        "plate",
        "form",
        r"\b(?:[A-Z]{3}-[0-9]{2}-[0-9]{2}|[A-Z]{3}-[0-9]{3,4}|[A-Z]{3}[0-9]{3,4}|[0-9]{3}-[A-Z]{3}|[0-9][A-Z]{3}[0-9]{3}"
        r"|[0-9]{3}-[A-Z]{2,3})\b",
        cased=True,
    ),
    Rule(
        "plate",
        "place",
        r"[A-Z0-9]{2,4}[- ]?[A-Z0-9]{2,4}",
        r"\b[Pp]late,? ",
        r"[.,; )]*\b(?:CA|TX|and|It|it)\b",
        cased=True,
    ),
)

# ------------------------------------------------------------------ addresses

_WAYS: Final = (
    r"street|str?|avenue|ave?|road|rd|boulevard|blvd|lane|ln|drive|dr|court"
    r"|ct|place|pl|way|highway|hwy|terrace|ter|circle"
    r"|cir|parkway|pkwy|trail|trl|square|sq|loop|plaza|plz|crossing|xing"
    r"|alley|aly|pike|expressway|expy|freeway|fwy|cove"
    r"|cv|point|pt|ridge|rdg|run|row|path|bend|hollow|view|vista|calle|avenida"
)
_CAPITAL_WAYS: Final = (
    r"(?:Street|St|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr"
    r"|Ct|Highway|Hwy|Terrace|Circle|Cir|Parkway|Pkwy"
    r"|Trail|Trl|Pike|Expressway|Freeway|STREET|ST|AVENUE|AVE|AV|ROAD|RD"
    r"|BOULEVARD|BLVD|LANE|LN|DR|HIGHWAY|HWY|PARKWAY"
    r"|PKWY|CIRCLE|TRAIL)\b\.?"
)
_COMPASS: Final = r"(?:N|S|E|W|NE|NW|SE|SW|north|south|east|west)\b\.?"
_UNIT: Final = (
    r"(?:,?\s*(?:(?:apt|apartment|unit|ste|suite|lot|bldg|rm|room|fl|trlr"
    r"|spc)\b\.?\s*#?|#)\s*[A-Z0-9-]+)?"
)
_STATES: Final = (
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]"
    r"|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]"
    r"|(?i:Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut"
    r"|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois"
    r"|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts"
    r"|Michigan|Minnesota|Mississippi|Missouri|Montana"
    r"|Nebraska|Nevada|New (?:Hampshire|Jersey|Mexico|York)|(?:North|South) "
    r"(?:Carolina|Dakota)|Ohio|Oklahoma|Oregon"
    r"|Pennsylvania|Rhode Island|Tennessee|Texas|Utah|Vermont|Virginia"
    r"|Washington|West Virginia|Wisconsin|Wyoming))\b"
)
_CITY: Final = (
    rf"(?:,?\s+(?:[A-Z][A-Za-z]+\s?){{1,3}},?\s+{_STATES}(?:\s+[0-9]{{5}}"
    rf"(?:-[0-9]{{4}})?)?)?"
)
_HOUSE: Final = r"\b[0-9]{1,6}(?:-?[A-Z]\b| 1/2)?(?: (?:block|blk)(?: of)?)?"
_WORD: Final = r"(?:[A-Z][A-Za-z'.-]*|[0-9]+(?:st|nd|rd|th|ST|ND|RD|TH))"

_ADDRESSES: Final = (
    Rule(
        "address",
        "street",
        rf"{_HOUSE}(?:\s+{_COMPASS})?(?:\s+(?:[A-Z][A-Z'.-]*|[0-9]+{_ORDINAL})){{1,2}}?\s+"
        rf"(?:{_WAYS})\b\.?(?:\s+{_COMPASS})?{_UNIT}",
    ),
    Rule(
        "address",
        "street",
        rf"{_HOUSE}(?:\s+(?i:{_COMPASS}))?(?:\s+{_WORD}){{1,3}}?\s+(?i:{_WAYS})\b\.?"
        rf"(?i:{_UNIT}){_CITY}",
        cased=True,
    ),
    Rule(
        "address",
        "unnamed_way",
        rf"{_HOUSE}(?:\s+(?i:{_COMPASS}))?\s+[A-Z][a-z'.-]+(?i:{_UNIT}){_CITY}",
        r"\b(?i:at|live[sd]? at|of|address,?|resides at|behind|near|to|from|with \w+ \w+ at|in) ",
        cased=True,
    ),
    Rule(
        "address",
        "unnamed_way",
        rf"\b[0-9]{{2,6}}(?: (?i:block|blk)(?: (?i:of))?)? (?:[NSEW]|[NS][EW])\b\.?(?: {_WORD}){{1,3}}(?i:{_UNIT})",
        cased=True,
    ),
    Rule("address", "unnamed_way", rf"\b[0-9]{{3,6}} (?:[nsew]|[ns][ew])\.? [a-z]{{3,}}(?i:{_UNIT})", cased=True),
    Rule("address", "county", r"\b(?:[A-Z][a-z]+ ){1,2}(?:County|Parish)\b|\b[A-Z]+ COUNTY\b", cased=True),
    Rule(
        "address",
        "way",
        rf"\b(?:(?:[NSEW]|North|South|East|West)\.? )?{_WORD}(?: {_WORD}){{0,2}}? "
        rf"{_CAPITAL_WAYS}",
        cased=True,
    ),
    Rule(
        "address",
        "crossing",
        r"[A-Z0-9']+(?: [A-Z0-9']+){0,2}?\s?(?:\band\b|&|/)\s?[A-Z0-9']+(?: (?:" + _WAYS + r")\b)?",
        r"\b(?:intersection of|corner of|loc) ",
    ),
    Rule(
        "address",
        "crossing",
        rf"{_WORD}(?: (?i:{_WAYS})\b\.?)? ?(?:and|&|AND|/) ?{_WORD}(?: (?i:{_WAYS})\b)?",
        r"\b(?:at|near|AT|NEAR|to|on|ON) ",
        r"[.,;\n]",
        cased=True,
    ),
    Rule(
        "address",
        "crossing",
        r"\b[0-9]+(?i:st|nd|rd|th)(?: (?i:st|ave|street|avenue)\b\.?)? ?(?:and\b"
        rf"|AND\b|&|/) ?{_WORD}",
        cased=True,
    ),
    Rule(
        "address",
        "numbered_way",
        r"\b(?:interstate|highway|hwy|route|rte|loop|county road|state road"
        r"|county rd|farm to market|cr|fm|rm|sr|sh|ih|us|i)[- ]?[0-9]{1,4}[NSEW]?\b"
        r"|\bm\.?p\.? ?[0-9]+(?:\.[0-9]+)?",
    ),
    Rule(
        "address",
        "po_box",
        rf"\b(?:p\.? ?o\.?|(?:rr|hc|rural route) ?[0-9]+,?) ?box [0-9]+[A-Z]?\b(?:,?\s+[A-Z]+(?: [A-Z]+)?,?\s+{_STATES}"
        rf"(?:\s+[0-9]{{5}}(?:-[0-9]{{4}})?)?)?",
    ),
    Rule("address", "unit", r"(?:apt|apartment|suite|ste|trlr)\b\.? ?#? ?(?:[0-9]+[A-Z]?|[A-Z][0-9]*)\b", r"\b"),
    Rule(
        "address",
        "city",
        rf"(?:[A-Z][a-z]+ ){{0,2}}[A-Z][a-z]+,\s+{_STATES}(?:\s+[0-9]{{5}}(?:-[0-9]{{4}})?)?"
        rf"|[A-Z]+(?: [A-Z]+)?, {_STATES}",
        r"\b(?:(?i:in|of|from|to|near|at|for),? )?",
        cased=True,
    ),
    Rule("address", "zip", rf"\b{_STATES},? [0-9]{{5}}(?:-[0-9]{{4}})?\b", cased=True),
    Rule("address", "coordinates", r"-?\b[0-9]{1,3}\.[0-9]{4,}\b"),
)

# ------------------------------------------------------------------ names after a cue

_CALLED: Final = (
    r"\b(?i:a\.?k\.?a\.?|alias(?:es)?|nicknamed|goes by|go by|known (?:only "
    r")?as|knows (?:only )?as|moniker|street name|named"
    r"|name is|name was|name of|used the name|called himself|called herself)[\s:,]*"
    r"(?i:of |is |as )?[\"'(]*"
)
_NAMES: Final = (
    Rule("name", "spelled", r"\b(?:[A-Z][ .-]){3,24}[A-Z]\b", cased=True),
    Rule("name", "called", r"[A-Z][A-Za-z'-]*(?: [A-Z][A-Za-z'-]+){0,2}", _CALLED, cased=True),
    Rule("name", "called", r"[a-z]+(?: [a-z]+)?", r"\b(?:my name is|aka|named|alias) [\"']?", cased=True),
)

RULES: Final = (*_DATES, *_NUMBERS, *_PLATES, *_ADDRESSES, *_NAMES)


def found(texts: pa.Array, classes: frozenset[TextClass]) -> Iterator[tuple[Rule, Ints, Ints]]:
    """Every rule of these classes that finds something, with where its targets begin and end."""
    for rule in RULES:
        if rule.text_class in classes:
            first, end = find(texts, rule)
            if len(first):
                yield rule, first, end
