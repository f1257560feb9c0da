"""The parts of a system and what flows between them, from worker.toml, the export of the deployment, and the trails.

A part that none of these shows is not in the picture. What was not given is named beneath it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cji_audit.packet.material import Material

Zone = Literal["agency", "boundary", "cloud"]
Carries = Literal["sealed", "keys", "state"]
_MOST: Final = 2
"""Names of one kind that a part shows."""
_LINE: Final = 34
"""Characters of a line in a part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A part, in a column and a row of the plan."""

    id: str
    title: str
    zone: Zone
    column: int
    row: int
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Something that goes from one part to another, or both ways."""

    source: str
    target: str
    what: str
    carries: Carries
    both: bool = True


class Facts:
    """Facts of the material about the parts."""

    def __init__(self, material: Material) -> None:
        self.material = material
        self.values = {} if material.configuration is None else material.configuration.values
        self.resources = {} if material.deployment is None else material.deployment.resources

    def has(self, *settings: str) -> bool:
        """Whether worker.toml has one of these settings."""
        return any(self.values.get(each, "none") != "none" for each in settings)

    def deployed(self, *kinds: str) -> tuple[str, ...]:
        """Names of the resources of these types, without `microsoft.`."""
        return tuple(name for kind in kinds for name in self.resources.get(f"microsoft.{kind}", ()))

    def seen(self, field: str) -> tuple[str, ...]:
        """Values of a field in the trails."""
        return tuple(dict.fromkeys(value for trail in self.material.trails for value in trail.seen.get(field, {})))


def _short(names: Sequence[str]) -> tuple[str, ...]:
    """A few names as lines; how many more there are."""
    shown = [name if len(name) <= _LINE else f"{name[: _LINE - 1]}…" for name in names[:_MOST]]
    more = len(names) - _MOST
    return (*shown, f"and {more} more") if more > 0 else tuple(shown)


def _hosts(urls: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(url.removeprefix("https://").partition("/")[0] for url in urls))


def nodes(of: Facts) -> tuple[Node, ...]:
    """The parts that this system has."""
    return (*_agency(of), *_worker(of), *_cloud(of))


def _agency(of: Facts) -> Iterator[Node]:
    yield Node(id="app", title="Upstream application", zone="agency", column=0, row=0, lines=("seals, opens results",))
    if names := of.deployed("network/loadbalancers"):
        yield Node(id="balancer", title="Load balancer", zone="cloud", column=0, row=1, lines=_short(names))
    if of.has("listen.enrollment"):
        yield Node(id="est", title="Certificate authority", zone="agency", column=0, row=2, lines=("EST, RFC 7030",))
    if of.has("status_socket"):
        yield Node(id="operator", title="Operator", zone="agency", column=0, row=3, lines=("sees no record",))


def _worker(of: Facts) -> Iterator[Node]:
    port, cells = of.values.get("listen.port"), of.values.get("worker.cells")
    door = ("TLS 1.3, client certificates", *([f"port {port}"] if port else []))
    yield Node(id="door", title="TLS door", zone="boundary", column=1, row=0, lines=door)
    yield Node(id="front", title="Front", zone="boundary", column=1, row=1, lines=("ciphertext only, no key",))
    cell = ("records, one job, then it ends", *([f"{cells} at once"] if cells else []))
    yield Node(id="cell", title="Cell", zone="boundary", column=2, row=1, lines=cell)
    yield Node(id="keyholder", title="Keyholder", zone="boundary", column=2, row=2, lines=("released key, no record",))
    trails = _short([trail.worker for trail in of.material.trails])
    yield Node(id="disk", title="Trail and ledger", zone="boundary", column=2, row=3, lines=trails)
    if of.has("control_socket", "status_socket"):
        yield Node(
            id="control", title="Control", zone="boundary", column=1, row=2, lines=("status and reload, no key",)
        )
    if of.has("status_socket"):
        yield Node(id="console", title="Console", zone="boundary", column=1, row=3, lines=("status only",))
    if _delivers(of):
        yield Node(id="deliverer", title="Deliverer", zone="boundary", column=2, row=4, lines=("lines of the trail",))
    yield Node(id="broker", title="Broker", zone="boundary", column=2, row=6, lines=("tokens of identities",))
    if of.has("fleet"):
        yield Node(id="fleet", title="Fleet", zone="boundary", column=2, row=5, lines=("ciphertext only, no key",))


def _delivers(of: Facts) -> bool:
    return of.has("audit_delivery.required") or bool(of.deployed("insights/datacollectionrules"))


def _cloud(of: Facts) -> Iterator[Node]:
    if of.has("entra"):
        yield Node(id="entra", title="Microsoft Entra", zone="cloud", column=3, row=0, lines=("keys of its tokens",))
    stated = of.seen("attested.issuer") or tuple(v for k, v in of.values.items() if k == "attestation.maa_url")
    yield Node(
        id="attestation", title="Attestation provider", zone="cloud", column=3, row=1, lines=_short(_hosts(stated))
    )
    keys = of.seen("key_released.kek_id") or tuple(v for k, v in of.values.items() if k.endswith(".kek_id"))
    stores = {"keyvault/vaults": "Key Vault", "keyvault/managedhsms": "Managed HSM"}
    found = [title for kind, title in stores.items() if of.deployed(kind)]
    title = ", ".join(found) or "Key Vault or Managed HSM"
    yield Node(id="vault", title=title, zone="cloud", column=3, row=2, lines=_short(_hosts(keys)))
    disks = of.deployed("compute/diskencryptionsets")
    if disks:
        yield Node(id="disks", title="Disk encryption sets", zone="cloud", column=3, row=3, lines=_short(disks))
    if _delivers(of):
        names = of.deployed("operationalinsights/workspaces") or tuple(of.values["audit_delivery.required"].split())
        yield Node(id="logs", title="Log destinations", zone="cloud", column=3, row=4, lines=_short(names))
    if of.has("fleet", "ledger") or of.deployed("storage/storageaccounts"):
        names = of.deployed("storage/storageaccounts")
        yield Node(id="storage", title="Blob and Queue Storage", zone="cloud", column=3, row=5, lines=_short(names))
    yield Node(id="metadata", title="Metadata service", zone="cloud", column=3, row=6, lines=("of the host",))


def flows(of: Facts, parts: Sequence[Node]) -> tuple[Flow, ...]:
    """Flows between the parts that are there."""
    there = {each.id for each in parts}
    calls = "sealed jobs and results, receipts: TLS 1.3, 256 bits"
    found = [
        Flow(source="app", target="balancer" if "balancer" in there else "door", what=calls, carries="sealed"),
        Flow(source="balancer", target="door", what="the same connections, not ended", carries="sealed"),
        Flow(source="door", target="est", what="certificate requests, for a key made here", carries="state"),
        Flow(source="door", target="front", what="sealed jobs, with the caller's certificate", carries="sealed"),
        Flow(source="front", target="cell", what="sealed segments, in a shared ring", carries="sealed"),
        Flow(source="front", target="keyholder", what="headers of jobs; receipts", carries="state"),
        Flow(source="keyholder", target="cell", what="one job's data keys; counts and digests back", carries="keys"),
        Flow(source="keyholder", target="entra", what="keys that verify access tokens", carries="state"),
        Flow(source="keyholder", target="attestation", what="evidence, and the token about it", carries="state"),
        Flow(source="keyholder", target="vault", what="token, and the key sealed to this machine", carries="keys"),
        Flow(source="keyholder", target="disk", what="lines of the trail: no record, no key", carries="state"),
        Flow(
            source="disk", target="disks", what="trail and ledger at rest, under a key of the agency", carries="state"
        ),
        Flow(source="disk", target="deliverer", what="lines of the trail", carries="state", both=False),
        Flow(source="deliverer", target="logs", what="lines of the trail", carries="state", both=False),
        Flow(source="front", target="fleet", what="sealed jobs and results by reference", carries="sealed"),
        Flow(source="fleet", target="storage", what="sealed jobs and results, tickets", carries="sealed"),
        Flow(source="broker", target="metadata", what="tokens for the identity of each process", carries="state"),
        Flow(source="control", target="console", what="status: no record, no key", carries="state", both=False),
        Flow(source="console", target="operator", what="status, metrics, pages", carries="state", both=False),
    ]
    if of.has("ledger"):
        found.append(Flow(source="keyholder", target="storage", what="pool ledger: ids of jobs", carries="state"))
    return tuple(each for each in found if {each.source, each.target} <= there)


def others(of: Facts) -> str:
    """Resources of the export that no part of the picture stands for, by type."""
    drawn = {"network/loadbalancers", "keyvault/vaults", "keyvault/managedhsms", "compute/diskencryptionsets"}
    drawn |= {"operationalinsights/workspaces", "storage/storageaccounts", "compute/virtualmachinescalesets"}
    left = {kind.partition("/")[2] for kind in of.resources if kind.removeprefix("microsoft.") not in drawn}
    return ", ".join(sorted(left))


def sources(of: Facts) -> Iterator[str]:
    """The files from which the picture was drawn, and what was not given."""
    trails = [trail.file for trail in of.material.trails]
    configuration, deployment = of.material.configuration, of.material.deployment
    given = [] if configuration is None else [configuration.file.name]
    given += [] if deployment is None else [each.name for each in deployment.files]
    yield f"Drawn from {', '.join([*given, *trails])}."
    if configuration is None:
        yield "worker.toml was not given (--config): parts that it turns on are not drawn."
    if deployment is None:
        yield "No export was given (--deployment): resources in Azure are drawn as far as the trail names them."
