"""The checks of `cji doctor` on the storage of a pool, [fleet] and [ledger], with the identity of this machine.

Each right that the worker or its fleet process needs is used, where that leaves nothing that counts: a blob that is not
there is read, a block is added to a blob that is never made, the tickets are counted, and the pool ledger gets an empty
blob of no job. No ticket is taken or sent. Immutability is a setting of the account, which this identity cannot read.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from cji_attestation import AttestationError, Trust
from cji_core.audiences import STORAGE
from cji_core.command.findings import Finding, NotOk, State, run_check
from cji_core.format.configuration.fleet import FleetSection, PoolLedgerSection
from cji_core.format.configuration.worker import Config
from cji_core.pool.errors import BlobAbsentError, StoreError
from cji_worker.keyholder.pool_ledger import PROBE, open_pool_ledger

_MOST: Final = 1024
_UNMADE: Final = "doctor"
_UNAUTHORISED: Final = frozenset({401, 403})
_ABSENT: Final = 404


def storage_checks(config: Config, trust: Trust) -> list[Finding]:
    """The findings on both sections."""
    return [
        run_check("fleet storage", lambda: _fleet(config.fleet, trust)),
        run_check("pool ledger", lambda: _pool_ledger(config.ledger, trust)),
    ]


def _fleet(section: FleetSection | None, trust: Trust) -> str:
    if section is None:
        return "not needed: there is no [fleet], so no job comes by reference"
    from cji_attestation.release.vault import Vault  # noqa: PLC0415 - Microsoft's clients take long to import
    from cji_core.pool.queue import Queue  # noqa: PLC0415
    from cji_core.pool.store import Blobs  # noqa: PLC0415

    with _explained("[fleet]", section.blob_url):
        credential = Vault(trust=trust, client_id=section.client_id).credential(STORAGE)
    options: dict[str, Any] = {"credential": credential, "ca_file": section.ca_file}
    written = [section.results, *([] if section.tasks_socket is None else [section.shuffle])]
    for name in (section.jobs, *written):
        with _explained("[fleet]", f"container {name} of {section.blob_url}"):
            blobs = Blobs(section.blob_url, name, **options)
            _read(blobs.read)
            if name in written:
                blobs.stage(_UNMADE, 0, b"\0")
    with _explained("[fleet]", f"queue {section.queue} of {section.queue_url}"):
        waiting = Queue(section.queue_url, section.queue, **options).state()
    with _explained("[fleet]", f"queue {section.poison_queue} of {section.queue_url}", unauthorised="warning"):
        aside = Queue(section.queue_url, section.poison_queue, **options).state()  # for metrics alone
    return f"containers {', '.join((section.jobs, *written))}; {waiting.length} ticket(s), {aside.length} put aside"


def _pool_ledger(section: PoolLedgerSection | None, trust: Trust) -> str:
    if section is None:
        return "not needed: there is no [ledger], so each worker uses a job id once"
    with _explained("[ledger]", f"container {section.container} of {section.blob_url}"):
        blobs = open_pool_ledger(section, trust, section.container)
        _read(blobs.read)
        blobs.create(f"doctor-{secrets.token_hex(8)}", b"")
    if section.floors is not None:
        with _explained("[ledger]", f"container {section.floors} of {section.blob_url}"):
            _read(open_pool_ledger(section, trust, section.floors).read)
    return f"container {section.container}: entries can be created and read; its owner knows if they can be deleted"


def _read(read: Callable[..., bytes]) -> None:
    """Use the right to read. The service answers the same whether or not it has such a blob."""
    with suppress(BlobAbsentError):
        read(PROBE, most=_MOST)


@contextmanager
def _explained(section: str, what: str, *, unauthorised: State = "failed") -> Iterator[None]:
    """Raise NotOk for what storage or the identity refuses; `unauthorised` is the state of a right that is missing."""
    try:
        yield
    except AttestationError as error:
        found = f"{what}: no token for Azure Storage, {error.fault.value} at {error.check}"
        raise NotOk(found, error.remedy) from error
    except StoreError as error:
        if error.status == _ABSENT:
            remedy = f"Create it, as deploy/bicep/fleet.bicep does, or correct its name in {section}."
            raise NotOk(f"{what} does not exist", remedy) from error
        if error.status in _UNAUTHORISED:
            remedy = (
                "Give this machine's identity the rights that docs/fleet.md lists under Storage account, and let the "
                f"network rules of the account allow it. If the machine has several identities, name one in {section}."
            )
            found = f"{what} refuses this machine's identity (HTTP {error.status})"
            raise NotOk(found, remedy, state=unauthorised) from error
        remedy = f"Check the address in {section}, ca_file, the name server, and the private endpoint or the network."
        raise NotOk(f"{what}: {error}", remedy) from error
