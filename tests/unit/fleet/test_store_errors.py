"""Errors of Microsoft's clients: each becomes one of ours, and a service that is away is asked three times."""

from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.storage.blob import StorageErrorCode

from cji_core.pool import exchange
from cji_core.pool.errors import BlobAbsentError, BlobChangedError, LeaseLostError, StoreAwayError, StoreError


def answered(status: int, kind: type[HttpResponseError] = HttpResponseError, code: str = "") -> HttpResponseError:
    response: Any = SimpleNamespace(status_code=status, reason="canary", headers={})
    error = kind(message="canary", response=response)
    error.error_code = StorageErrorCode(code) if code else None  # type: ignore[attr-defined]  # as their clients do
    return error


@pytest.mark.parametrize(
    ("what", "error", "expected", "asked"),
    [
        ("blob", answered(404, ResourceNotFoundError), BlobAbsentError, 1),
        ("blob", answered(412, ResourceModifiedError), BlobChangedError, 1),
        ("blob", answered(409, ResourceExistsError), BlobChangedError, 1),
        ("blob", answered(416), BlobChangedError, 1),
        ("blob", answered(404, ResourceNotFoundError, "BlobNotFound"), BlobAbsentError, 1),
        ("blob", answered(404, ResourceNotFoundError, "ContainerNotFound"), StoreAwayError, 1),
        ("blob", answered(403, code="UnauthorizedBlobOverwrite"), BlobChangedError, 1),
        ("blob", answered(403, code="AuthorizationFailure"), StoreAwayError, 1),
        ("blob", answered(403), StoreAwayError, 1),
        ("blob", answered(429), StoreAwayError, 3),
        ("blob", answered(503), StoreAwayError, 3),
        ("blob", ServiceRequestError("canary"), StoreAwayError, 3),
        ("queue", answered(404, ResourceNotFoundError), StoreAwayError, 1),
        ("ticket", answered(404, ResourceNotFoundError), LeaseLostError, 1),
        ("ticket", answered(400), LeaseLostError, 1),
        ("ticket", answered(500), StoreAwayError, 3),
    ],
)
def test_an_error_is_one_of_ours_without_its_text(
    monkeypatch: pytest.MonkeyPatch, what: str, error: AzureError, expected: type[StoreError], asked: int
) -> None:
    monkeypatch.setattr("cji_core.pool.exchange.time.sleep", lambda _: None)
    times = []

    def ask() -> None:
        times.append(1)
        raise error

    with pytest.raises(expected) as found:
        exchange.tried(what, ask)
    assert type(found.value) is expected
    assert len(times) == asked
    assert "canary" not in str(found.value)


def test_a_service_that_comes_back_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_core.pool.exchange.time.sleep", lambda _: None)
    answers = [answered(503), answered(503), None]

    def ask() -> str:
        if (error := answers.pop(0)) is not None:
            raise error
        return "answer"

    assert exchange.tried("blob", ask) == "answer"
