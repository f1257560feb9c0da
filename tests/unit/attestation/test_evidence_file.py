"""evidence.json has one reading: no member twice, and base64 in its one form."""

import re

import pytest

from cji_attestation.evidence_file import decode_evidence
from cji_core.errors import SpecError
from tests.support.evidence_files import evidence_file


def test_a_file_is_read_however_it_is_indented() -> None:
    text = evidence_file()
    assert decode_evidence(text) == decode_evidence(re.sub(rb"\s*\n\s*", b"", text))


def test_a_member_twice_is_refused() -> None:
    text = evidence_file()
    with pytest.raises(SpecError):
        decode_evidence(text.rstrip()[:-1] + b',"cloud":"AzurePublic"}')


def test_base64_with_bits_behind_its_end_is_refused() -> None:
    """msgspec reads `aGl=` as the bytes of `aGk=`: one piece of evidence would have several texts."""
    text = evidence_file()
    found = re.search(rb'"nonce": ?"([A-Za-z0-9+/]{42})([A-Za-z0-9+/])="', text)
    assert found is not None
    letter = bytes([found[2][0] + 1])
    changed = text.replace(found[0], found[0][:-3] + letter + b'="')
    assert changed != text
    with pytest.raises(SpecError):
        decode_evidence(changed)
