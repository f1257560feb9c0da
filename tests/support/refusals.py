"""What a test expects to be refused: by the worker with a Reason, by attestation with the id of a check."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cji_attestation import AttestationError, Fault
from cji_core.errors import Reason, Refusal, Stage

__all__ = ["refused", "rejected"]


@contextmanager
def refused(*reasons: Reason, stage: Stage | None = None) -> Iterator[pytest.ExceptionInfo[Refusal]]:
    """Expect a Refusal for one of `reasons`, or for any if none is given, at `stage` if that is given."""
    with pytest.raises(Refusal) as caught:
        yield caught
    assert not reasons or caught.value.reason in reasons, f"{caught.value.reason}, not {reasons}"
    assert stage in (None, caught.value.stage), f"at {caught.value.stage}, not {stage}"


@contextmanager
def rejected(*checks: str, fault: Fault | None = None) -> Iterator[pytest.ExceptionInfo[AttestationError]]:
    """Expect an AttestationError by one of `checks`, or by any if none is given, with `fault` if that is given."""
    with pytest.raises(AttestationError) as caught:
        yield caught
    assert not checks or caught.value.check in checks, f"check {caught.value.check}, not {checks}"
    assert fault in (None, caught.value.fault), f"{caught.value.fault}, not {fault}"
