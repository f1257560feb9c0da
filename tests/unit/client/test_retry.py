"""One rule for calls that are made again: what the table of reasons calls temporary, within the bounds of a policy."""

import pytest

from cji_client.errors import ClientError, SpecError, StorageRefused, Unreachable, WorkerRefused
from cji_client.profile import ClientProfile
from cji_client.retry import RetryPolicy, soon
from cji_core.documents import convert
from cji_core.errors import REASONS, Reason

AWAY = Unreachable("the service is away")


def refused(reason: Reason, retry_after: float | None = None) -> WorkerRefused:
    retryable = REASONS[reason].retryable
    return WorkerRefused(reason, stage=None, correlation_id="", retryable=retryable, retry_after=retry_after)


def test_the_table_of_reasons_decides() -> None:
    temporary = {each for each in Reason if soon(refused(each))}
    assert temporary == {each for each, info in REASONS.items() if info.soon}
    assert {each.value for each in temporary} == {
        "OVERLOADED", "NOT_READY", "KEY_THROTTLED", "DRAINING",
        "ADMISSION_WORKER", "ADMISSION_NONCE", "ADMISSION_ATTEMPT",
    }  # fmt: skip
    assert all(REASONS[each].retryable for each in temporary)


@pytest.mark.parametrize(
    "error", [SpecError("x"), StorageRefused("x", status=403, remedy="y"), refused(Reason.EXPIRED)]
)
def test_what_stays_refused_is_not_called_again(error: ClientError) -> None:
    assert RetryPolicy(seconds=100).calls().pause_after(error) is None


def test_pauses_grow_to_their_bound_and_end_with_the_attempts() -> None:
    calls = RetryPolicy(attempts=6, seconds=1000, first_pause=1, longest_pause=4).calls()
    pauses = [calls.pause_after(AWAY) for _ in range(6)]
    for pause, most in zip(pauses, (1, 2, 4, 4, 4), strict=False):
        assert pause is not None
        assert most / 2 <= pause <= most
    assert pauses[5] is None


def test_a_pause_that_the_worker_asks_for_is_kept() -> None:
    assert RetryPolicy(seconds=100).calls().pause_after(refused(Reason.OVERLOADED, 33.0)) == 33.0
    assert RetryPolicy(seconds=20).calls().pause_after(refused(Reason.OVERLOADED, 33.0)) is None


def test_the_least_bound_counts_and_none_is_no_second_call() -> None:
    assert RetryPolicy().calls().pause_after(AWAY) is None
    assert RetryPolicy().calls(deadline=100).pause_after(AWAY) is not None
    assert RetryPolicy(seconds=0.01).calls(deadline=100).pause_after(AWAY) is None
    assert RetryPolicy(attempts=1).calls(deadline=100).pause_after(AWAY) is None


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"seconds": 0.0}, {"first_pause": 0.0}, {"longest_pause": 0.1}])
def test_bounds_have_an_order_in_programs_and_profiles(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"more than 0|not less than"):
        RetryPolicy(**bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"retry|longest_pause"):
        convert({"target": "x", "cloud": "x", "maa_url": "x", "retry": bad}, ClientProfile)
