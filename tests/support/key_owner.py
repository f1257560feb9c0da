"""The credential of the keys' owner, for real clients of the simulated vault."""

import time
from typing import Any

from azure.core.credentials import AccessToken, AccessTokenInfo

from cji_simulator.simulation import Simulation

__all__ = ["Owner"]


class Owner:
    """Signs in as whoever owns the keys of a simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for the first scope, valid for an hour."""
        token = self._simulation.operator_token(scopes[0].removesuffix("/.default"))
        return AccessToken(token, int(time.time()) + 3600)

    def get_token_info(self, *scopes: str, **_: Any) -> AccessTokenInfo:
        """The same in the newer protocol of azure-core."""
        return AccessTokenInfo(*self.get_token(*scopes))
