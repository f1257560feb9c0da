"""A block of the front's code ends by time, or from outside, with the Refusal that was chosen for it."""

import asyncio

from cji_core.errors import Reason, Refusal, Stage
from cji_worker.front.patience import Lifetime, TimeLimit
from tests.support.refusals import refused

REVOKED = Refusal(Reason.CERTIFICATE_REFUSED, stage=Stage.COMPUTE)
OTHER = Refusal(Reason.REVOCATION_UNKNOWN, stage=Stage.COMPUTE)


async def _waits(lifetime: Lifetime) -> None:
    async with lifetime:
        await asyncio.sleep(60)


def test_a_block_ends_with_the_first_refusal() -> None:
    async def ends() -> None:
        lifetime = Lifetime()
        block = asyncio.create_task(_waits(lifetime))
        await asyncio.sleep(0)
        lifetime.end(REVOKED)
        lifetime.end(OTHER)
        await block

    with refused(Reason.CERTIFICATE_REFUSED):
        asyncio.run(ends())


def test_the_end_of_a_block_that_is_over_changes_nothing() -> None:
    """A caller that does not read its status keeps its call open after the block."""

    async def ends() -> Refusal | None:
        lifetime = Lifetime()
        async with lifetime:
            pass
        lifetime.end(REVOKED)
        return lifetime.refusal

    assert asyncio.run(ends()) is None


def test_a_time_limit_is_a_refusal() -> None:
    async def waits() -> None:
        async with TimeLimit(0.01, Reason.DEADLINE, Stage.COMPUTE):
            await asyncio.sleep(60)

    with refused(Reason.DEADLINE):
        asyncio.run(waits())
