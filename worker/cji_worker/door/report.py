"""The door's report on a caller: metadata of each call, which the front reads (`cji_worker.front.peer`)."""

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
