"""What no other test would miss if it were gone; `python -m tests.fuzz.mutants` found each."""

from datetime import date

import pytest

from attestation import AttestationError, Fault
from attestation.appraisal import ReferenceValues, check_reference
from attestation.appraisal.advisories import Advisory, AdvisoryList
from attestation.strict_json import parse_object


def test_integers_longer_than_any_claim() -> None:
    """Python itself refuses only those of more than 4300 digits."""
    assert parse_object(b'{"a":18446744073709551615}', limit=99, fault=Fault.TOKEN_INVALID, check="x")["a"] == 2**64 - 1
    with pytest.raises(AttestationError):
        parse_object(b'{"a":100000000000000000000}', limit=99, fault=Fault.TOKEN_INVALID, check="x")


@pytest.mark.parametrize("text", [rb'{"a":"\ud800"}', rb'{"\uDFFF":1}', rb'{"a":["\udc00\ud800"]}'])
def test_text_that_utf8_cannot_hold(text: bytes) -> None:
    with pytest.raises(AttestationError):
        parse_object(text, limit=99, fault=Fault.TOKEN_INVALID, check="x")
    assert parse_object(rb'{"a":"\ud83d\ude00"}', limit=99, fault=Fault.TOKEN_INVALID, check="x") == {"a": "\U0001f600"}


def test_advisories_may_raise_a_level_that_only_turin_has() -> None:
    def check(product: str) -> None:
        found = Advisory(id="AMD-SB-0001", fixed={product: {"fmc": 2}})  # type: ignore[dict-item]
        listed = AdvisoryList(reviewed=date(2026, 1, 1), expires=date(2026, 2, 1), listed=(found,))
        check_reference(ReferenceValues(advisories=listed))

    check("Turin")
    with pytest.raises(AttestationError):
        check("Genoa")
