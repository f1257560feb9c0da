"""Names of columns as agencies write them, and the columns of the schemas that they stand for.

A name is compared without case, blanks and punctuation. What is suggested here is shown beside samples of the values,
and the clerk decides.
"""

import re
from collections.abc import Iterable
from typing import Final

from cji_core.format.records import SCHEMAS

_ALSO: Final = {
    "record_id": "id recordid personid rowid key uniqueid recordnumber mninumber masternameindex",
    "NAM": "name fullname personname",
    "last": "lastname surname familyname lname namelast",
    "first": "firstname givenname forename fname namefirst",
    "middle": "middlename mname mi middleinitial secondname namemiddle",
    "suffix": "namesuffix sfx generation",
    "DOB": "dateofbirth birthdate birthday bdate dobdate borndate",
    "SEX": "gender sexcode",
    "RAC": "race racecode",
    "ETN": "ethnicity ethnic",
    "POB": "placeofbirth birthplace",
    "HGT": "height",
    "WGT": "weight",
    "EYE": "eyes eyecolor eyecolour",
    "HAI": "hair haircolor haircolour",
    "SOC": "ssn socialsecuritynumber socialsecurity socialsecurityno socsecno ssnumber",
    "OLN": "driverslicense driverlicense dlnumber dln licensenumber driverslicensenumber dlno",
    "OLS": "dlstate licensestate driverslicensestate",
    "FBI": "fbinumber fbino ucn",
    "SID": "stateid stateidnumber stateidentificationnumber sidnumber",
    "street_number": "housenumber streetno houseno",
    "address_1": "address street streetaddress address1 addressline1 addr streetname",
    "city": "town cityname",
    "state": "statecode st province",
    "postcode": "zip zipcode postalcode zip5",
    "county": "countyname",
    "country": "countrycode",
    "ORI": "agency agencyori agencyid",
    "OCA": "casenumber caseno agencycasenumber",
    "VIN": "vehicleidentificationnumber vinnumber",
    "LIC": "plate licenseplate platenumber tag",
    "LIS": "platestate licenseplatestate",
    "narrative": "text report reporttext description",
    "date": "eventdate incidentdate reportdate",
    "subject": "subjectid personid",
    "offense": "offence offensedescription chargedescription",
    "charge": "chargedescription",
    "offense_code": "offencecode chargecode statutecode",
}


def suggest(found: Iterable[str], schema_id: str) -> dict[str, str]:
    """The column of the schema for each name that is found; "" for none. No column is suggested twice."""
    wanted = {_plain(name): name for name in SCHEMAS[schema_id].columns}
    likely = {name: _ALSO[name].split() for name in SCHEMAS[schema_id].columns if name in _ALSO}
    also = {other: name for name, others in likely.items() for other in others}
    names, taken = list(found), set[str]()
    suggested = dict.fromkeys(names, "")
    for table in (wanted, also):  # a name of the schema itself goes before one that is only like it
        for name in names:
            target = table.get(_plain(name), "")
            if target and not suggested[name] and target not in taken:
                suggested[name] = target
                taken.add(target)
    return suggested


def likely_schema(found: Iterable[str], among: Iterable[str]) -> str:
    """The schema of `among` of which most columns are found; the first of those that are as good."""
    names = list(found)
    return max(among, key=lambda one: sum(map(bool, suggest(names, one).values())))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
