"""The front's own clock: memory and the report on refused calls. One loop, once a second."""

import asyncio
import itertools
from typing import Final

from cji_worker.front.keyholder_client import KeyholderClient
from cji_worker.front.refused import RefusedCounter
from cji_worker.front.service import Service
from cji_worker.memory import return_free_memory

_TRIM_S: Final = 5
_REPORT_S: Final = 10
"""A stranger adds one line in this time to the audit trail, however often it calls."""


async def upkeep(*, refused: RefusedCounter, keyholder: KeyholderClient, service: Service) -> None:
    """Trim the heap while no job runs; report what was refused."""
    for second in itertools.count(1):
        await asyncio.sleep(1)
        if second % _TRIM_S == 0 and not service.running:
            return_free_memory()
        if second % _REPORT_S == 0:
            report(refused, keyholder)


def report(refused: RefusedCounter, keyholder: KeyholderClient) -> None:
    """Send the counts of this period to the keyholder."""
    for each in refused.take():
        keyholder.send(each)
