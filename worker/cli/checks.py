"""The checks of `cji doctor`: each does in small what the worker does in earnest, and tells what it found.

What changes a process for good (a secret heap, a system-call filter) is tried in a process of its own. Nothing here
changes the machine. Asked over a network are the attestation provider who it is and, on a TDX machine, the metadata
service for a quote and Intel for the processor's collateral.
"""

import os
import resource
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
from cryptography import x509

from attestation import AttestationError, Fault, Trust, is_production
from attestation.appraisal import ReferenceValues, check_reference
from attestation.checks import CATALOGUE
from attestation.evidence import HclReport, parse_hcl, parse_td_quote
from attestation.evidence.imds import td_quote
from attestation.evidence.pck import pck_subject
from attestation.evidence.pcs import IntelPcs
from attestation.provider_policy.provider import describe_provider
from attestation.trust import endpoint
from worker.audit import ChainError, verify_chain
from worker.compute.tables import load as load_tables
from worker.config import Config
from worker.errors import Refusal, StartupError
from worker.job import Policy
from worker.keyholder.fips import fips_probe
from worker.memory import heap_environment, refuse_swap

__all__ = ["Finding", "configured_checks", "machine_checks"]

State = Literal["ok", "warning", "failed", "not run"]

_HCL_INDEX: Final = 0x01400001
_CAP_IPC_LOCK: Final = 14
_PROBE_SECONDS: Final = 60
_OVERHEAD_MIB: Final = 128
"""Secret memory of the keyholder and of key slots, beside the cells."""

_HEAP: Final = """
import os
from worker.memory import Region, SecretHeap, secret_fd
SecretHeap(Region(secret_fd(64 << 20)), size=64 << 20)
os._exit(0)
"""
_SANDBOX: Final = """
import os, socket
from worker.cell.sandbox import enter_sandbox
enter_sandbox()
try:
    socket.socket()
except PermissionError:
    os._exit(0)
os._exit(1)
"""
_DUMPS: Final = """
import ctypes, resource
from worker.memory import harden
harden(die_with_parent=False)
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0) and ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found. `remedy` is empty where there is nothing to do."""

    name: str
    state: State
    found: str
    remedy: str


class _Found(Exception):  # noqa: N818 - the outcome of a check that is not "ok"
    def __init__(self, found: str, remedy: str, *, state: State = "failed") -> None:
        super().__init__(found)
        self.found, self.remedy, self.state = found, remedy, state


def machine_checks() -> list[Finding]:
    """What holds for every worker on this machine."""
    return [
        _check("interpreter", _interpreter),
        _check(
            "secret heap", lambda: _probe(_HEAP, heap_environment(), found="memfd_secret and mimalloc work together")
        ),
        _check("system-call filter", lambda: _probe(_SANDBOX, {}, found="libseccomp refuses sockets in a cell")),
        _check("dumps", lambda: _probe(_DUMPS, {}, found="no core, not dumpable")),
        _check("tracing", _tracing),
        _check("swap", _swap),
        _check("FIPS", _fips),
    ]


def configured_checks(config: Config, trust: Trust) -> list[Finding]:
    """What the configuration of one worker asks for."""
    return [
        _check("roots", lambda: _roots(trust)),
        _check("locked memory", lambda: _locked_memory(config)),
        _check("reference values", lambda: _reference(config)),
        _check("endpoints", lambda: _endpoints(config, trust)),
        _check("attestation provider", lambda: _provider(config, trust)),
        _check("vTPM", lambda: _vtpm(trust)),
        _check("TDX collateral", lambda: _collateral(trust)),
        _check("policy", lambda: _policy(config)),
        _check("tables", lambda: f"SHA-256 {load_tables(config.tables_folder).sha256.hex()}"),
        _check("audit file", lambda: _audit(config)),
        _check("TLS files", lambda: _tls(config)),
    ]


def _check(name: str, run: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, state="ok", found=run(), remedy="")
    except _Found as outcome:
        return Finding(name=name, state=outcome.state, found=outcome.found, remedy=outcome.remedy)
    except StartupError as error:
        return Finding(name=name, state="failed", found=error.what, remedy=error.remedy)


# ---------------------------------------------------------------- the machine


def _interpreter() -> str:
    stray = sorted(k for k in os.environ if k.startswith(("PYTHON", "LD_")) and k not in _HARMLESS)
    if stray:
        raise _Found(f"the environment sets {', '.join(stray)}", "Unset them in the unit file.", state="warning")
    version = ".".join(map(str, sys.version_info[:3]))
    return f"Python {version}; the worker's processes start with an environment of their own"


_HARMLESS: Final = frozenset({"PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE", "PYTHONUNBUFFERED"})


def _probe(code: str, environment: dict[str, str], *, found: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own interpreter and code; -I would ignore PYTHONMALLOC
        [sys.executable, "-s", "-P", "-c", code],
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
        check=False,
    )
    if done.returncode == 0:
        return found
    reason = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
    raise _Found(
        reason[0].rpartition("StartupError: ")[2],
        "Install requirements.lock and compare the unit file with deploy/systemd.",
    )


def _tracing() -> str:
    """With 3 nobody can attach to a process, root included: Linux, Documentation/admin-guide/LSM/Yama.rst."""
    try:
        scope = Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip()
    except OSError:
        scope = "absent"
    if scope != "3":
        raise _Found(
            f"kernel.yama.ptrace_scope is {scope}; root could make a worker's process run code",
            "Set it to 3, as deploy/systemd/cji-worker.sysctl.conf does.",
            state="warning",
        )
    return "nobody can attach to a process"


def _swap() -> str:
    refuse_swap()
    return "off"


def _fips() -> str:
    if fips_probe() == "not_approved":
        raise _Found(
            "AES-GCM runs outside a FIPS provider; receipts will say so",
            "Set OPENSSL_CONF and OPENSSL_MODULES for a validated provider, both of them.",
            state="warning",
        )
    modules = {
        line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/ossl-modules/" in line
    }
    if not modules:
        raise _Found("FIPS is reported, but no provider module is mapped", "Check OPENSSL_MODULES.")
    return ", ".join(sorted(modules))


# ---------------------------------------------------------------- the configuration


def _roots(trust: Trust) -> str:
    if not is_production(trust):
        raise _Found(f"{trust.name}: not a production environment", "Never send it real records.", state="warning")
    return f"{trust.name}, compiled in"


def _locked_memory(config: Config) -> str:
    needed = config.worker.cells * config.worker.cell_memory_mib + _OVERHEAD_MIB
    if config.references:
        needed += config.references.max_references * config.references.memory_mib
    capabilities = next(
        line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:")
    )
    if int(capabilities, 16) >> _CAP_IPC_LOCK & 1:
        return f"{needed} MiB needed, CAP_IPC_LOCK held"
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if limit != resource.RLIM_INFINITY and limit < needed << 20:
        raise _Found(
            f"{needed} MiB of secret memory needed, RLIMIT_MEMLOCK is {limit >> 20} MiB",
            "Raise LimitMEMLOCK in the unit file, or configure fewer or smaller cells and references.",
        )
    return f"{needed} MiB needed and allowed"


def _reference(config: Config) -> str:
    try:
        reference = msgspec.convert(config.attestation.reference_values, type=ReferenceValues, str_keys=True)
        check_reference(reference)
    except msgspec.ValidationError as error:
        raise _Found(f"attestation.reference_values: {error}", "docs/configuration.md lists its keys.") from error
    except AttestationError as error:
        raise _Found(str(error), error.remedy) from error
    known = reference.advisories
    if known is not None and not known.in_time(datetime.now(UTC)):
        raise _Found(f"the list of advisories holds from {known.reviewed} to {known.expires}", CATALOGUE["E31"].remedy)
    listed = f"advisories until {known.expires}" if known else "no list of advisories"
    return f"products {', '.join(reference.products)}; {listed}"


def _endpoints(config: Config, trust: Trust) -> str:
    try:
        endpoint(config.attestation.maa_url, trust.maa_hosts, resource="", check="maa_url")
        for key in config.keys:
            host = urlsplit(key.kek_id)
            endpoint(f"{host.scheme}://{host.netloc}", trust.vault_hosts, resource="", check="kek_id")
    except (AttestationError, ValueError) as error:
        check = getattr(error, "check", "kek_id")
        raise _Found(
            f"{check} is no host of {trust.name}", "Only hosts that the cloud's pins allow are dialled."
        ) from error
    if config.worker.region not in trust.regions:
        raise _Found(f"{config.worker.region} is no region of {trust.name}", f"Known: {', '.join(trust.regions)}.")
    return (
        f"attestation provider and {len(config.keys)} key(s) are hosts of {trust.name}; region {config.worker.region}"
    )


def _provider(config: Config, trust: Trust) -> str:
    try:
        provider = describe_provider(trust=trust, maa_url=config.attestation.maa_url)
    except AttestationError as error:
        if error.fault is Fault.CONFIG_INVALID:
            raise _Found("not asked", "Correct the endpoints first.", state="not run") from error
        raise _Found(f"{error.fault.value} at {error.check}", error.remedy) from error
    return f"{provider.issuer} answers, {provider.signing_keys} signing keys"


def _hardware_report(trust: Trust) -> HclReport:
    try:
        from attestation.evidence.tpm import Tpm  # noqa: PLC0415 - its C libraries may be what is missing
    except ImportError as error:
        raise _Found("the TPM libraries are not installed", "Install libtss2-esys and its TCTI libraries.") from error
    try:
        with Tpm(trust.tcti) as tpm:
            return parse_hcl(tpm.nv_read(_HCL_INDEX))
    except AttestationError as error:
        raise _Found(f"{trust.tcti}: {error.fault.value} at {error.check}", error.remedy) from error


def _vtpm(trust: Trust) -> str:
    return f"{trust.tcti}, hardware report of kind {_hardware_report(trust).tee}"


def _collateral(trust: Trust) -> str:
    try:
        report = _hardware_report(trust)
    except _Found as error:
        raise _Found("not asked", "Correct the vTPM first.", state="not run") from error
    if report.tee != "tdx":
        return "none is needed: this is no TDX machine"
    try:
        chain = parse_td_quote(td_quote(trust, report.hardware)).pck_chain
        IntelPcs(trust).collateral(chain)
    except AttestationError as error:
        remedy = f"Allow HTTPS to {trust.intel_pcs} and {trust.intel_root_crl}. {error.remedy}"
        raise _Found(f"{error.fault.value} at {error.check}", remedy) from error
    return f"Intel answers for FMSPC {pck_subject(chain).fmspc}"


def _policy(config: Config) -> str:
    try:
        policy = Policy.load(Path(config.policy_file).read_bytes())
    except OSError as error:
        raise _Found(f"{config.policy_file}: {error.strerror}", "Correct policy_file or its permissions.") from error
    except Refusal as error:
        raise _Found(str(error), "docs/policy.md describes the file.") from error
    return f"SHA-384 {policy.sha384.hex()[:16]}…"


def _audit(config: Config) -> str:
    path = Path(config.audit_file)
    try:
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.write(b"\0")
            os.fsync(probe.fileno())
    except OSError as error:
        raise _Found(
            f"{path.parent} cannot be written: {error.strerror}", "Give the worker's user that folder."
        ) from error
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise _Found(f"{path} cannot be read and appended", "Give it to the worker's user.")
    return f"{path.parent} is writable; {_audit_lines(path)} lines, in one chain"


def _audit_lines(path: Path) -> int:
    """Lines of the trail; one without its line feed was never acknowledged, and the worker cuts it off."""
    if not path.exists():
        return 0
    try:
        with path.open("rb") as file:
            return verify_chain(line for line in file if line.endswith(b"\n")).seq
    except ChainError as error:
        raise _Found(
            str(error), "No worker starts on a trail that was changed. Find out by whom; keep it, and name a new one."
        ) from error


def _tls(config: Config) -> str:
    listen = config.listen
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(listen.certificate, listen.private_key, password=lambda: b"")
        context.load_verify_locations(listen.client_roots)
        end = x509.load_pem_x509_certificate(Path(listen.certificate).read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not PEM"
        raise _Found(f"certificate, private_key or client_roots: {reason}", "Correct the files of [listen].") from error
    if end <= datetime.now(UTC):
        raise _Found(f"the server certificate ended on {end:%Y-%m-%d}", "Renew it.")
    return f"server certificate until {end:%Y-%m-%d}"
