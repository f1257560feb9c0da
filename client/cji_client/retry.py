"""When a call is made again, and after which pause: one rule for jobs that go to a worker and for jobs by reference.

    connect("client.toml", retry=RetryPolicy(seconds=600, longest_pause=30))

Whether to call again can help is the word of the table of reasons (`cji_core.errors.REASONS`, `soon`) for a worker's
refusal; of Azure Storage, for a service that is away. A job that was refused for any other reason is not sent again.
"""

import random
import time
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from cji_client.errors import ClientError, Unreachable, WorkerRefused
from cji_core.errors import REASONS

_GROWTH: Final = 2.0


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of the calls for one job, as a value for `connect` and as the section `[retry]` of a profile.

    Pauses grow from `first_pause` to `longest_pause`, each with jitter; a longer one that the other side asks for is
    kept. No call begins `seconds` after the first one; without it, the deadline of a job is the bound, and a job by
    reference, which has none, is not tried again. RetryPolicy(attempts=1) never calls again.
    """

    attempts: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    """Calls, the first one included."""
    seconds: Annotated[float, Meta(gt=0, le=604_800)] | None = None
    first_pause: Annotated[float, Meta(gt=0, le=3_600)] = 0.2
    """Seconds."""
    longest_pause: Annotated[float, Meta(gt=0, le=3_600)] = 10.0
    """Seconds."""

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_pause <= 0 or not (self.seconds is None or self.seconds > 0):
            raise ValueError("attempts, seconds and first_pause are more than 0")
        if self.longest_pause < self.first_pause:
            raise ValueError("longest_pause is not less than first_pause")

    def calls(self, *, deadline: float | None = None) -> "Calls":
        """The calls for one job from now on; `deadline`, in seconds, is that of the job."""
        bounds = [each for each in (self.seconds, deadline) if each is not None]
        return Calls(policy=self, until=time.monotonic() + min(bounds, default=0.0), _pause=self.first_pause)


@dataclass(slots=True, kw_only=True)
class Calls:
    """The calls for one job, counted. `until` is on the monotonic clock."""

    policy: RetryPolicy
    until: float
    made: int = 0
    _pause: float = field(repr=False)

    def pause_after(self, error: ClientError) -> float | None:
        """The seconds to wait before the next call, None if there is none. Call it once after each that failed."""
        self.made += 1
        wait = random.uniform(self._pause / 2, self._pause)  # noqa: S311 - jitter
        self._pause = min(_GROWTH * self._pause, self.policy.longest_pause)
        pause = max(getattr(error, "retry_after", None) or 0.0, wait)
        late = time.monotonic() + pause >= self.until
        return None if late or self.made >= self.policy.attempts or not soon(error) else pause


def soon(error: ClientError) -> bool:
    """Whether the same call may succeed soon."""
    if isinstance(error, WorkerRefused):
        return REASONS[error.reason].soon
    return isinstance(error, Unreachable)
