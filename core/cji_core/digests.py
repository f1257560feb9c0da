"""Members of a number of hexadecimal digits, in lower case; `cji_core.strict.hex_decode` reads text of digits."""

from typing import Annotated

from msgspec import Meta

Hex32 = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]  # a random id
Hex64 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]  # SHA-256
Hex96 = Annotated[str, Meta(pattern=r"^[0-9a-f]{96}\Z")]  # SHA-384
