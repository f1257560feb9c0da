"""What is made of a vault's refusals and of waits that a service asks for, from a real server on loopback."""

import json

import pytest
from azure.core import PipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest, HttpResponse
from msgspec.structs import replace

from cji_attestation import AZURE_US, AttestationError, Fault
from cji_attestation.release.vault import Vault, _refused
from cji_core.https import MAX_RETRY_AFTER, retry_after
from cji_core.metadata import BROKER, TOKEN, token_target
from tests.support.answers import Answers, serving
from tests.support.refusals import rejected

ELSEWHERE = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE")


def refusal(status: int, body: object, **headers: str) -> AttestationError:
    """What becomes of an answer, as Microsoft's client raises it."""
    answer = (headers, json.dumps(body).encode())
    with serving(Answers({"/": answer}, status=status)) as server:
        client = PipelineClient[HttpRequest, HttpResponse](server.base)
        with client:
            found = client.send_request(HttpRequest("GET", server.base + "/"))
    with rejected() as caught:
        _refused(HttpResponseError(response=found))
    return caught.value


def inner(value: object) -> dict[str, object]:
    return {"error": {"code": "Forbidden", "message": "no", "innererror": value}}


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ({"code": "ForbiddenByRbac"}, "-ForbiddenByRbac"),
        ({"code": "ForbiddenByConnection", "innererror": {"code": "AccessDenied"}}, "-ForbiddenByConnection"),
        ({"code": "SomethingElse"}, ""),
        ({"code": ["ForbiddenByRbac"]}, ""),
        ({}, ""),
        (["ForbiddenByRbac"], ""),
        ("ForbiddenByRbac", ""),
        (None, ""),
    ],
)
def test_only_known_codes_are_told(value: object, detail: str) -> None:
    error = refusal(403, inner(value))
    assert (error.fault, error.check) == (Fault.RELEASE_DENIED, f"vault-403{detail}")


@pytest.mark.parametrize("body", [{}, [], {"error": None}, {"error": "x"}, "x"])
def test_a_refusal_without_a_code(body: object) -> None:
    assert refusal(404, body).check == "vault-404"


def test_an_error_of_the_client_has_no_status_and_no_answer() -> None:
    with rejected("vault-0", fault=Fault.RELEASE_UNAVAILABLE) as caught:
        _refused(HttpResponseError("the answer cannot be read"))
    assert caught.value.retry_after is None


@pytest.mark.parametrize(("said", "wait"), [("7", 7.0), ("\u00b2", 10.0), ("soon", 10.0), ("0", 10.0)])
def test_k10_the_wait_that_a_throttling_vault_asks_for(said: str, wait: float) -> None:
    error = refusal(429, {}, **{"Retry-After": said})
    assert (error.fault, error.check, error.retry_after) == (Fault.RELEASE_THROTTLED, "vault-429", wait)


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("120", 120.0),
        ("301", MAX_RETRY_AFTER),
        ("9" * 400, MAX_RETRY_AFTER),
        ("\u00b2", None),  # a digit that is no number
        ("\u0667", None),  # a number that is not ASCII
        ("1.5", None),
        ("-1", None),
        ("Tue, 24 Nov 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_a_number_of_seconds(said: str | None, wait: float | None) -> None:
    assert retry_after(said) == wait


def test_k04_a_token_is_asked_for_the_pinned_resource_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ELSEWHERE:  # where Microsoft's own client would go
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    pinned = "https://vault.azure.net"
    token = {"access_token": "t", "expires_on": "2000000000", "resource": pinned, "token_type": "Bearer"}
    with serving(Answers({TOKEN: ({}, json.dumps(token).encode())})) as server:
        credential = Vault(trust=replace(AZURE_US, imds=server.base), client_id="1234").credential(pinned)
        for scopes in ((), ("https://evil.example/.default",), (f"{pinned}/.default", "openid"), (pinned,)):
            with rejected("resource", fault=Fault.IDENTITY_UNAVAILABLE):
                credential.get_token_info(*scopes)
        assert server.asked == []
        assert credential.get_token_info(f"{pinned}/.default").token == "t"
        assert server.paths == [token_target(pinned, "1234")]


def test_r02_a_worker_asks_the_broker() -> None:
    credential = Vault(trust=AZURE_US, client_id=None).credential("https://vault.azure.net")
    assert credential._inner._address == BROKER == "unix:/run/cji-broker/socket"
