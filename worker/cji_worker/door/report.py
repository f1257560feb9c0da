"""The door's report on a caller: metadata of each call, which the front reads (`cji_worker.front.peer`).

And the number of calls that the door lets through.
"""

from typing import Final

PREFIX: Final = "cji-peer-"
CERTIFICATE_HEADER: Final = f"{PREFIX}certificate"
"""PEM, escaped as a part of a URI."""
SOURCE_HEADER: Final = f"{PREFIX}source"
"""`[ADDRESS]:PORT`."""
TLS_HEADER: Final = f"{PREFIX}tls"
"""Protocol, suite, and VERIFIED."""

PROTOCOL: Final = "TLSv1.3"
CIPHER: Final = "TLS_AES_256_GCM_SHA384"
VERIFIED: Final = "SUCCESS"
MAX_CALLS: Final = 1024
"""Connections to all fronts: one for each call."""
OWN_SERVICE: Final = "cji.worker.v1.CjiDoor"
"""The calls of the door for itself, at the front's socket. It passes none on: its locations name other services."""
