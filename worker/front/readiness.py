"""The answer of the health service: SERVING while the keyholder is ready and no other process is stopped."""

import asyncio
import contextlib

from worker.front.health import Health
from worker.front.keyholder_client import KeyholderClient
from worker.front.service import Service
from worker.ipc import Channel
from worker.ipc.beats import BEAT_S, Pulse
from worker.ipc.messages import Beat, Drain, NotReady, SupervisorFromChild, Up


class Readiness:
    """Follows the keyholder's reports and the beats of both neighbours, and beats itself."""

    def __init__(
        self,
        health: Health,
        *,
        name: str,
        keyholder: KeyholderClient,
        service: Service,
        supervisor: Channel[Drain | Beat, SupervisorFromChild],
    ) -> None:
        """`name` is the service whose health is answered."""
        self._health, self._name = health, name
        self._keyholder, self._service, self._supervisor = keyholder, service, supervisor
        self.pulse = Pulse()
        """Of the supervisor."""

    async def follow(self, port: int) -> None:
        """Follow for ever; tell the supervisor the port when jobs are served for the first time."""
        reported, announced = False, False
        while True:
            self._supervisor.offer(Beat())
            serving = self._serving()
            if serving != reported:
                reported = serving
                self._health.set(self._name, serving=serving)
            if serving and not announced:
                announced = True
                self._supervisor.send(Up(port=port))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._keyholder.changed.wait(), BEAT_S)
            self._keyholder.changed.clear()

    def _serving(self) -> bool:
        stopped = [pulse.stale() for pulse in (self.pulse, self._keyholder.pulse)]
        return not (any(stopped) or self._service.draining or isinstance(self._keyholder.ready, NotReady))
