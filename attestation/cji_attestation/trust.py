"""The pins: the roots, hosts and devices that this package trusts. Chosen by constructor, never by a flag.

`AZURE_US` and `AZURE_USGOV` are compiled in. Another `Trust` can be made and passed through the same constructors,
but `is_production` distinguishes it from the compiled ones, and verdicts under it never verify under them.

A host pattern is `[scheme://]host[:port]`. The scheme is https unless written, the port is the scheme's own unless
written. A host that begins with a dot stands for every name with exactly one more label in front of it.
"""

from typing import Final, Literal, Self
from urllib.parse import urlsplit

import msgspec

from cji_attestation.errors import AttestationError, Fault
from cji_core.metadata import BROKER, base_of, socket_of

# SHA-256 of the SubjectPublicKeyInfo of AMD's root keys, from the ARK certificates that AMD's key distribution
# service publishes under /vcek/v1/{Milan,Genoa,Turin}/cert_chain (AMD 57230).
ARK_MILAN: Final = "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9"
ARK_GENOA: Final = "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831"
ARK_TURIN: Final = "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08"

# AMD's key distribution service (AMD 57230). No worker uses it: the metadata service has the certificates of a chip.
AMD_KDS: Final = "https://kdsintf.amd.com"

# The same of Intel's root, "Intel SGX Root CA" of certificates.trustedservices.intel.com.
INTEL_SGX_ROOT: Final = "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"

# Intel's service for collateral signed under that root (PCS API v4), and the root's CRL, which that service does not
# have: this is the distribution point in the root certificate. Azure's cache of both withholds newer TCB info and
# serves older info past its nextUpdate (learn.microsoft.com, "Trusted Hardware Identity Management"): it is not used.
INTEL_PCS: Final = "https://api.trustedservices.intel.com"
INTEL_ROOT_CRL: Final = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"

# The authority of Microsoft Entra in each cloud: issuer of tokens and address of key sets (learn.microsoft.com,
# "National clouds", section "Microsoft Entra authentication endpoints").
ENTRA: Final = "https://login.microsoftonline.com"
ENTRA_USGOV: Final = "https://login.microsoftonline.us"

# Regions inside the United States by the names of the instance metadata service, and the label of each one's
# attestation providers (learn.microsoft.com, "Azure regions list"; attestation_uri_table.json and its _usgov of Azure's
# cvm-attestation-tools). Texas has its providers in Arizona.
US_REGIONS: Final = {
    "eastus": "eus",
    "eastus2": "eus2",
    "centralus": "cus",
    "northcentralus": "ncus",
    "southcentralus": "scus",
    "westcentralus": "wcus",
    "westus": "wus",
    "westus2": "wus2",
    "westus3": "wus3",
}
USGOV_REGIONS: Final = {"usgovvirginia": "ugv", "usgovarizona": "uga", "usgovtexas": "uga"}

# Blob Storage of an account in each cloud (learn.microsoft.com, "Storage account overview", "Standard endpoints", and
# "Compare Azure Government and global Azure").
BLOB: Final = "https://{account}.blob.core.windows.net"
BLOB_USGOV: Final = "https://{account}.blob.core.usgovcloudapi.net"

FIRMWARE_LOG: Final = "/sys/kernel/security/tpm0/binary_bios_measurements"
USERSPACE_LOG: Final = "/run/log/systemd/tpm2-measure.log"

BUNDLE_KEYS: Final = "/usr/share/cji/bundle-keys"

MachineKind = Literal["worker", "engine"]
"""The purpose of a machine: to open records, or to run scheduler and workers of the engine."""

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_HOST_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")


class Trust(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The roots and hosts that one environment trusts. Public data only; travels between processes as msgspec JSON."""

    name: str  # for people and logs
    maa_hosts: tuple[str, ...]  # host patterns of token issuers
    regions: tuple[str, ...] = tuple(US_REGIONS)  # where a machine may be, by the metadata service's names
    maa_resource: str = "https://attest.azure.net"  # audience of the token of an operator who reads or sets policies
    vault_hosts: tuple[str, ...]  # host patterns of vaults and managed HSMs
    vault_resource: str  # audience of the identity's token where the vault pattern has no leading dot
    tls_roots: str | None  # PEM text for HTTPS; None = the system's store
    release_roots: str | None  # PEM text for the x5c chain of release statements; None = the system's store
    amd_roots: tuple[str, ...]  # SHA-256 of the SPKI of pinned ARKs, lower-case hex
    amd_kds: str = AMD_KDS  # base URL of AMD's key distribution service, which operators fetch CRLs from
    intel_roots: tuple[str, ...] = ()  # the same of Intel's SGX root; none = no TDX machine is accepted
    intel_pcs: str = INTEL_PCS  # base URL of the service that has Intel's collateral for TDX
    intel_root_crl: str = INTEL_ROOT_CRL  # URL of the CRL of Intel's root, DER
    imds: str  # address of the instance metadata service: unix:PATH of the broker, or a base URL (`cji_core.metadata`)
    tcti: str  # TPM command transmission interface
    tpm_is_shared: bool = False  # whether several machines use this TPM, as simulated ones do; never a true machine
    firmware_log: str = FIRMWARE_LOG  # path of the event log that the kernel keeps for this TPM
    userspace_log: str = USERSPACE_LOG  # path of systemd's
    blob: str = BLOB  # address of Blob Storage, with {account} where the name of the account stands
    bundle_keys: str = BUNDLE_KEYS  # folder of the keys that sign configuration bundles, in the measured image
    flavours: tuple[str, ...] = ("production",)  # of the image, as its command line names them (E61): a worker's
    engine_flavours: tuple[str, ...] = ("engine",)  # the same of an engine's
    entra: str = ENTRA  # base URL of the authority that issues access tokens to submitters, and of its key sets

    def wanting(self, machine: MachineKind) -> Self:
        """The same for an appraisal of a machine of this kind: no flavour is of two kinds."""
        return self if machine == "worker" else msgspec.structs.replace(self, flavours=self.engine_flavours)


_AMD_ROOTS: Final = (ARK_MILAN, ARK_GENOA, ARK_TURIN)
_TCTI: Final = "device:/dev/tpmrm0"

AZURE_US: Final = Trust(
    name="azure-us",
    # one label in front: shared providers (sharedeus.eus...) and a customer's own (name.eus...)
    maa_hosts=tuple(f".{label}.attest.azure.net" for label in US_REGIONS.values()),
    regions=tuple(US_REGIONS),
    vault_hosts=(".vault.azure.net", ".managedhsm.azure.net"),
    vault_resource="https://vault.azure.net",
    tls_roots=None,
    release_roots=None,
    amd_roots=_AMD_ROOTS,
    intel_roots=(INTEL_SGX_ROOT,),
    imds=BROKER,
    tcti=_TCTI,
)
AZURE_USGOV: Final = Trust(
    name="azure-usgov",
    maa_hosts=tuple(f".{label}.attest.azure.us" for label in dict.fromkeys(USGOV_REGIONS.values())),
    regions=tuple(USGOV_REGIONS),
    maa_resource="https://attest.azure.us",
    vault_hosts=(".vault.usgovcloudapi.net", ".managedhsm.usgovcloudapi.net"),
    vault_resource="https://vault.usgovcloudapi.net",
    tls_roots=None,
    release_roots=None,
    amd_roots=_AMD_ROOTS,
    intel_roots=(INTEL_SGX_ROOT,),
    imds=BROKER,
    tcti=_TCTI,
    blob=BLOB_USGOV,
    entra=ENTRA_USGOV,
)
PRODUCTION: Final = (AZURE_US, AZURE_USGOV)


def is_production(trust: Trust) -> bool:
    """Whether every pin equals those of one compiled-in environment."""
    return any(trust == compiled for compiled in PRODUCTION)


def require_region(trust: Trust, region: str, *, stated: str | None = None) -> str:
    """The region itself, or POLICY_MISMATCH "region" for one that the trust does not name, or another than the stated.

    The host reports the region: a mismatch is refused, a match proves nothing.
    """
    if region not in trust.regions or stated not in {None, region}:
        raise AttestationError(Fault.POLICY_MISMATCH, check="region")
    return region


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A URL that was found in a Trust. `resource` is the audience of the token that its vault may request."""

    scheme: str
    host: str
    port: int
    path: str
    resource: str
    socket: str | None = None  # Unix socket that takes its requests

    @property
    def base(self) -> str:
        """Scheme and authority without a trailing slash, the port only where it is not the scheme's own."""
        suffix = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{suffix}"


def _parse(url: str) -> tuple[str, str, int, str]:
    """(scheme, host, port, path) of a plain URL; ValueError for anything that two parsers could read differently."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError
    parts = urlsplit(url)
    host = parts.hostname
    plain = f"{parts.scheme}://{parts.netloc}{parts.path}"  # no query or fragment, not even an empty one
    if parts.scheme not in _DEFAULT_PORTS or "@" in parts.netloc or url != plain:
        raise ValueError
    if not host or set(host) - _HOST_CHARACTERS or parts.netloc.split(":")[0] != host or host.endswith("."):
        raise ValueError  # upper case, unicode, brackets and the root dot included
    port = parts.port
    if port is None and parts.netloc != host:
        raise ValueError
    return parts.scheme, host, _DEFAULT_PORTS[parts.scheme] if port is None else port, parts.path


def _matches(host: str, pattern_host: str) -> bool:
    if not pattern_host.startswith("."):
        return host == pattern_host
    label = host.removesuffix(pattern_host)
    return label != host and bool(label) and "." not in label


def endpoint(url: str, patterns: tuple[str, ...], *, resource: str, check: str) -> Endpoint:
    """Find `url` among `patterns`, or raise CONFIG_INVALID; nothing is resolved or dialled."""
    try:
        scheme, host, port, path = _parse(url)
        for pattern in patterns:
            pattern_url = pattern if "://" in pattern else f"https://{pattern}"
            pattern_scheme, pattern_host, pattern_port, _ = _parse(pattern_url)
            if (scheme, port) == (pattern_scheme, pattern_port) and _matches(host, pattern_host):
                own = f"https://{pattern_host[1:]}" if pattern_host.startswith(".") else resource
                if pattern_port != _DEFAULT_PORTS[scheme] and pattern_host.startswith("."):
                    own = f"{own}:{pattern_port}"
                return Endpoint(scheme=scheme, host=host, port=port, path=path, resource=own)
    except ValueError as error:
        raise AttestationError(Fault.CONFIG_INVALID, check=check) from error
    raise AttestationError(Fault.CONFIG_INVALID, check=check)


def metadata_endpoint(trust: Trust) -> Endpoint:
    """The metadata service, or the broker in front of it; CONFIG_INVALID "imds" for an address that is neither."""
    base, path = base_of(trust.imds), socket_of(trust.imds)
    if path is not None and not path.startswith("/"):
        raise AttestationError(Fault.CONFIG_INVALID, check="imds")
    found = endpoint(base, (base,), resource="", check="imds")
    return msgspec.structs.replace(found, socket=path)


def provider_endpoint(trust: Trust, maa_url: str) -> Endpoint:
    """The attestation provider's address, without a path; CONFIG_INVALID "maa-url" for one that is not in the trust."""
    found = endpoint(maa_url, trust.maa_hosts, resource="", check="maa-url")
    if found.path not in {"", "/"}:
        raise AttestationError(Fault.CONFIG_INVALID, check="maa-url")
    return found
