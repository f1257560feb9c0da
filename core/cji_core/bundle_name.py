"""The name of a configuration bundle, for the trail and for reports of processes that load no trail."""

from typing import Annotated

import msgspec
from msgspec import Meta

from cji_core.digests import Hex96


class BundleName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configuration bundle: its serial number, and the SHA-384 that names it."""

    serial: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
    sha384: Hex96
