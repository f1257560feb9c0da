"""Samples for a first job: a spec and rows of made-up persons for each of some operations. No person is real."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """`does` is one line for people, `body` what follows the head of job.toml, `records` a CSV file."""

    does: str
    body: str
    records: str


_PERSONS: Final = """\
record_id,last,first,DOB,SEX,SOC,postcode
1,DOE,JANE,19820214,F,123456789,30303
2,DOE,JAYNE,19820214,F,123456789,30303
3,ROE,RICHARD,19751103,M,219099999,30310
4,ROE,RICK,19751103,M,,30310
5,POE,EDGAR,19900119,M,457555462,30312
6,MOE,MAUREEN,19680705,F,123121234,30318
"""

SAMPLES: Final = {
    "link": Sample(
        does="find the persons who are twice in a list",
        body="""\
[[operations]]
kind = "link"
match = 0.9                           # pairs from this probability on are one person
clerical_review_threshold = 0.05      # pairs between the two are for a clerk
""",
        records=_PERSONS,
    ),
    "deidentify": Sample(
        does="remove or coarsen what identifies a person",
        body="""\
[[operations]]
kind = "deidentify"

[operations.columns]                  # every column needs a rule: what is forgotten is refused, not released
record_id = "keep"
last = "drop"
first = { do = "mask", keep_first = 1, with = "*" }
DOB = { do = "date_to", unit = "year" }
SEX = "keep"
SOC = "null"
postcode = { do = "zip_prefix", digits = 3 }
""",
        records=_PERSONS,
    ),
    "standardize": Sample(
        does="bring names, dates and addresses into one form",
        body="""\
[[operations]]
kind = "standardize"
columns = { NAM = "name", DOB = "date", address_1 = "address", state = "state", postcode = "zip" }
""",
        records="""\
record_id,NAM,DOB,address_1,state,postcode
1,"Mr. O'Neil Jr, Sean P.",2/4/1982,"12 north main street, apt #4",Texas,78701 1234
2,"ONEIL, SEAN",19820204,12 N MAIN ST APT 4,TX,78701
3,Jane Doe,1982-02-14,7 Elm Ave,tx,78702
""",
    ),
    "validate": Sample(
        does="check columns of persons by the rules of NCIC",
        body="""\
[[operations]]
kind = "validate"
rule_set = "ncic/1"
""",
        records="""\
record_id,NAM,SEX,RAC,DOB,HGT,WGT,EYE,SOC,OLN,OLS
1,"DOE, JANE Q",F,W,19820214,506,140,BRO,123456789,D1234567,GA
2,"ROE, RICHARD",M,B,1975-XX-XX,601,210,BLK,XXXXX6789,R7654321,AL
3,"POE, EDGAR",M,W,19990230,513,155,BLU,000123456,P1111111,GA
""",
    ),
}
"""By the name of the operation. Records are of person/1."""
