"""`cji doctor` on [fleet] and [ledger], against Azurite: what is reached, and what is not, each with its remedy."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from azure.storage.blob import BlobServiceClient

from cji_core.command.findings import Finding
from cji_core.format.configuration.fleet import FleetSection, PoolLedgerSection
from cji_core.format.configuration.worker import Config
from cji_core.pool.errors import StoreAwayError
from cji_core.pool.queue import Queue
from cji_core.pool.store import Blobs
from cji_simulator.faults import Kind, Service
from cji_simulator.simulation import Simulation
from cji_worker.verbs.storage_checks import storage_checks
from tests.support.azurite import StorageCredential
from tests.support.fleet_storage import Storage, pool_storage
from tests.support.silent_link import SilentLink


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with pool_storage(tmp_path_factory.mktemp("azurite")) as found:
        yield found


class Sections:
    """The part of a configuration that is checked."""

    def __init__(self, storage: Storage) -> None:
        at = storage.azurite
        keys: dict[str, Any] = {"blob_url": at.blob_url, "ca_file": str(at.ca_file)}
        self.fleet: FleetSection | None = FleetSection(queue_url=at.queue_url, **keys)
        self.ledger: PoolLedgerSection | None = PoolLedgerSection(kind="pool", **keys)

    def change(self, section: str, **values: Any) -> None:
        setattr(self, section, msgspec.structs.replace(getattr(self, section), **values))


@pytest.fixture
def sections(storage: Storage) -> Sections:
    return Sections(storage)


def checked(sections: Any, azure: Simulation) -> dict[str, Finding]:
    config: Config = sections
    return {finding.name: finding for finding in storage_checks(config, azure.trust)}


def states(found: dict[str, Finding]) -> tuple[str, str]:
    return found["fleet storage"].state, found["pool ledger"].state


def test_what_is_configured_is_reached(sections: Sections, storage: Storage, azure: Simulation) -> None:
    storage.clear()
    storage.queue().send("a ticket")
    sections.change("fleet", tasks_socket="/run/cji-fleet/tasks.sock")
    found = checked(sections, azure)
    assert states(found) == ("ok", "ok"), found
    assert found["fleet storage"].found == "containers jobs, results, shuffle; 1 ticket(s), 0 put aside"
    assert found["pool ledger"].found.startswith("container ledger: entries can be created and read")
    message = storage.queue().receive(lease=1)
    assert message is not None
    assert message.tries == 1  # the check took no ticket
    assert blobs_in(storage, "jobs") == blobs_in(storage, "results") == blobs_in(storage, "shuffle") == []
    assert all(name.startswith("doctor-") for name in blobs_in(storage, "ledger"))


def blobs_in(storage: Storage, container: str) -> list[str]:
    at = storage.azurite
    with BlobServiceClient(at.blob_url, credential=StorageCredential(), connection_verify=str(at.ca_file)) as client:
        return list(client.get_container_client(container).list_blob_names())


def test_what_is_not_configured_is_told(sections: Sections, azure: Simulation) -> None:
    sections.fleet = sections.ledger = None
    found = checked(sections, azure)
    assert states(found) == ("ok", "ok")
    assert all(finding.found.startswith("not needed: there is no [") for finding in found.values())


@pytest.mark.parametrize("name", ["jobs", "results", "shuffle", "queue", "poison_queue"])
def test_what_does_not_exist_is_named(sections: Sections, azure: Simulation, name: str) -> None:
    sections.change("fleet", tasks_socket="/run/cji-fleet/tasks.sock", **{name: "absent"})
    found = checked(sections, azure)
    assert states(found) == ("failed", "ok")
    kind = "queue" if "queue" in name else "container"
    assert found["fleet storage"].found.startswith(f"{kind} absent of https://127.0.0.1:")
    assert found["fleet storage"].found.endswith("does not exist")
    assert "correct its name in [fleet]" in found["fleet storage"].remedy


def test_a_node_without_tasks_needs_no_container_for_them(sections: Sections, azure: Simulation) -> None:
    sections.change("fleet", shuffle="absent")
    assert states(checked(sections, azure)) == ("ok", "ok")


def test_a_ledger_that_does_not_exist_is_named(sections: Sections, azure: Simulation) -> None:
    sections.change("ledger", container="absent")
    found = checked(sections, azure)
    assert states(found) == ("ok", "failed")
    assert found["pool ledger"].found.endswith("does not exist")
    assert "[ledger]" in found["pool ledger"].remedy


def test_an_account_that_does_not_answer(sections: Sections, storage: Storage, azure: Simulation) -> None:
    at = storage.azurite.blob_url
    host = at.removeprefix("https://").partition("/")[0]
    with SilentLink(host) as link:
        link.shut()
        sections.change("ledger", blob_url=at.replace(host, link.target))
        found = checked(sections, azure)
    assert states(found) == ("ok", "failed")
    assert "does not answer" in found["pool ledger"].found
    assert "Check the address in [ledger]" in found["pool ledger"].remedy


def test_authorities_that_cannot_be_read(sections: Sections, azure: Simulation) -> None:
    sections.change("ledger", ca_file="/absent.pem")
    sections.change("fleet", ca_file="/absent.pem")
    found = checked(sections, azure)
    assert states(found) == ("failed", "failed")
    assert all("ca_file" in finding.remedy for finding in found.values())


def test_a_machine_without_an_identity(sections: Sections, azure: Simulation) -> None:
    azure.fault(Service.IMDS, Kind.DOWN)
    try:
        found = checked(sections, azure)
    finally:
        azure.clear_faults()
    assert states(found) == ("failed", "failed")
    assert [each.found for each in found.values() if "no token for Azure Storage" not in each.found] == []
    assert all(finding.remedy for finding in found.values())


def forbidden(*_: object, **__: object) -> Any:
    raise StoreAwayError("the service refuses or fails (HTTP 403)", status=403)


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [
        (Blobs, "read", ("failed", "failed")),
        (Blobs, "stage", ("failed", "ok")),
        (Blobs, "create", ("ok", "failed")),
        (Queue, "state", ("failed", "ok")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_right_that_is_missing_is_named(
    sections: Sections,
    azure: Simulation,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    expected: tuple[str, str],
) -> None:
    """Azurite knows no roles, so the answer of Azure is put in its place."""
    monkeypatch.setattr(owner, name, forbidden)
    found = checked(sections, azure)
    assert states(found) == expected
    refused = [finding for finding in found.values() if finding.state == "failed"]
    assert all("refuses this machine's identity (HTTP 403)" in finding.found for finding in refused)
    assert all("docs/fleet.md" in finding.remedy for finding in refused)


def test_the_number_of_tickets_put_aside_is_a_warning(
    sections: Sections, azure: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only metrics have it, and the rights that docs/fleet.md lists do not include it."""
    state: Callable[[Queue], object] = Queue.state
    monkeypatch.setattr(
        Queue, "state", lambda self: forbidden() if self._queue.queue_name == "jobs-poison" else state(self)
    )
    found = checked(sections, azure)
    assert states(found) == ("warning", "ok")
    assert "queue jobs-poison" in found["fleet storage"].found
