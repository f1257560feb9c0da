"""The result of one requirement on one resource."""

from typing import Literal

import msgspec


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One requirement on one resource. `remedy` is empty if there is nothing to do."""

    id: str
    """The requirement, such as `vaults properties.enablePurgeProtection`."""
    resource: str
    state: Literal["ok", "failed", "not run"]
    found: str
    remedy: str = ""
