"""Every byte of one sound bundle, changed: all of them are refused, but for those that are named here, with the reason.

PEM may be broken into lines in more than one way. A machine without a certificate of its AK is accepted, and the
verdict says so.
"""

import collections
import sys
from collections.abc import Iterator

import msgspec
import pytest

from cji_attestation import AttestationError
from cji_attestation.appraisal import appraise
from cji_attestation.appraisal.snp import authenticate_report
from cji_attestation.evidence import Evidence
from tests.support.forge import machine
from tests.support.remembered import remembered

FIELDS = (
    "hcl_report",
    "ak_public",
    "ak_cert",
    "certs",
    "quote",
    "quote_signature",
    "pcrs",
    "ephemeral",
    "certify",
    "certify_signature",
)
WHITESPACE = frozenset(b" \t\n\r\v\f")


def fields(evidence: Evidence) -> Iterator[tuple[str, bytes]]:
    for name in FIELDS:
        value = getattr(evidence, name)
        yield name, b"".join(value) if name == "pcrs" else value


def with_field(evidence: Evidence, name: str, value: bytes) -> Evidence:
    if name == "pcrs":
        return msgspec.structs.replace(evidence, pcrs=tuple(value[at : at + 32] for at in range(0, len(value), 32)))
    return msgspec.structs.replace(evidence, **{name: value})


def judged(evidence: Evidence) -> bool:
    """Whether it is accepted; nothing but AttestationError may be raised."""
    try:
        machine().appraise(evidence)
    except AttestationError:
        return False
    return True


def not_ours_to_judge(name: str, value: bytes, at: int, flip: int) -> bool:
    return name == "certs" and {value[at], value[at] ^ flip} <= WHITESPACE


@pytest.fixture
def _reports_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report and chain that were sound before, while other fields change, are not verified again."""
    monkeypatch.setattr(sys.modules[appraise.__module__], "authenticate_report", remembered(authenticate_report))


@pytest.mark.usefixtures("_reports_once")
def test_every_byte_of_a_bundle_matters(capsys: pytest.CaptureFixture[str]) -> None:
    sound = machine().evidence()
    assert judged(sound)
    changed: collections.Counter[str] = collections.Counter()
    passed: list[tuple[str, int]] = []
    for name, value in fields(sound):
        for at in range(len(value)):
            flip = 1 << at % 8
            data = bytearray(value)
            data[at] ^= flip
            changed[name] += 1
            if judged(with_field(sound, name, bytes(data))) and not not_ours_to_judge(name, value, at, flip):
                passed.append((name, at))
    with capsys.disabled():
        print(f"\n{changed.total()} changed bytes of one SNP bundle: {dict(changed)}")
    assert not passed
    assert set(changed) == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("how", ["byte-more", "zero-more", "byte-less", "first-byte-less", "nothing", "twice"])
def test_every_length_of_a_bundle_matters(name: str, how: str) -> None:
    sound = machine().evidence()
    value = dict(fields(sound))[name]
    wrong = {
        "byte-more": value + b"\x01",
        "zero-more": value + b"\0",
        "byte-less": value[:-1],
        "first-byte-less": value[1:],
        "nothing": b"",
        "twice": value * 2,
    }[how]
    if name == "certs" and how == "byte-less":
        wrong = value.rstrip()[:-1]  # behind the last line is white space
    assert judged(with_field(sound, name, wrong)) == ((name, how) == ("ak_cert", "nothing"))
