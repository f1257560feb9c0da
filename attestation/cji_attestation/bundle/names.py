"""The names that a bundle can have, and who may read each file on the machine. Anything else is refused.

Most files are root's, in a folder in memory; a file is for one group or for everybody. What everybody reads are
certificates and revocation lists, which are public. A wrapped seed is the keyholder's own, the token for the agency's
log the deliverer's, and nobody else's.
"""

import re
from dataclasses import dataclass
from typing import Final

from cji_core.format.configuration.operator_files import head_path
from cji_core.format.configuration.table_files import NAMES as TABLES


@dataclass(frozen=True, slots=True)
class Access:
    """The group of a file on the machine, or none for a file that everybody may read; an `owner` reads it alone."""

    group: str | None
    owner: str | None = None

    @property
    def mode(self) -> int:
        """Of the file."""
        if self.owner is not None:
            return 0o400
        return 0o644 if self.group is None else 0o640


WORKER: Final = "worker.toml"
ENGINE: Final = "engine.toml"
POLICY: Final = "policy.toml"
AUDIT: Final = "audit.toml"
CONSOLE: Final = "console.toml"
SUBMITTER: Final = "log/submitter.token"
LOG_POLICY: Final = "log/policy.toml"
"""The policy of the agency's log that is in force; earlier ones have other names."""
CHANGE_SUFFIX: Final = ".change.json"
LOST_SUFFIX: Final = ".lost.json"
DOOR: Final = "door.conf"
"""Is written on the machine, beside the files of a bundle, for the build of nginx that it has."""
HEAD: Final = head_path("")
"""Manifest and signatures of the bundle whose files these are; also written beside them."""
HOT: Final = frozenset({POLICY, f"{POLICY}.signatures", "tls/client-roots.pem", "tls/client-crl.pem"})
"""The files that a running worker takes from a later bundle, with those that its reference values name; see `hot`."""
DOOR_ACCESS: Final = Access("cji-door")
ROOT_ACCESS: Final = Access("root")
PUBLIC: Final = Access(None)

_WORKER_ACCESS: Final = Access("cji")
_NAME: Final = "[a-z0-9][a-z0-9._-]{0,62}"
_ALLOWED: Final[tuple[tuple[str, Access], ...]] = (
    (r"worker\.toml", _WORKER_ACCESS),
    (r"policy\.toml(\.signatures)?", _WORKER_ACCESS),
    (rf"tables/({'|'.join(map(re.escape, TABLES))})", _WORKER_ACCESS),
    (rf"reference/(?i:{_NAME}\.(jws|crl|pem|cbor))", _WORKER_ACCESS),
    (rf"seeds/{_NAME}\.seed", Access("cji", owner="cji")),
    (r"audit\.toml", Access("cji-audit")),
    (rf"receipt-keys/{_NAME}\.json", Access("cji-audit")),
    (rf"log/{_NAME}\.toml", Access("cji-audit")),
    (rf"log/{_NAME}\.(change|lost)\.json", Access("cji-audit")),
    (re.escape(SUBMITTER), Access("cji-audit", owner="cji-audit")),
    (r"console\.toml", Access("cji-console")),
    (re.escape(ENGINE), Access("cji-door")),
    (r"tls/(server|client-roots|client-crl|azure-vtpm-issuers)\.pem", PUBLIC),
    (r"tls/[a-z0-9][a-z0-9-]{0,40}-roots\.pem", PUBLIC),
)
LISTED: Final = (
    "worker.toml, engine.toml, policy.toml, policy.toml.signatures, audit.toml, console.toml, tls/server.pem, "
    "tls/client-roots.pem, "
    "tls/client-crl.pem, tls/azure-vtpm-issuers.pem, tls/NAME-roots.pem, reference/NAME.{jws,crl,pem,cbor}, "
    "receipt-keys/NAME.json, log/NAME.toml, log/NAME.{change,lost}.json, log/submitter.token, seeds/NAME.seed, tables/{"
    + ",".join(TABLES)
    + "}"
)
"""All of them, for people."""


def worker_reads(name: str) -> bool:
    """Whether the worker's user may read the file with this name on the machine."""
    access = access_of(name)
    return access is not None and access.group in {None, _WORKER_ACCESS.group}


def access_of(name: str) -> Access | None:
    """The readers of the file with this name; None for a name that no bundle can have."""
    return next((access for pattern, access in _ALLOWED if re.fullmatch(pattern, name, re.ASCII)), None)
