"""The section of a System Security Plan on customer-managed keys and confidential computing, from what was attested."""

from collections.abc import Iterator
from typing import Final

from cji_audit.packet.document import Block, Code, Facts, Heading, Listing, Table, Text
from cji_audit.packet.material import Key, Linted, Material, Trail
from cji_audit.packet.pictures import boundary, data_flow

NOT_GIVEN: Final = "not given: a gap"

_WORDS: Final = (
    "Records are encrypted by the agency before they reach the cloud, and results are encrypted before they leave the "
    "worker. In between they exist unencrypted only in the memory of a confidential virtual machine, which the "
    "processor encrypts with a key that neither the cloud provider's staff nor its software can read.",
    "The key that opens them belongs to the agency. It is kept in hardware in the agency's own vault, and the vault "
    "releases it only to a machine that has proven by attestation which hardware, firmware and boot it runs, under a "
    "policy that the agency wrote. The agency can disable the key at any time; a released copy expires within the "
    "time that the configuration states.",
    "The CJIS Security Policy requires a fingerprint-based record check of everybody with unescorted access to "
    "unencrypted CJI. Staff of the cloud provider have access to the building, the host and the network, not to "
    "unencrypted CJI and not to the keys. Encryption under keys that the agency controls, kept up during processing "
    "by confidential computing, is offered here as the compensating control for provider staff who were not screened. "
    "The policy does not require confidential computing by name; whether it is accepted is the decision of the "
    "agency and of its CJIS Systems Officer.",
)
_WHO: Final = (
    (
        "upstream application of the agency",
        "records, its signing key, the recipients' keys",
        "the customer-managed key",
    ),
    ("Key Vault or Managed HSM of the agency", "the customer-managed key, in hardware", "records"),
    (
        "database administrator, of columns that the agency encrypts there",
        "ciphertext, encrypted keys; equal values of deterministic columns, lengths, NULLs",
        "their values and keys",
    ),
    ("cloud provider: staff, host, hypervisor, network, logs", "ciphertext, volumes", "records, keys"),
    ("administrator of the machine", "process list, audit events", "records and keys, under the host profile"),
    ("worker: TLS door and front", "ciphertext, job headers", "records, keys"),
    ("worker: keyholder", "the released key, the key that signs receipts", "records"),
    ("worker: cell", "one job's data keys and records", "any other job, the customer-managed key, network, disk"),
)
_NOT: Final = (
    "Physical attacks on the memory bus are outside the guarantees of SEV-SNP and TDX: you also trust anyone who "
    "controls physical access.",
    "Microsoft is a party: Key Vault enforces the release policy and relies on Azure Attestation. The worker's own "
    "appraisal of the same evidence must agree before it uses the key.",
    "The region is reported by the host. A mismatch is refused, a match proves nothing.",
    "LIMITATIONS.md of the product has the whole list.",
)


def ssp(material: Material) -> tuple[Block, ...]:
    """The section."""
    return tuple(_blocks(material))


def _blocks(material: Material) -> Iterator[Block]:
    yield Heading("Encryption as the compensating control")
    yield from map(Text, _WORDS)
    yield Heading("Who holds what")
    yield Table(("party", "holds", "never sees"), _WHO)
    for picture in (boundary(material), data_flow(material)):
        yield Heading(picture.title)
        yield picture
    yield Heading("Machines as attested in the period")
    for trail in material.trails:
        yield Facts(
            {
                "worker": trail.worker,
                "trusted execution environment": _values(trail, "attested.tee"),
                "region, by the host's word": _values(trail, "attested.region"),
                "attestation provider": _values(trail, "attested.issuer"),
                "host profile": _values(trail, "in_force.host_profile"),
                "open advisories that were accepted": _values(trail, "attested.accepted_advisories", "none"),
                "customer-managed keys": _values(trail, "key_released.kek_id"),
                "release policies, SHA-256": _values(trail, "key_released.policy_sha256"),
            }
        )
    yield from _machines(material)
    yield Heading("Keys and their release policies")
    if not material.keys:
        yield Text(f"Attributes of the keys: {NOT_GIVEN}.")
    for key in material.keys:
        yield from _key(key)
    yield Heading("Policy of the attestation provider")
    yield from _linted(material.maa_policy)
    yield Heading("Code, configuration and policy")
    yield from _code(material)
    yield Heading("Cryptography as used in the period")
    for trail in material.trails:
        yield Facts(
            {
                "suites of jobs": _values(trail, "receipt.suite"),
                "FIPS 140-3 certificates": _values(trail, "receipt.fips.certificate"),
                "mode of the module": _values(trail, "receipt.fips.mode"),
                "TLS": _values(trail, "receipt.transport.protocol"),
                "bits of the TLS suite": _values(trail, "receipt.transport.bits"),
            }
        )
    yield Heading("What this does not protect")
    yield from map(Text, _NOT)


def _machines(material: Material) -> Iterator[Block]:
    if not material.machines:
        yield Text(f"Evidence of a machine: {NOT_GIVEN}. The facts above are those that the worker recorded.")
    for each in material.machines:
        if each.refused:
            yield Text(f"{each.file.name} was refused: {each.refused}.")
            continue
        yield Facts(
            {
                "evidence": each.file.name,
                "technology": f"{each.tee}, {each.product}",
                "measurement": each.measurement,
                "roots of": each.cloud + (", SIMULATED" if each.simulated else ""),
                "appraised at": f"{each.appraised_at}, by {each.time_by}",
                "timestamp": "given, and compared when the packet was made" if each.stamped else NOT_GIVEN,
                "receipt key": each.receipt_key,
                "checks that ran": str(each.checks),
                "not checked": " ".join(each.unchecked) or "nothing",
            }
        )
        yield Table(("PCR", "SHA-256"), [(str(n), Code(pcr)) for n, pcr in enumerate(each.pcrs)], "pcrs")


def _key(key: Key) -> Iterator[Block]:
    yield Facts(
        {
            "key": key.kid,
            "type": f"{key.kty}, {key.bits or 'unknown'} bits",
            "may be released": "yes" if key.exportable else "no",
            "enabled": "yes" if key.enabled else "no",
            "created": key.created or "not stated",
            "expires": key.expires or "never",
            "operations": " ".join(key.operations) or "none",
            "release policy is immutable": "yes" if key.policy_immutable else "no",
        }
    )
    yield from _linted(key.policy)


def _linted(policy: Linted | None) -> Iterator[Block]:
    if policy is None:
        yield Text(f"The policy: {NOT_GIVEN}.")
        return
    yield Facts({"policy": policy.name, "weaknesses": "; ".join(policy.findings) or "none"})
    yield Listing(policy.text)


def _code(material: Material) -> Iterator[Block]:
    rows = [
        (trail.worker, name.removesuffix("_sha384").replace("_", " "), Code(value))
        for trail in material.trails
        for name, value in trail.in_force.items()
        if name in {"version", "code_sha384", "config_sha384", "policy_sha384"}
    ]
    yield Text("In force at the end of the period; digests are SHA-384, and are in every receipt.")
    yield Table(("worker", "of", "value"), rows)
    bom, tests = material.sbom, material.tests
    yield Facts(
        {
            "bill of materials": NOT_GIVEN if bom is None else f"CycloneDX {bom.spec}, {bom.components} components",
            "tests": NOT_GIVEN
            if tests is None
            else f"{tests.total} ran, {tests.failed} failed, {tests.skipped} skipped",
        }
    )


def _values(trail: Trail, field: str, otherwise: str = "none in the period") -> str:
    more = trail.unlisted.get(field, 0)
    return ", ".join(trail.seen.get(field, {})) + (f" and {more} more" if more else "") or otherwise
