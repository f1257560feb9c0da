"""The answer of the health service: SERVING while keyholder and revocation lists allow it and no process is stopped."""

import asyncio
import contextlib

from cji_worker.front.client_certificates import AcceptedClients
from cji_worker.front.health import Health
from cji_worker.front.keyholder_client import KeyholderClient
from cji_worker.front.service import Service
from cji_worker.ipc import Channel
from cji_worker.ipc.beats import BEAT_S, Pulse
from cji_worker.ipc.messages import Beat, FrontFromSupervisor, FrontReport, NotReady, SupervisorFromFront, Up


class Readiness:
    """Follows the keyholder's reports and the beats of both neighbours, and beats itself."""

    def __init__(
        self,
        health: Health,
        *,
        name: str,
        keyholder: KeyholderClient,
        service: Service,
        supervisor: Channel[FrontFromSupervisor, SupervisorFromFront],
        clients: AcceptedClients,
    ) -> None:
        """`name` is the service whose health is answered."""
        self._health, self._name = health, name
        self._keyholder, self._service, self._supervisor, self._clients = keyholder, service, supervisor, clients
        self.pulse = Pulse()
        """Of the supervisor."""

    async def follow(self) -> None:
        """Follow for ever; tell the supervisor when jobs are served for the first time."""
        reported, announced = False, False
        while True:
            self._supervisor.offer(Beat())
            serving = self._serving()
            self._supervisor.offer(self._report(serving=serving))
            if serving != reported:
                reported = serving
                self._health.set(self._name, serving=serving)
            if serving and not announced:
                announced = True
                self._supervisor.send(Up())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._keyholder.changed.wait(), BEAT_S)
            self._keyholder.changed.clear()

    def _serving(self) -> bool:
        stopped = [pulse.stale() for pulse in (self.pulse, self._keyholder.pulse)]
        ready = not isinstance(self._keyholder.ready, NotReady) and self._clients.current()
        return ready and not (any(stopped) or self._service.draining)

    def _report(self, *, serving: bool) -> FrontReport:
        clients = self._clients.now
        crl_until = clients.current_until
        return FrontReport(
            serving=serving,
            jobs=self._service.running,
            crl_until=None if crl_until is None else int(crl_until.timestamp()),
            authorities_until=int(clients.authorities_until.timestamp()),
            revoked=clients.revoked,
        )
