"""The worker's configuration: one frozen value from one TOML file. docs/configuration.md explains every key.

Unknown keys, missing keys and empty lists are refused. The file is read once, at start; the environment is not read.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

import msgspec
from msgspec import Meta

from cji_core.documents import toml
from cji_core.errors import StartupError
from cji_core.format.configuration.fleet import ClientId, Container, FleetSection, PoolLedgerSection
from cji_core.format.configuration.machine import VM_ID, machine_in, named
from cji_core.format.configuration.operator_files import MAX_VALUE_BYTES

_Text = Annotated[str, Meta(min_length=1, max_length=1024)]
DestinationName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}\Z")]
"""Name of a sink of the audit trail, or `log`, and of its file."""
FrontSetting: TypeAlias = Literal["auto"] | Annotated[int, Meta(ge=1, le=16)]
NonEmpty = Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"\A[^\x00]*\Z")]

_MAX_BYTES: Final = 256 << 10


_Range = Annotated[str, Meta(pattern=r"^[0-9]{1,3}([.][0-9]{1,3}){3}/[0-9]{1,2}\Z")]
_HOST_AGENT: Final = IPv4Address("168.63.129.16")
_PRIVATE: Final = ("100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3")
"""Those within an /8 that is public at both ends, where `is_global` looks, and multicast."""
_WIDEST: Final = 16
"""Prefix of the widest range of public addresses. The widest that Microsoft Entra signs in from is a /18."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all sections."""


class EnrollmentSection(_Section, frozen=True, kw_only=True):
    """How `cji door enroll` obtains the server's certificate for a key that this machine makes.

    By EST, RFC 7030; or, with `container`, approved by `cji enroll approve`.
    """

    url: Annotated[
        str,
        Meta(
            pattern=r"^https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?"
            r"(/[.]well-known/est(/[A-Za-z0-9._-]{1,64})?|/[a-z0-9]{3,24})?\Z"
        ),
    ]
    """Of the EST service, with the label of the authority if it has several; or of a storage account."""
    container: Container | None = None
    """The container of this account for requests and approvals; without it the service is EST."""
    ca_file: _Text | None = None
    """PEM file of the authorities of the storage account. Default: the system's."""
    roots: _Text
    """PEM certificates of the roots that both the EST service and the issued certificate must lead to."""
    names: Annotated[
        tuple[
            Annotated[str, Meta(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]{2,63}\Z", max_length=253)], ...
        ],
        Meta(min_length=1, max_length=16),
    ]
    """DNS names of the certificate, as submitters call the pool."""
    audience: _Text | None = None
    """Audience of the managed identity's token, by which the EST service knows the machine. Without it none is sent."""
    client_id: ClientId | None = None
    """Client id of the user-assigned identity, if the machine has several."""

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError("names has one twice")
        if (self.container is None) is not ("/.well-known/est" in self.url):
            raise ValueError("url is an EST service's, or with container a storage account's")
        if self.container is None and self.ca_file is not None:
            raise ValueError("ca_file is for a storage account; an EST service leads to roots")
        if self.container is not None and self.audience is not None:
            raise ValueError("audience is for an EST service; tokens for a storage account have their own")

    def below(self, folder: Path) -> Self:
        """The section with absolute paths; relative ones are relative to `folder`."""
        ca_file = None if self.ca_file is None else str(folder / self.ca_file)
        return msgspec.structs.replace(self, roots=str(folder / self.roots), ca_file=ca_file)


class ListenSection(_Section, frozen=True, kw_only=True):
    """The TLS door, and the socket behind it."""

    host: _Text = "0.0.0.0"  # noqa: S104 - a server on the operator's private network
    port: Annotated[int, Meta(ge=1, le=65535)] = 8443
    socket: Annotated[str, Meta(min_length=1, max_length=100)] = "/run/cji-door/front.sock"
    """Unix socket of the front, in a folder that only the door's group may enter."""
    certificate: _Text
    private_key: _Text
    """Of the server, PEM; the door alone reads both."""
    client_roots: _Text
    """PEM certificates of the authorities that issue the submitters' client certificates, each by itself."""
    client_crl: _Text | None = None
    """PEM revocation lists, one of each authority in `client_roots`. Without them no certificate can be revoked."""
    enrollment: EnrollmentSection | None = None
    """Without this section, somebody else puts certificate and key where they are named."""

    def below(self, folder: Path) -> Self:
        """The section with absolute paths; relative ones are relative to `folder`."""
        return msgspec.structs.replace(
            self,
            certificate=str(folder / self.certificate),
            private_key=str(folder / self.private_key),
            client_roots=str(folder / self.client_roots),
            client_crl=None if self.client_crl is None else str(folder / self.client_crl),
            socket=str(folder / self.socket),
            enrollment=None if self.enrollment is None else self.enrollment.below(folder),
        )


class WorkerSection(_Section, frozen=True, kw_only=True):
    """The worker's identity and capacity."""

    id: NonEmpty
    """Name of this worker in receipts and audit events. `{vm_id}` in it stands for the machine's own id."""
    audience: NonEmpty
    """Id of its worker pool, which jobs must name."""
    region: NonEmpty
    """Azure region, recorded in receipts."""
    cells: Annotated[int, Meta(ge=1, le=64)] = 2
    """Concurrent jobs; each has its own process and secret region."""
    cell_memory_mib: Annotated[int, Meta(ge=128, le=65536, multiple_of=32)] = 160
    """Secret memory of one cell in MiB, of which 32 hold the records being read."""
    fronts: FrontSetting = "auto"
    """Processes that callers are served by, and workers of the door; "auto" is one for every three cores."""


class ReferencesSection(_Section, frozen=True, kw_only=True):
    """References of `screen` that stay in secret memory between jobs of their submitter."""

    max_references: Annotated[int, Meta(ge=1, le=64)]
    """Maximum number resident at once."""
    memory_mib: Annotated[int, Meta(ge=32, le=65536, multiple_of=32)]
    """Secret memory of each in MiB; a record needs up to half a KiB."""
    retain_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 3600
    """Maximum retention, in seconds."""


class LimitsSection(_Section, frozen=True, kw_only=True):
    """How much one caller may take of what all share; times in seconds."""

    max_job_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 660
    """Longest time of one job; a later deadline of its caller is cut to this. By default, what the drain leaves of the
    900 before a machine is deleted: `cji_deploy.rhythm` has the sum."""
    idle_seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    """Longest time in which a caller sends no message that the worker waits for, or reads none."""
    connections_per_address: Annotated[int, Meta(ge=1, le=1024)] = 64
    """Maximum number of connections from one address."""
    connections_counted_by: Literal["door", "firewall"] = "door"
    """The counter: the door, by a server before TLS, or the kernel, by rules of nftables."""
    queue_seconds: Annotated[int, Meta(ge=0, le=60)] = 5
    """Longest time in which an admissible job waits for a cell."""


class AttestationSection(_Section, frozen=True, kw_only=True):
    """How this machine is attested."""

    maa_url: NonEmpty
    """Attestation provider; its host must be allowed by the cloud's pins."""
    client_id: NonEmpty | None = None
    """Client id of the user-assigned identity, if the machine has several."""
    ak_issuers: NonEmpty | None = None
    """PEM file: Azure's vTPM authorities, from the issuers of the AK's certificate up to the root."""
    reference_values: dict[str, object]
    """Fields of `cji_attestation.appraisal.ReferenceValues` as they are in the file; `values` has them for use."""
    value_files: dict[str, bytes] = {}
    """The files that reference values name, by name; `load` reads them."""
    key_lifetime_s: Annotated[int, Meta(ge=10, le=3600)] = 3600
    """A released key is dropped this many seconds after its evidence was made; renewal starts before half of it."""
    workers_per_vault: Annotated[int, Meta(ge=1, le=10_000)] = 100
    """Largest number of workers that have keys released by one vault; paces their requests."""
    pcr_check_s: Annotated[int, Meta(ge=5, le=60)] = 30
    """Interval at which PCRs are compared with the attested ones, in seconds."""

    def values(self) -> dict[str, object]:
        """The reference values, with the contents of the files that they name."""
        return _with_contents(self.reference_values, self.value_files)


class EntraSection(_Section, frozen=True, kw_only=True):
    """Access tokens of Microsoft Entra, which the policy can require of a submitter."""

    audience: NonEmpty
    """The `aud` of tokens for this worker: the client id of its application, as tokens of version 2.0 have it."""


class AuditDeliverySection(_Section, frozen=True, kw_only=True):
    """The destinations that must get the audit trail, as another process states in `state`: docs/audit.md."""

    state: NonEmpty
    """State folder of `cji audit deliver`."""
    required: Annotated[tuple[DestinationName, ...], Meta(min_length=1, max_length=16)]
    """Names of destinations in audit.toml."""
    on_failure: Literal["stop", "alert"]
    """Admit no job while one of them is overdue, or only alert."""
    max_undelivered_seconds: Annotated[int, Meta(ge=60, le=3600)] = 900
    """Longest time for which a line may wait."""

    def __post_init__(self) -> None:
        if len(set(self.required)) != len(self.required):
            raise ValueError("required names a destination twice")


class KeySection(_Section, frozen=True, kw_only=True):
    """One key version that jobs may be sealed to."""

    kek_id: NonEmpty
    public_thumbprint: NonEmpty
    ml_kem_seed_file: NonEmpty | None = None
    """File of the wrapped seed of its ML-KEM half, from `cji key new-ml-kem-seed`; without it, no hybrid jobs."""
    ml_kem_thumbprint: NonEmpty | None = None
    """Thumbprint of the public ML-KEM half, by which submitters pin it."""
    policy_sha256: NonEmpty | None = None
    accept_findings: tuple[Literal["RP01", "RP04"], ...] = ()
    """Accepted errors of the key's release policy, from `cji_attestation.release.policy.ACCEPTABLE`."""

    def __post_init__(self) -> None:
        if (self.ml_kem_seed_file is None) is not (self.ml_kem_thumbprint is None):
            raise ValueError("ml_kem_seed_file and ml_kem_thumbprint belong together")

    def below(self, folder: Path) -> Self:
        """The section with an absolute path; a relative one is relative to `folder`."""
        if self.ml_kem_seed_file is None:
            return self
        return msgspec.structs.replace(self, ml_kem_seed_file=str(folder / self.ml_kem_seed_file))


class ReviewSection(_Section, frozen=True, kw_only=True):
    """The weekly reviews of this worker's trail, which `cji doctor` and `cji audit review status` check."""

    folder: NonEmpty
    """Folder of the signed reviews."""
    reviewers: Annotated[tuple[NonEmpty, ...], Meta(min_length=1, max_length=64)]
    """JWKs of the P-384 keys of those who may sign a review."""
    allowed_days: Annotated[int, Meta(ge=0, le=366)] = 7
    """Days after the end of a week in which its review must be signed."""


class Config(_Section, frozen=True, kw_only=True):
    """The whole configuration. `sha384` is the digest of the file, which receipts carry.

    `vm_id` is that of the machine whose file `machine.json` put it into `worker.id`, else empty.
    """

    cloud: NonEmpty
    worker: WorkerSection
    listen: ListenSection
    attestation: AttestationSection
    keys: Annotated[tuple[KeySection, ...], Meta(min_length=1)]
    policy_file: NonEmpty
    policy_signers: tuple[NonEmpty, ...] = ()
    """Canonical JWKs, P-384, of those who may sign the policy; `cji policy signer` prints one."""
    policy_signatures: Annotated[int, Meta(ge=0, le=16)] = 0
    """How many of them must have signed a policy before it is used."""
    audit_file: NonEmpty
    audit_ledger: NonEmpty | None = None
    """Replay ledger of the audit file. Default: beside it, with `.ledger` after its name."""
    audit_segment_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 36)] = 256 << 20
    """Size at which the current file of the trail is closed, after its next checkpoint."""
    audit_delivery: AuditDeliverySection | None = None
    """Without this section, no destination has to get the trail."""
    require_fips: bool = False
    """Refuse to start without a validated FIPS 140-3 module in force."""
    audit_counter: Annotated[int, Meta(ge=0x01800000, le=0x01BFFFFE, multiple_of=2)] = 0x01800C10
    """NV index of the vTPM counter that anchors the audit file; the next index is used at its first start."""
    egress: Annotated[tuple[_Range, ...], Meta(max_length=64)] = ()
    """Public addresses that the image's firewall lets the keyholder reach by HTTPS: of Microsoft Entra, of Intel."""
    limits: LimitsSection = LimitsSection()
    entra: EntraSection | None = None
    """Without this section, no policy can require a token."""
    references: ReferencesSection | None = None
    """Without this section, no reference outlives its job."""
    review: ReviewSection | None = None
    """Without this section, no overdue review is reported."""
    control_socket: NonEmpty | None = None
    """Unix socket for `cji status` and `cji reload`. Without it there is none, and SIGHUP reloads."""
    fleet: FleetSection | None = None
    """Without this section, no job is taken by reference. It needs `ledger`."""
    ledger: PoolLedgerSection | None = None
    """Without this section, a job id is used once on this worker; with it, once in the pool."""
    status_socket: NonEmpty | None = None
    """Unix socket that answers `status` to the group of its folder, for `cji console`. Without it there is none."""
    tables: NonEmpty | None = None
    """Folder with tables that replace the shipped ones with the same names."""
    sha384: str = ""
    vm_id: str = ""

    def __post_init__(self) -> None:
        if len({key.kek_id for key in self.keys}) != len(self.keys):
            raise ValueError("two [[keys]] have the same kek_id")
        if bool(self.policy_signers) is not bool(self.policy_signatures):
            raise ValueError("policy_signers and policy_signatures belong together")
        if len(set(self.policy_signers)) < self.policy_signatures:
            raise ValueError("policy_signatures is more than there are policy_signers")
        _require_public(self.egress)
        if self.fleet is not None and self.ledger is None:
            raise ValueError("[fleet] needs [ledger]: the pool ledger has the attempts and the end of each job")

    @property
    def tables_folder(self) -> Path | None:
        """`tables` as a path."""
        return None if self.tables is None else Path(self.tables)


def _require_public(ranges: tuple[str, ...]) -> None:
    """Raises ValueError for a range that is not public, wider than a /16, or in another one."""
    networks = [IPv4Network(each) for each in ranges]
    for number, network in enumerate(networks):
        private = any(network.overlaps(IPv4Network(each)) for each in _PRIVATE)
        if private or not network.is_global or network.prefixlen < _WIDEST or _HOST_AGENT in network:
            raise ValueError(f"egress: {network} is not a range of public addresses, at most a /{_WIDEST}")
        if any(network.overlaps(other) for other in networks[:number]):
            raise ValueError(f"egress: {network} overlaps with another one")


def load(path: Path) -> Config:
    """Read and check a configuration file; its relative paths are relative to its folder. Raises StartupError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise StartupError(f"The configuration {path} is larger than 256 KiB", "Name the right file with --config.")
        folder = path.resolve().parent
        config = _of_machine(toml(data, Config), folder)
        value_files = read_files(tuple(named_files(config.attestation.reference_values)), folder)
    except OSError as error:
        raise StartupError(f"The configuration {path} cannot be read", "Name a readable file with --config.") from error
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        what = f"The configuration {path} is not valid: {error}"
        raise StartupError(what, "Compare it with docs/configuration.md.") from error
    if config.sha384 or config.attestation.value_files:
        key = "sha384" if config.sha384 else "value_files"
        raise StartupError(f"The configuration sets {key}, which is computed", "Remove the key.")

    def absolute(name: str) -> str:
        return str(folder / name)

    issuers, delivery, review = config.attestation.ak_issuers, config.audit_delivery, config.review
    attestation = msgspec.structs.replace(
        config.attestation, ak_issuers=None if issuers is None else absolute(issuers), value_files=value_files
    )
    return msgspec.structs.replace(
        config,
        listen=config.listen.below(folder),
        attestation=attestation,
        keys=tuple(key.below(folder) for key in config.keys),
        fleet=None if config.fleet is None else config.fleet.below(folder),
        ledger=None if config.ledger is None else config.ledger.below(folder),
        policy_file=absolute(config.policy_file),
        audit_file=absolute(config.audit_file),
        audit_delivery=delivery and msgspec.structs.replace(delivery, state=absolute(delivery.state)),
        audit_ledger=None if config.audit_ledger is None else absolute(config.audit_ledger),
        tables=None if config.tables is None else absolute(config.tables),
        review=None if review is None else msgspec.structs.replace(review, folder=absolute(review.folder)),
        control_socket=None if config.control_socket is None else absolute(config.control_socket),
        status_socket=None if config.status_socket is None else absolute(config.status_socket),
        sha384=hashlib.sha384(data).hexdigest(),
    )


def _of_machine(config: Config, folder: Path) -> Config:
    """The configuration with the name of its machine, if that is known in this folder. Raises OSError, ValueError."""
    if config.vm_id:
        raise ValueError("it sets vm_id, which is computed")
    machine = machine_in(folder) if VM_ID in config.worker.id else None
    worker = msgspec.structs.replace(config.worker, id=named(config.worker.id, machine))
    return msgspec.structs.replace(config, worker=worker, vm_id="" if machine is None else machine.vm_id)


def with_files(values: dict[str, object], folder: Path) -> dict[str, object]:
    """Reference values with the contents of files, base64, in place of each `{ file = NAME }`, relative to `folder`.

    Raises ValueError, for a file that cannot be read as well: a value that is missing is not one to do without.
    """
    return _with_contents(values, read_files(tuple(named_files(values)), folder))


def named_files(value: object) -> Iterator[str]:
    """The names in each `{ file = NAME }` of these values."""
    name = _file_in(value)
    if name is not None:
        yield name
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from named_files(each)


def read_files(names: Iterable[str], folder: Path) -> dict[str, bytes]:
    """The files of these names, relative to `folder`. Raises ValueError."""
    left, found = MAX_VALUE_BYTES, dict[str, bytes]()
    for name in names:
        try:
            with (folder / name).open("rb") as file:
                found[name] = file.read(left + 1)
        except OSError as error:
            raise ValueError(f"{name}, which a reference value names, cannot be read ({error.strerror})") from error
        left -= len(found[name])
        if left < 0:
            raise ValueError(f"files that reference values name have more than {MAX_VALUE_BYTES >> 20} MiB")
    return found


def _with_contents(values: dict[str, object], files: Mapping[str, bytes]) -> dict[str, object]:
    def put(value: object) -> object:
        name = _file_in(value)
        if name is not None:
            return base64.b64encode(files[name]).decode()
        if isinstance(value, list):
            return [put(one) for one in value]
        return {key: put(one) for key, one in value.items()} if isinstance(value, dict) else value

    return {key: put(value) for key, value in values.items()}


def _file_in(value: object) -> str | None:
    """NAME, if this is `{ file = NAME }`."""
    name = value.get("file") if isinstance(value, dict) and value.keys() == {"file"} else None
    return name if isinstance(name, str) else None
