"""Originating Agency Identifiers: nine characters A-Z0-9, the first two a state, a territory or the federal level.

Sources: FBI NIBRS Technical Specification 3.1 §3.1 (nine characters, state first); NCIC state and territory code tables
(NIEM `ncic.xsd`). The federal and Canadian prefixes are in use, but we found no public table of them: an operator can
replace the set with `tables.ori_prefixes` in the policy. The policy's exact list authorises agencies, not this module.
"""

import re
from collections.abc import Set as AbstractSet
from typing import Final

_STATES: Final = (
    "AK AL AR AZ CA CO CT DC DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NB NC ND NH NJ NM NV NY OH OK OR "
    "PA RI SC SD TN TX UT VA VT WA WI WV WY"
)
_TERRITORIES: Final = "AM GM MK PR VI"
# NE is the postal code of Nebraska, which NCIC writes NB; both are seen.
_UNVERIFIED: Final = "NE US AB BC MB NF NK NS NT ON PE PQ SN YT"

ORI_PREFIXES: Final[frozenset[str]] = frozenset(f"{_STATES} {_TERRITORIES} {_UNVERIFIED}".split())

_ORI: Final = re.compile(r"[A-Z0-9]{9}")


def is_ori(text: str, prefixes: AbstractSet[str] = ORI_PREFIXES) -> bool:
    """Whether `text` has the shape of an ORI under these prefixes."""
    return _ORI.fullmatch(text) is not None and text[:2] in prefixes
