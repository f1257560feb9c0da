"""The keys that every `[[sinks]]` table of `audit.toml` has."""

from typing import Annotated

import msgspec
from msgspec import Meta

from cji_core.format.config import DestinationName
from cji_worker.deliverer.sinks.batch import MappingName

Text = Annotated[str, Meta(min_length=1, max_length=1024)]


class SinkTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`name` is that of its file in the state folder; `mapping` is the form of its events."""

    name: DestinationName
    mapping: MappingName = "native"
