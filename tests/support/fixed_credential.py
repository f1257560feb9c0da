"""A credential without a service."""

import time
from dataclasses import dataclass, field
from typing import Any

from azure.core.credentials import AccessToken


@dataclass(kw_only=True)
class FixedCredential:
    """A token for every audience; the scopes are recorded."""

    scopes: list[str] = field(default_factory=list)

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken("local-token", int(time.time()) + 3600)
