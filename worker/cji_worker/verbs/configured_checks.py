"""The checks of `cji doctor` on the configuration of one worker, and on everything that it names.

Some of them use a network: the broker is asked for the region, on a TDX machine for a quote; the attestation provider
and, for each tenant of the policy, Microsoft Entra for their keys; Intel for a TDX processor's collateral; Azure
Storage for what [fleet] and [ledger] name.
"""

import os
import re
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from cji_attestation import AttestationError, Fault, Trust, is_production
from cji_attestation.appraisal.chips import read_chips
from cji_attestation.appraisal.policy import early_text, levels_above
from cji_attestation.appraisal.reference import review_of
from cji_attestation.appraisal.tdx import authenticate_quote
from cji_attestation.checks import CATALOGUE, NAMED
from cji_attestation.errors import Record
from cji_attestation.evidence import HclReport, parse_hcl, parse_snp_report, parse_td_quote
from cji_attestation.evidence.imds import region, td_quote
from cji_attestation.evidence.pcs import IntelPcs
from cji_attestation.provider_policy.provider import describe_provider
from cji_attestation.strict import load_pem_chain
from cji_core.command.common import Failure
from cji_core.command.findings import Finding, NotOk, State, run_check
from cji_core.command.verbs import contributed
from cji_core.fips import require_usable
from cji_core.format.configuration.operator_files import FileRefused, read_client_files
from cji_core.format.configuration.policy_files import read_policy
from cji_core.format.configuration.worker import Config, ReviewSection
from cji_core.hosts import IMDS
from cji_core.metadata import socket_of
from cji_core.operations.tables import load as load_tables
from cji_core.pairs import supported
from cji_core.trail import ChainError
from cji_core.trail.delivered import line_at_of, standing
from cji_core.trail.rules import Watcher
from cji_core.trail.trail import opened
from cji_worker.front.client_certificates import ClientCertificates
from cji_worker.keyholder.entra import KeySets
from cji_worker.keyholder.schedule import MOST_LOAD, vault_load
from cji_worker.verbs.attested_values import check_endpoints, reference_values
from cji_worker.verbs.door_checks import check_door
from cji_worker.verbs.machine_checks import fips_module
from cji_worker.verbs.storage_checks import storage_checks

_HCL_INDEX: Final = 0x01400001
_REACHED_S: Final = 1.0

_HSM: Final = ".managedhsm."  # in the name of every Managed HSM; it does not throttle

_WORDS: Final = ("NAME", "POOL", "PROVIDER", "THUMBPRINT", "VAULT", "VERSION", "WORKER-1")
"""An operator must replace them in deploy/worker.example.toml, each a word of its own: https://VAULT.vault.azure.net.

No address, id or thumbprint of Azure has such a word, except these identifiers by chance: a letter in front of them or
behind them makes another word of it."""
_PLACEHOLDER: Final = re.compile(
    rf"(?<![\w-])(?:{'|'.join(_WORDS)})(?![\w-])|\A00000000-0000-0000-0000-000000000000\Z|\A\.\.\.\Z|\"\.\.\.\""
)


def configured_checks(config: Config, trust: Trust) -> list[Finding]:
    """The findings on one configuration."""
    return [
        run_check("placeholders", lambda: check_placeholders(config)),
        run_check("roots", lambda: _roots(trust)),
        run_check("reference values", lambda: _reference(config)),
        run_check("vTPM authorities", lambda: _issuers(config)),
        run_check("endpoints", lambda: _endpoints(config, trust)),
        run_check("broker", lambda: _broker(trust)),
        run_check("metadata service", lambda: _metadata_service(trust)),
        run_check("vault load", lambda: check_vault_load(config)),
        run_check("attestation provider", lambda: _provider(config, trust)),
        run_check("vTPM", lambda: _vtpm(trust)),
        run_check("floors", lambda: _floors(config, trust)),
        run_check("processors", lambda: _processors(config)),
        run_check("TDX collateral", lambda: _collateral(config, trust)),
        run_check("policy", lambda: _policy(config)),
        run_check("Microsoft Entra", lambda: _entra(config, trust)),
        run_check("suites", lambda: _suites(config)),
        run_check("tables", lambda: f"SHA-256 {load_tables(config.tables_folder).sha256.hex()}"),
        run_check("audit file", lambda: _audit(config)),
        *([run_check("audit delivery", lambda: _delivery(config))] if config.audit_delivery else []),
        *([run_check("reviews", partial(_reviews, config, config.review))] if config.review else []),
        *storage_checks(config, trust),
        run_check("clients", lambda: _clients(config)),
        run_check("door", lambda: check_door(config)),
        *([run_check("validated module", _validated)] if config.require_fips else []),
    ]


def _reviews(config: Config, section: ReviewSection) -> str:
    try:
        check = contributed("reviews")
    except Failure as error:
        raise NotOk(error.what, error.remedy) from error
    found: str = check(config, section)
    return found


def _suites(config: Config) -> str:
    halves = len([key for key in config.keys if key.ml_kem_seed_file is not None])
    if halves and not supported():
        raise NotOk(
            "[[keys]] has an ml_kem_seed_file, but OpenSSL has neither ML-KEM nor ML-DSA",
            "Use a build of cryptography with OpenSSL 3.5 or later, or remove ml_kem_seed_file.",
        )
    return f"classical-1; hybrid-1 for {halves} of {len(config.keys)} key(s)"


def _validated() -> str:
    module = fips_module()
    require_usable(module, require_fips=True)
    return f"{module}, {module.file}"


def _roots(trust: Trust) -> str:
    if not is_production(trust):
        raise NotOk(f"{trust.name}: not a production environment", "Do not send it real records.", state="warning")
    return f"{trust.name}, compiled in"


def _reference(config: Config) -> str:
    reference = reference_values(config)
    review, now = review_of(reference), datetime.now(UTC)
    if review.defects:
        raise NotOk("; ".join(review.defects), CATALOGUE["E45"].remedy)
    if not review.in_time(now):
        raise NotOk(
            f"the table of advisories holds from {review.reviewed} to {review.expires}", CATALOGUE["E31"].remedy
        )
    expired = [one.id for one in review.acceptances if one.until < now.date()]
    if expired:
        raise NotOk(f"expired risk acceptances: {', '.join(expired)}", "Renew or remove them.", state="warning")
    until = [f"acceptance {one.id} until {one.until}" for one in review.acceptances] or ["no risk accepted"]
    return f"products {', '.join(reference.products)}; advisories until {review.expires}; {', '.join(until)}"


def _floors(config: Config, trust: Trust) -> str:
    """The levels of this machine, unverified, beside the floor; the worker appraises them."""
    try:
        reference, raw = reference_values(config), _hardware_report(trust)
        report = parse_snp_report(raw.hardware) if raw.tee == "snp" else None
    except (AttestationError, NotOk) as error:
        raise NotOk("not compared", "Correct reference values and vTPM first.", state="not run") from error
    if report is None:
        return "not needed: this is not an SEV-SNP machine"
    above = levels_above(report, reference)
    if above:
        raise NotOk(f"floors trail this machine: {', '.join(above)}", NAMED["floors-trail"], state="warning")
    return "at the levels of this machine"


def _processors(config: Config) -> str:
    try:
        reference, today = reference_values(config), datetime.now(UTC).date()
    except (AttestationError, NotOk) as error:
        raise NotOk("not compared", "Correct reference values first.", state="not run") from error
    if reference.chips is None:
        return "no list: the processor is recorded"
    try:
        found = read_chips(reference.chips, reference.advisory_signers)
    except ValueError as error:
        raise NotOk(f"the list of processors: {error}", CATALOGUE["E56"].remedy) from error
    if not found.since <= today <= found.until:
        raise NotOk(f"list {found.id} is in force from {found.since} to {found.until}", CATALOGUE["E56"].remedy)
    return f"list {found.id}: {len(found.chips)} processors until {found.until}; without autoscale only"


def _issuers(config: Config) -> str:
    name = config.attestation.ak_issuers
    if name is None:
        remedy = "Set attestation.ak_issuers; docs/attestation.md names the certificates."
        raise NotOk("no issuers of the AK's certificate: evidence is refused at E44", remedy)
    try:
        found = load_pem_chain(Path(name).read_bytes(), fault=Fault.CONFIG_INVALID, check="ak-issuers")
    except (OSError, AttestationError) as error:
        raise NotOk(f"{name} holds no certificates", NAMED["ak-issuers"]) from error
    return f"{len(found)} certificates"


def _endpoints(config: Config, trust: Trust) -> str:
    check_endpoints(config, trust)
    return (
        f"attestation provider and {len(config.keys)} key(s) are hosts of {trust.name}; region {config.worker.region}"
    )


def _provider(config: Config, trust: Trust) -> str:
    try:
        provider = describe_provider(trust=trust, maa_url=config.attestation.maa_url)
    except AttestationError as error:
        if error.fault is Fault.CONFIG_INVALID:
            raise NotOk("not asked", "Correct the endpoints first.", state="not run") from error
        raise NotOk(f"{error.fault.value} at {error.check}", error.remedy) from error
    return f"{provider.issuer} answers, {provider.signing_keys} signing keys"


def _broker(trust: Trust) -> str:
    """It answers this user; whether it has a token for each identity is seen by the checks that need one."""
    path = socket_of(trust.imds)
    if path is None:
        raise NotOk("this cloud has no broker", "Use the cloud that the worker uses.", state="not run")
    try:
        return f"{path} answers; the machine is in {region(trust)}"
    except AttestationError as error:
        raise NotOk(
            f"{path}: {error.fault.value} at {error.check}",
            "Start cji-broker.socket; restart cji-broker.service after a change of worker.toml; be cji or root.",
        ) from error


def _metadata_service(trust: Trust) -> str:
    """Whether this process reaches it, past the broker. Another than production's is on loopback, for everybody."""
    if not is_production(trust):
        return "simulated"
    try:
        socket.create_connection((IMDS, 80), timeout=_REACHED_S).close()
    except OSError:
        return "the broker alone reaches it"
    raise NotOk(
        "every process of this machine can have a token of any of its identities",
        "Let only cji-broker reach it, as deploy/image/extra/etc/nftables.conf does.",
        state="warning",
    )


def _hardware_report(trust: Trust) -> HclReport:
    try:
        from cji_attestation.evidence.tpm import Tpm  # noqa: PLC0415 - its C libraries may be what is missing
    except ImportError as error:
        raise NotOk("the TPM libraries are not installed", "Install libtss2-esys and its TCTI libraries.") from error
    try:
        with Tpm(trust.tcti) as tpm:
            return parse_hcl(tpm.nv_read(_HCL_INDEX))
    except AttestationError as error:
        raise NotOk(f"{trust.tcti}: {error.fault.value} at {error.check}", error.remedy) from error


def _vtpm(trust: Trust) -> str:
    return f"{trust.tcti}, hardware report of kind {_hardware_report(trust).tee}"


def _collateral(config: Config, trust: Trust) -> str:
    """Intel's statements on this machine, verified; a warning for what they require only on the channel "early"."""
    try:
        report = _hardware_report(trust)
    except NotOk as error:
        raise NotOk("not asked", "Correct the vTPM first.", state="not run") from error
    if report.tee != "tdx":
        return "not needed: this is not a TDX machine"
    try:
        quote = td_quote(trust, report.hardware)
        collateral = IntelPcs(trust).collateral(parse_td_quote(quote).pck_chain)
    except AttestationError as error:
        remedy = f"Allow HTTPS to {trust.intel_pcs} and {trust.intel_root_crl}. {error.remedy}"
        raise NotOk(f"{error.fault.value} at {error.check}", remedy) from error
    try:
        domain = authenticate_quote(
            quote, collateral, report.hardware, roots=trust.intel_roots, now=datetime.now(UTC), record=Record()
        )
    except AttestationError as error:
        found = "; ".join(one.found for one in error.failures if one.found)
        raise NotOk(f"{error.fault.value} at {error.check}" + (f": {found}" if found else ""), error.remedy) from error
    shown = f"Intel's TCB status {domain.tcb_status} for FMSPC {domain.product}"
    if domain.early is not None and domain.early.status != domain.tcb_status:
        state: State = "warning" if reference_values(config).tcb == "standard" else "failed"
        raise NotOk(f"{shown}; {early_text(domain.early)}", NAMED["tcb-early"], state=state)
    return shown


def _policy(config: Config) -> str:
    policy = read_policy(config)
    signed = f", signed by {len(policy.signers)}" if policy.signers else ""
    return f"SHA-384 {policy.sha384.hex()[:16]}…{signed}"


def _entra(config: Config, trust: Trust) -> str:
    try:
        tenants = sorted(read_policy(config).tenants)
    except FileRefused as error:
        raise NotOk("not asked", "Correct the policy first.", state="not run") from error
    if not tenants:
        return "not needed: the policy requires no tokens"
    sets = KeySets(trust)
    for tenant in tenants:
        try:
            sets.fetch(tenant)
        except AttestationError as error:
            raise NotOk(f"no keys of the tenant {tenant} from {trust.entra}", error.remedy) from error
    return f"{trust.entra} publishes keys of {len(tenants)} tenant(s)"


def _audit(config: Config) -> str:
    path = Path(config.audit_file)
    try:
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(b"\0")
            os.fsync(probe.fileno())
    except OSError as error:
        raise NotOk(
            f"{path.parent} cannot be written: {error.strerror}", "Give the worker's user that folder."
        ) from error
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise NotOk(f"{path} cannot be read and appended", "Give it to the worker's user.")
    return f"{path.parent} is writable; {_audit_lines(path)}"


def _audit_lines(path: Path) -> str:
    """Lines of the trail and legal holds in force. A line without its line feed was never acknowledged."""
    try:
        with opened(path) as trail:
            watcher = Watcher.after(trail.pruned)
            for line, record in trail.verified():
                watcher.take(line, record)
    except FileNotFoundError:
        return "0 lines"
    except ChainError as error:
        raise NotOk(
            str(error),
            "Investigate who changed the trail. Keep it, and configure a new file.",
        ) from error
    state = watcher.state
    held = f"; under legal hold: {', '.join(sorted(state.holds))}" if state.holds else ""
    return f"{state.head.seq} lines, in one chain{held}"


def _delivery(config: Config) -> str:
    """As the keyholder compares the deliverer's files with the trail."""
    section = config.audit_delivery
    assert section is not None  # noqa: S101 - the check is for a worker with this section
    now, folder, waits = datetime.now(UTC), Path(section.state), []
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        raise NotOk(
            f"{folder} cannot be read",
            "Create it before the worker starts; its user must read it: deploy/systemd/cji-worker.tmpfiles.conf.",
        )
    for name in section.required:
        try:
            found = standing(folder, name, line_at_of(Path(config.audit_file)))
        except OSError as error:
            raise NotOk(f"the trail cannot be read: {error}", "Run `cji audit verify`.") from error
        if cause := found.overdue(now, most_seconds=section.max_undelivered_seconds):
            raise NotOk(
                f"{name}: {cause}; line {found.seq} was the last, and the next one waits for {found.seconds(now)} s",
                "Look at the log of `cji audit deliver`, and at what it cannot reach.",
            )
        waits.append(f"{name} at line {found.seq}")
    return f"{', '.join(waits)}; on failure: {section.on_failure}"


def _clients(config: Config) -> str:
    """As the front checks them at start and at a reload."""
    listen = config.listen
    files = read_client_files(client_roots=listen.client_roots, client_crl=listen.client_crl)
    clients = ClientCertificates.load(files, now=datetime.now(UTC))
    until = clients.current_until
    return f"{clients.revoked} revoked, lists until {until:%Y-%m-%d %H:%M} UTC" if until else "no revocation lists"


def check_vault_load(config: Config) -> str:
    """The load of each vault, from the configuration alone. Raises NotOk where renewals wait, or keys can run out."""
    workers, lifetime = config.attestation.workers_per_vault, config.attestation.key_lifetime_s
    hosts = Counter(urlsplit(key.kek_id).netloc for key in config.keys)
    vaults = {host: versions for host, versions in hosts.items() if _HSM not in host}
    found, most = [f"{host}: no limit known" for host in hosts if host not in vaults], 0.0
    for host, versions in vaults.items():
        load = vault_load(workers=workers, versions=versions, lifetime=lifetime)
        found.append(f"{host}: {100 * load:.0f} % for {workers} workers × {versions} key version(s) × {lifetime} s")
        most = max(most, load)
    if most <= 1:
        return "; ".join(found)
    what = "keys can run out" if most > MOST_LOAD else "renewals wait, and revocations take up to the whole lifetime"
    raise NotOk(
        f"{'; '.join(found)}: {what}",
        "Set attestation.workers_per_vault to the number of workers. If it is right, use more vaults, a Managed HSM, "
        "fewer and larger VMs, fewer key versions or a longer key_lifetime_s: docs/fleet.md, Sizing.",
        state="warning",
    )


def check_placeholders(config: Config) -> str:
    """Raises NotOk that names each key whose value is a placeholder."""
    found = sorted(_found("", msgspec.to_builtins(config)))
    if found:
        raise NotOk(
            f"still the example's value: {', '.join(found)}",
            "Replace them with the deployment's outputs, which the comments in deploy/worker.example.toml name.",
        )
    return "no placeholder of the example is left"


def _found(key: str, value: Any) -> Iterator[str]:
    """The keys, as in TOML, of texts that are placeholders. The name of an environment is not read."""
    match value:
        case dict():
            for name, one in value.items():
                yield from _found(f"{key}.{name}" if key else name, one)
        case list() | tuple():
            for at, one in enumerate(value):
                yield from _found(f"{key}[{at}]", one)
        case str() if _PLACEHOLDER.search(value):
            yield key
