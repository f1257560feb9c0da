"""What the metadata service may answer, from a real server on loopback that answers what a test tells it."""

import base64
import json
from collections.abc import Callable, Iterator

import msgspec
import pytest

from cji_attestation import AZURE_US, Fault, Trust
from cji_attestation.evidence.imds import MAX_USER_DATA, amd_certificates, region, td_quote, user_data
from tests.support.answers import Answers, serving
from tests.support.refusals import rejected

THIM, QUOTE = "/metadata/THIM/amd/certification", "/acc/tdquote"
PLACE = "/metadata/instance/compute/location"
DATA = "/metadata/instance/compute/userData"
CERTIFICATES = {"vcekCert": "V\n", "certificateChain": "A\nB\n", "tcbm": "DB18000000000004"}


@pytest.fixture
def served() -> Iterator[Answers]:
    answers = {
        THIM: json.dumps(CERTIFICATES).encode(),
        QUOTE: b'{"quote":"cXVvdGU"}',
        PLACE: b"eastus\n",
        DATA: b"ZGF0YQ==\n",
    }
    with serving(Answers({path: ({}, body) for path, body in answers.items()})) as state:
        yield state


def trust(served: Answers) -> Trust:
    return msgspec.structs.replace(AZURE_US, imds=served.base)


def refused(served: Answers, path: str, body: bytes, check: str) -> None:
    served.answers[path] = ({}, body)
    readers: dict[str, Callable[[Trust], object]] = {
        THIM: amd_certificates,
        PLACE: region,
        DATA: user_data,
        QUOTE: lambda trust: td_quote(trust, bytes(1024)),
    }
    with rejected(check, fault=Fault.EVIDENCE_UNAVAILABLE):
        readers[path](trust(served))


@pytest.mark.parametrize("status", [404, 410])
def test_a_machine_that_has_just_booted_is_asked_again(
    served: Answers, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cji_attestation.evidence.service.PAUSE_SECONDS", 0.01)
    served.first = [status]
    assert region(trust(served)) == "eastus"
    assert len(served.asked) == 2


def test_certificates(served: Answers) -> None:
    found = amd_certificates(trust(served))
    assert (found.pem, found.tcb) == (b"V\nA\nB\n", bytes.fromhex("04000000000018db"))
    assert served.asked == [("GET", THIM, b"")]


@pytest.mark.parametrize(
    "change", [{"tcbm": "DB1800000000000"}, {"tcbm": "x"}, {"tcbm": 7}, {"vcekCert": "ä"}, {"certificateChain": None}]
)
def test_certificates_that_are_none(served: Answers, change: dict[str, object]) -> None:
    refused(served, THIM, json.dumps(CERTIFICATES | change).encode(), "imds-thim")
    refused(served, THIM, b"[]", "imds-thim")


def test_quotes(served: Answers) -> None:
    report = bytes(range(256)) * 4
    assert td_quote(trust(served), report) == b"quote"
    ((method, path, body),) = served.asked
    assert (method, path, len(json.loads(body)["report"])) == ("POST", QUOTE, 1366)  # base64url of 1024, unpadded
    served.answers[QUOTE] = ({}, b'{"quote":"cXVvdGU="}')
    assert td_quote(trust(served), report) == b"quote"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"quote":7}', b'{"quote":"*"}', b'{"quote":"cXVvdGV"}'])
def test_quotes_that_are_none(served: Answers, body: bytes) -> None:
    refused(served, QUOTE, body, "imds-tdquote")


def test_region(served: Answers) -> None:
    assert region(trust(served)) == "eastus"
    for body in (b"", b"East US", b"\xff", b"a" * 41):
        refused(served, PLACE, body, "imds-location")


def test_user_data(served: Answers) -> None:
    assert user_data(trust(served)) == b"data"
    served.answers[DATA] = ({}, base64.b64encode(bytes(MAX_USER_DATA)))
    assert user_data(trust(served)) == bytes(MAX_USER_DATA)
    for body in (b"", b"*", b"ZGF0YQ", b"ZGF0YQ==x", base64.b64encode(bytes(MAX_USER_DATA + 1))):
        refused(served, DATA, body, "user-data")
