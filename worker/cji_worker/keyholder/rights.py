"""The rights of the keyholder: TPM, audit folder, policy, keys of bundles, vTPM authorities, name lookup, its services.

It stays the user that the supervisor was started as, who owns these files; every other process becomes another one.
UDP is for name lookup, and addresses are limited by the unit. Sources: landlock(7), resolv.conf(5), nsswitch.conf(5).
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cji_attestation import Trust
from cji_core.format.configuration.operator_files import head_path, signatures_path
from cji_core.format.configuration.worker import Config
from cji_core.metadata import socket_of
from cji_worker.keyholder.start_value import FOLDER as START_FOLDER
from cji_worker.memory import harden
from cji_worker.rights import (
    DNS_PORT,
    FIPS_VARIABLES,
    LISTENING,
    NETWORK_FILES,
    deny,
    deny_powers,
    drop_capabilities,
    forbid_files_and_network,
)

_PORT_OF: Final = {"http": 80, "https": 443}


def confine(config: Config, trust: Trust, *, parent: int) -> None:
    """Give up everything else, for good. Needs a single thread. Raises StartupError.

    A file that is missing is not added: whatever needs it reports that by name.
    """
    drop_capabilities()
    harden(parent=parent)
    environment = (os.environ[name] for name in FIPS_VARIABLES if name in os.environ)
    delivery = config.audit_delivery.state if config.audit_delivery else None
    ledger = config.ledger.ca_file if config.ledger else None
    files = config.policy_file, signatures_path(config.policy_file), config.attestation.ak_issuers, delivery, ledger
    bundle = *_bundle(head_path(config.policy_file)), trust.bundle_keys
    seeds = (key.ml_kem_seed_file for key in config.keys)
    read = (*sys.path, *NETWORK_FILES, *filter(None, (*files, *seeds, *bundle)), *environment)
    forbid_files_and_network(
        read=filter(os.path.exists, read),
        write=filter(os.path.exists, _written(config, trust)),
        connect=ports(config, trust),
    )
    deny_powers()
    deny(LISTENING)


def _bundle(head: str) -> Iterator[str]:
    """The folder of a bundle, whose files are compared with its head; none without one."""
    if os.path.lexists(head):
        yield os.path.dirname(head)


def _written(config: Config, trust: Trust) -> Iterator[str]:
    """The TPM's device, the folders of trail and replay ledger, and that of the value of PCR 15."""
    interface, _, device = trust.tcti.partition(":")
    if interface == "device":
        yield device
    for name in {config.audit_file, config.audit_ledger or config.audit_file}:
        yield str(Path(name).parent)
    yield str(START_FOLDER)


def ports(config: Config, trust: Trust) -> set[int]:
    """TCP ports of the services that this worker uses; the broker of the metadata service has a Unix socket."""
    section = config.attestation
    urls = [trust.intel_pcs, trust.intel_root_crl, section.maa_url, *(key.kek_id for key in config.keys)]
    if socket_of(trust.imds) is None:
        urls.append(trust.imds)
    if config.entra is not None:
        urls.append(trust.entra)
    if config.ledger is not None:
        urls.append(config.ledger.blob_url)
    parts = map(urlsplit, urls)
    return {DNS_PORT, *(part.port or _PORT_OF.get(part.scheme, 443) for part in parts)}
