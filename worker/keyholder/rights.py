"""The rights of the keyholder: TPM, audit folder, policy and vTPM authorities, name lookup, TCP to its services.

It stays the user that the supervisor was started as, who owns these files; every other process becomes another one.
UDP is for name lookup, and addresses are limited by the unit. Sources: landlock(7), resolv.conf(5), nsswitch.conf(5).
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from attestation import Trust
from worker.config import Config
from worker.memory import harden
from worker.operator_files import signatures_path
from worker.rights import LISTENING, deny, deny_powers, drop_capabilities, forbid_files_and_network

_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
"""Of the TPM's interface and name lookup, which are loaded when they are first needed."""
_NAMES: Final = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services"),
    "/run/systemd/resolve",
)
_ROOTS: Final = ("/etc/ssl", "/usr/share/ca-certificates", "/etc/pki")
"""Roots of trust of the system, and OpenSSL's own configuration."""
_KERNEL: Final = ("/dev/urandom", "/proc/self")
"""Seeds; the files that this process has mapped."""
_FIPS: Final = ("OPENSSL_CONF", "OPENSSL_MODULES")
_PORT_OF: Final = {"http": 80, "https": 443}
_DNS: Final = 53


def confine(config: Config, trust: Trust) -> None:
    """Give up everything else, for good. Needs a single thread. Raises StartupError.

    A file that is missing is not added: whatever needs it reports that by name.
    """
    drop_capabilities()
    harden(die_with_parent=True)
    environment = (os.environ[name] for name in _FIPS if name in os.environ)
    named = filter(None, (config.policy_file, signatures_path(config.policy_file), config.attestation.ak_issuers))
    read = (*sys.path, *_LIBRARIES, *_NAMES, *_ROOTS, *_KERNEL, *named, *environment)
    forbid_files_and_network(
        read=filter(os.path.exists, read),
        write=filter(os.path.exists, _written(config, trust)),
        connect=ports(config, trust),
    )
    deny_powers()
    deny(LISTENING)


def _written(config: Config, trust: Trust) -> Iterator[str]:
    """The TPM's device and the folders of trail and ledger."""
    interface, _, device = trust.tcti.partition(":")
    if interface == "device":
        yield device
    for name in {config.audit_file, config.audit_ledger or config.audit_file}:
        yield str(Path(name).parent)


def ports(config: Config, trust: Trust) -> set[int]:
    """TCP ports of the services that this worker uses."""
    section = config.attestation
    urls = [trust.imds, trust.intel_pcs, trust.intel_root_crl, section.maa_url, *(key.kek_id for key in config.keys)]
    if config.entra is not None:
        urls.append(trust.entra)
    parts = map(urlsplit, urls)
    return {_DNS, *(part.port or _PORT_OF.get(part.scheme, 443) for part in parts)}
