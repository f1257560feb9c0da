"""Whether the files of a bundle make a worker: each is read by the reader that the worker itself uses.

Checked before a bundle is signed, and again on the machine before anything is measured. Paths in worker.toml lead to
files of the bundle, to the certificate that `cji door enroll` obtains, or to folders of the machine's state.
"""

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cji_attestation.appraisal.crl import unusable
from cji_attestation.appraisal.reference import ReferenceValues, check_reference
from cji_attestation.bundle.archive import Bundle
from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.names import AUDIT, CONSOLE, LOG_POLICY, POLICY, SUBMITTER, WORKER
from cji_attestation.errors import AttestationError
from cji_core.boot_codes import BootCode
from cji_core.certs import CertificateRefused, load_pem_chain
from cji_core.documents import convert
from cji_core.errors import StartupError
from cji_core.format.configuration.console import ConsoleConfig
from cji_core.format.configuration.console import load as load_console
from cji_core.format.configuration.door_files import check_client_roots, listen_address, socket_path
from cji_core.format.configuration.fleet import ENGINE_PORT
from cji_core.format.configuration.operator_files import PolicyFiles, signatures_path
from cji_core.format.configuration.policy_files import checked
from cji_core.format.configuration.sinks import needs as needs_of_sinks
from cji_core.format.configuration.table_files import read_table_files
from cji_core.format.configuration.worker import Config, load
from cji_core.https import SYSTEM_ROOTS
from cji_core.trail.delivery import DeliveryFile, load_delivery

LISTEN: Final = ("0.0.0.0", 8443, "/run/cji-door/front.sock")  # noqa: S104 - the sockets of cji-door.socket, as shipped
TLS_FOLDER: Final = Path("/run/cji-tls")
"""In memory, of the door's user: its private key, and the certificate that `cji door enroll` obtained."""
PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""Destinations that the image's firewall allows."""
MAX_ROOTS: Final = 1 << 20
"""Bytes of a file of authorities."""
_NUMBER: Final = re.compile(r"(0x[0-9a-f]*|[0-9]*)\Z")
"""The last part of a host that a resolver takes for an address."""
_ABSENT: Final = "Put the file into the folder of the bundle, or correct its path in worker.toml."


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The configuration in a bundle. `notes` are for anyone who makes it, and refuse nothing."""

    config: Config
    notes: tuple[str, ...]
    secrets: tuple[str, ...]
    """In words; a bundle with any is deployed as a blob."""
    folder: Path
    """Of the files while they were checked, which the paths in `config` lead to."""

    @property
    def pool(self) -> str:
        """The name that its manifest must have."""
        return self.config.worker.audience


def check_contents(files: Mapping[str, bytes], *, clouds: Collection[str]) -> Contents:
    """Check the files of a bundle, and read its worker.toml. `clouds` are the names of those that may be configured.

    Raises BundleRefused with the reader's own reason and remedy.
    """
    if WORKER not in files:
        raise BundleRefused(f"There is no {WORKER}", "Put it into the folder, then make the bundle again.")
    with tempfile.TemporaryDirectory(prefix="cji-bundle-") as name:
        folder = Path(name).resolve()
        write_files(folder, files)
        try:
            config = load(folder / WORKER)
            _check_worker(config, folder, files, clouds)
            _check_policy(config, files)
            delivery = load_delivery(folder / AUDIT) if AUDIT in files else None
            _check_log(delivery, files)
            if delivery is not None:
                _check_delivery(delivery, folder, files)
            if CONSOLE in files:
                _check_console(load_console(folder / CONSOLE), folder, files)
            _check_enrollment(config, files)
            check_client_roots(config.listen)
            _check_engine_roots(config)
            if config.tables is not None:
                read_table_files(config.tables_folder)
        except BundleRefused:
            raise
        except StartupError as error:
            raise BundleRefused(error.what.replace(f"{folder}/", ""), error.remedy) from error
        notes, secrets = tuple(_notes(config, files)), tuple(_secrets(config, files))
        return Contents(config=config, notes=notes, secrets=secrets, folder=folder)


def check_pool(bundle: Bundle, pool: str) -> None:
    """Raise BundleRefused if the manifest is of another pool than its files."""
    if bundle.manifest.pool != pool:
        raise BundleRefused(
            f"The bundle is of pool {bundle.manifest.pool!a}, its files of {pool!a}",
            "Make the bundle again.",
            boot_code=BootCode.POOL,
        )


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new folder, for their owner alone. The names are those of a bundle."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)


def _brought(path: str, folder: Path, files: Mapping[str, bytes]) -> bool:
    """Whether this is a file of the bundle, whose files are in `folder`."""
    return Path(path).is_relative_to(folder) and str(Path(path).relative_to(folder)) in files


def _check_worker(config: Config, folder: Path, files: Mapping[str, bytes], clouds: Collection[str]) -> None:
    if config.cloud not in clouds:
        raise BundleRefused(f'cloud = "{config.cloud}" is unknown', f"Use one of {', '.join(clouds)}.")
    listen = config.listen
    listen_address(listen)
    socket_path(listen.socket)
    if (listen.host, listen.port, listen.socket) != LISTEN:
        raise BundleRefused(
            "[listen] names another address or socket than cji-door.socket of the image",
            "Leave host, port and socket out of [listen]; map the port in the load balancer.",
        )
    _check_engine_port(config)
    if not Path(listen.private_key).is_relative_to(TLS_FOLDER):
        raise BundleRefused(
            "private_key of [listen] is not a key that the machine makes",
            f'Set private_key = "{TLS_FOLDER}/server.key", where `cji door enroll` puts it.',
        )
    if config.policy_file != str(folder / POLICY):
        raise BundleRefused(f"policy_file: another file than {POLICY}", f'Set policy_file = "{POLICY}".')
    for key, path in _named(config):
        if key == "certificate" and Path(path).is_relative_to(TLS_FOLDER):
            continue
        if not _brought(path, folder, files):
            raise BundleRefused(f"{key}: {path.removeprefix(f'{folder}/')!a} is not in the bundle", _ABSENT)
    if config.tables is not None and Path(config.tables) != folder / "tables":
        raise BundleRefused("tables: not the folder of the bundle", 'Set tables = "tables".')
    _check_values(config, files)


def _check_values(config: Config, files: Mapping[str, bytes]) -> None:
    """The reference values. Their files are files of the bundle, by their names there: an update can replace these."""
    for name in config.attestation.value_files:
        if name not in files:
            raise BundleRefused(f"attestation.reference_values: {name!a} is not in the bundle", _ABSENT)
    try:
        reference = convert(config.attestation.values(), ReferenceValues, str_keys=True)
        check_reference(reference)
    except (msgspec.ValidationError, AttestationError) as error:
        raise BundleRefused(
            f"attestation.reference_values: {error}", "docs/configuration.md lists its keys."
        ) from error
    for product, data in (reference.amd_crls or {}).items():
        fault = unusable(data, product=product, now=datetime.now(UTC), max_age_days=reference.crl_max_age_days)
        if fault:
            raise BundleRefused(
                f"attestation.reference_values: the list of {product} in amd_crls is {fault}",
                f"Fetch it again: cji crl fetch {product} --out FOLDER.",
            )


def _check_engine_port(config: Config) -> None:
    if config.fleet is not None and config.fleet.engine_port != ENGINE_PORT:
        raise BundleRefused(
            "engine_port of [fleet] is another port than that of cji-door.socket of the image",
            "Leave engine_port out of [fleet].",
        )


def _check_engine_roots(config: Config) -> None:
    """A certificate of the engine's authority starts tasks of everybody's jobs: no submitter has one."""
    if config.fleet is None or config.fleet.engine_roots is None:
        return
    try:
        engine = load_pem_chain(Path(config.fleet.engine_roots).read_bytes(), limit=MAX_ROOTS)
    except CertificateRefused as error:
        remedy = "Put the root of the engine's authority into it."
        raise BundleRefused("fleet.engine_roots: it is not PEM certificates", remedy) from error
    if not set(engine).isdisjoint(load_pem_chain(Path(config.listen.client_roots).read_bytes(), limit=MAX_ROOTS)):
        raise BundleRefused(
            "fleet.engine_roots: the engine's authority is that of submitters",
            "Give the engine an authority of its own: by each certificate of it somebody starts tasks here.",
        )


def _named(config: Config) -> Iterator[tuple[str, str]]:
    """(key, path) of the files that worker.toml names and a machine reads."""
    listen, attestation = config.listen, config.attestation
    yield "policy_file", config.policy_file
    yield "certificate", listen.certificate
    yield "client_roots", listen.client_roots
    optional = {
        "client_crl": listen.client_crl,
        "ak_issuers": attestation.ak_issuers,
        "fleet.ca_file": None if config.fleet is None else config.fleet.ca_file,
        "fleet.engine_roots": None if config.fleet is None else config.fleet.engine_roots,
        "ledger.ca_file": None if config.ledger is None else config.ledger.ca_file,
        "enrollment.roots": None if listen.enrollment is None else listen.enrollment.roots,
        "enrollment.ca_file": None if listen.enrollment is None else listen.enrollment.ca_file,
    }
    yield from ((key, path) for key, path in optional.items() if path is not None)
    yield from (("ml_kem_seed_file", key.ml_kem_seed_file) for key in config.keys if key.ml_kem_seed_file is not None)
    if config.policy_signatures:
        yield "policy_signatures", signatures_path(config.policy_file)


def _check_log(delivery: DeliveryFile | None, files: Mapping[str, bytes]) -> None:
    """The files of a log in a bundle are used: what a machine keeps and records of them must be true."""
    found = next((name for name in sorted(files) if name.startswith(f"{Path(LOG_POLICY).parent}/")), None)
    if found is not None and (delivery is None or delivery.log is None):
        raise BundleRefused(
            f"The bundle has {found}, and {AUDIT} no [log] that uses it",
            f"Add [log] to {AUDIT}; or remove the files below log/ where the pool has no log.",
        )


def _check_delivery(delivery: DeliveryFile, folder: Path, files: Mapping[str, bytes]) -> None:
    """audit.toml, with the policy of the agency's log and the files that [log] names."""
    from cji_attestation.bundle.witnesses import check_steps  # noqa: PLC0415 - for bundles with [log] alone
    from cji_core.tlog.submissions import read_token  # noqa: PLC0415
    from cji_core.trail.witnesses.configured import needs as needs_of_log  # noqa: PLC0415
    from cji_core.trail.witnesses.settings import log_table  # noqa: PLC0415

    needs_of_sinks(delivery)
    table = log_table(delivery, folder=folder)
    if table is None:
        return
    if Path(table.policy) != folder / LOG_POLICY:
        raise BundleRefused(
            f"[log] of audit.toml: the policy is in another file than {LOG_POLICY}",
            f'Set policy = "{LOG_POLICY}"; earlier policies have other names.',
        )
    for path in (table.policy, *table.earlier_policies, table.token_file, table.ca_file):
        if path != SYSTEM_ROOTS and not _brought(path, folder, files):
            raise BundleRefused(
                f"[log] of audit.toml: {path.removeprefix(f'{folder}/')!a} is not in the bundle",
                "Put the file into the folder of the bundle, or correct its path in audit.toml.",
            )
    if Path(table.token_file) != folder / SUBMITTER:
        raise BundleRefused(
            f"[log] of audit.toml: the token is in another file than {SUBMITTER}, which is kept secret",
            f'Set token_file = "{SUBMITTER}", with the token in that file.',
        )
    check_steps(files)
    read_token(Path(table.token_file))
    (url,) = needs_of_log(delivery, folder=folder).urls
    if not _reachable(url):
        raise BundleRefused(
            f"[log] of audit.toml: the image's firewall does not let the deliverer reach {url}",
            "Serve the log at port 443 of a private address, and name it so in the policy's url.",
        )


def _check_console(console: ConsoleConfig, folder: Path, files: Mapping[str, bytes]) -> None:
    """console.toml: the certificate that it shows, and the place that it sends to."""
    shown = console.certificate
    if shown is not None and not Path(shown).is_relative_to(TLS_FOLDER) and not _brought(shown, folder, files):
        raise BundleRefused(
            f"certificate of console.toml: {shown.removeprefix(f'{folder}/')!a} is not in the bundle",
            f"Name a certificate of the bundle, or {TLS_FOLDER}/server.pem, as `certificate` of worker.toml does.",
        )
    if console.monitor is None:
        return
    if _named_in(files, console.monitor.client_id, WORKER, AUDIT):
        raise BundleRefused(
            "client_id of console.toml: an identity of the keyholder, fleet process or deliverer",
            "Use the output `healthClientId` of the deployment: it may send states of machines, and nothing else.",
        )
    if not _reachable(console.monitor.endpoint):
        raise BundleRefused(
            "[monitor] of console.toml: the image's firewall does not let the console reach its endpoint",
            "Use the output `ingestionEndpoint` of the deployment.",
        )


def _check_enrollment(config: Config, files: Mapping[str, bytes]) -> None:
    """The door's user gets tokens for storage with this identity, so it must be one that may do nothing else."""
    enrollment = config.listen.enrollment
    if enrollment is None or enrollment.container is None:
        return
    name = enrollment.client_id
    if name is None or _named_in(files, name, WORKER, AUDIT, CONSOLE) != 1:
        raise BundleRefused(
            "client_id of [listen.enrollment]: none, or an identity of another process",
            "Make an identity that may write into this container alone, and name it there and nowhere else.",
        )


def _named_in(files: Mapping[str, bytes], client_id: str, *names: str) -> int:
    """How often configurations have this identity."""
    return sum(files.get(name, b"").decode().lower().count(client_id.lower()) for name in names)


def _reachable(url: str) -> bool:
    """Whether the image's firewall lets deliverer and console reach this: https at 443 of a name or private address."""
    at = urlsplit(url)
    try:
        if at.scheme != "https" or at.port not in {None, 443} or not at.hostname:
            return False
        if not _NUMBER.match(at.hostname.rpartition(".")[2]):
            return True  # a name, which leads to whatever the network says
        address = IPv4Address(at.hostname)
    except ValueError:
        return False
    return any(address in network for network in PRIVATE)


def _check_policy(config: Config, files: Mapping[str, bytes]) -> None:
    signed = files.get(signatures_path(POLICY)) if config.policy_signatures else None
    checked(PolicyFiles(policy=files[POLICY], signatures=signed), config)


def _notes(config: Config, files: Mapping[str, bytes]) -> Iterator[str]:
    for each in _secrets(config, files):
        yield f"it has {each}: deploy this bundle as a blob"
    if not config.policy_signatures:
        yield "the policy needs no signatures of its own: anyone who signs the bundle decides it alone"
    text = files[WORKER]
    values = {name for name in files if name.startswith("reference/") and name.encode() not in text}
    unused = sorted(
        values | ({name for name in files if name.startswith("tables/")} if config.tables is None else set())
    )
    if unused:
        yield f"worker.toml does not name {', '.join(unused)}"


def _secrets(config: Config, files: Mapping[str, bytes]) -> Iterator[str]:
    """The secrets in a bundle, in words: user data, which everybody reads who can read the VM, must not have them."""
    if any(key.ml_kem_seed_file is not None for key in config.keys):
        yield "the seed of an ML-KEM half, which RSA alone protects"
    if SUBMITTER in files:
        yield "the submitter's token for the agency's log"
