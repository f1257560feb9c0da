"""Checks of machines and keys: evidence, releases, the host, and the processes that witness each other."""

import shlex
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from cji_audit.packet.checks.receipts import every
from cji_audit.packet.checks.result import Evidence, Result, fails, holds, missing, of_file, of_lines
from cji_audit.packet.checks.trail import incidents, watched
from cji_audit.packet.material import Linted, Machine, Material

MIN_BITS: Final = 3072
_OPENING: Final = frozenset({"decrypt", "unwrapKey"})
"""Operations by which a role on the vault is enough to open a data key."""


def host_profile(material: Material) -> Result:
    """A host profile held at every start and in every receipt, and no job was admitted while a condition was unmet."""
    failure = incidents(material, "host-profile")
    if failure is not None:
        return failure
    return every(
        material,
        {"in_force.host_profile": lambda v: v != "none", "receipt.host_profile": lambda v: v != "none"},
        "A host profile held at every start and in every receipt.",
        "{field} is {value}",
    )


def witnesses(material: Material) -> Result:
    """Front and cell never contradicted each other."""
    for trail in material.trails:
        seen = trail.seen.get("kind", {})
        if "witnesses_disagreed" in seen:
            line = seen["witnesses_disagreed"].first
            return fails(f"Line {line} of {trail.file}: front and cell disagreed.", *of_lines(trail, [line]))
    return watched("witnesses", "Front and cell agreed about every job.", "receipt.suite")(material)


def key_releases(material: Material) -> Result:
    """Every release was under an immutable policy that did not change, without an accepted error."""
    for trail in material.trails:
        for field, what in (
            ("key_released.policy_before", "the release policy of the key was changed"),
            ("key_released.policy_accepted", "the release policy has an accepted error"),
        ):
            for value, seen in trail.seen.get(field, {}).items():
                return fails(f"Line {seen.first} of {trail.file}: {what} ({value}).", *of_lines(trail, [seen.first]))
    return every(
        material,
        {"key_released.policy_immutable": lambda v: v == "true"},
        "Every release was under an immutable policy without errors.",
        "the release policy is not immutable",
    )


def release_policy(material: Material) -> Result:
    """The policies of the keys given have no error, and are those under which keys were released."""
    policies = [(key, key.policy) for key in material.keys if key.policy is not None]
    if not policies:
        return missing("No key with a release policy was given (--key).")
    released = {value for trail in material.trails for value in trail.seen.get("key_released.policy_sha256", {})}
    for key, policy in policies:
        errors = _errors(policy)
        if errors:
            return fails(f"The release policy of {key.kid}: {errors[0]}.", _decoded(key.file.name, policy))
    other = released - {policy.name for _, policy in policies}
    if other:
        return fails(f"A key was released under another policy, SHA-256 {min(other)}.")
    if not released:
        return missing("No key was released in the period.")
    return holds(
        "The policies of the keys have no error and are those of the releases.",
        *(_decoded(key.file.name, policy) for key, policy in policies),
    )


def key_attributes(material: Material) -> Result:
    """Keys are in hardware, released under an immutable policy and used in no other way, valid, and the trail's."""
    if not material.keys:
        return missing("No key of the vault was given (--key).")
    for key in material.keys:
        wrong = {
            f"is {key.kty}, not in hardware": not key.kty.endswith("-HSM"),
            f"has {key.bits} bits": 0 < key.bits < MIN_BITS,
            "cannot be released": not (key.exportable and key.policy),
            "has a release policy that can be changed": not key.policy_immutable,
            "opens data keys in the vault, without attestation": not _OPENING.isdisjoint(key.operations),
            "is disabled": not key.enabled,
            f"expired {key.expires}": bool(key.expires) and key.expires < material.period.end[:19] + "Z",
        }
        found = [what for what, holds_ in wrong.items() if holds_]
        if found:
            return fails(f"The key {key.kid} {found[0]}.", of_file(key.file))
        if not key.bits:
            return missing(f"The size of the key {key.kid} cannot be read from {key.file.name}.")
    known = {key.kid for key in material.keys}
    used = {value for trail in material.trails for value in trail.seen.get("job_admitted.kek_id", {})}
    if used - known:
        return missing(f"The attributes of {min(used - known)} were not given.")
    return holds("The keys are in hardware, valid and enabled.", *(of_file(key.file) for key in material.keys))


def maa_policy(material: Material) -> Result:
    """The policy of the attestation provider has no error."""
    found = material.maa_policy
    if found is None:
        return missing("The policy of the attestation provider was not given (--maa-policy).")
    errors = _errors(found)
    if errors:
        return fails(f"The policy of the attestation provider: {errors[0]}.", of_file(found.file))
    return holds("The policy of the attestation provider has no error.", of_file(found.file))


def evidence(material: Material) -> Result:
    """Evidence of a machine was accepted, is of a real machine, and is one that the trail has."""
    if not material.machines:
        return missing("No evidence of a machine was given (--evidence).")
    for each in material.machines:
        if each.refused:
            return fails(f"{each.file.name} is refused: {each.refused.removesuffix('.')}.", of_file(each.file))
        if each.simulated:
            return fails(f"{each.file.name} is of a simulated machine.", of_file(each.file))
        if not each.line:
            return fails(f"{each.file.name} is of a machine that no trail attests.", of_file(each.file))
    unstamped = [each.file.name for each in material.machines if not each.stamped]
    if unstamped:
        return missing(f"{', '.join(unstamped)}: no timestamp proves when it existed (`cji evidence stamp`).")
    accepted = "The evidence of each machine was appraised and accepted, at a time that an authority signed."
    return holds(accepted, *map(_appraised, material.machines))


def _appraised(machine: Machine) -> Evidence:
    file = machine.file
    return Evidence(kind="file", what=file.name, sha256=file.sha256, recheck=f"sha256sum {shlex.quote(file.name)}")


def _errors(policy: Linted) -> list[str]:
    return [each.removeprefix("error ") for each in policy.findings if each.startswith("error ")]


def _decoded(name: str, policy: Linted) -> Evidence:
    return Evidence(
        kind="file",
        what=policy.file.name,
        sha256=policy.file.sha256,
        recheck=f"jq -r .releasePolicy.encodedPolicy {shlex.quote(name)} | basenc --base64url -d | sha256sum",
    )


CHECKS: Final[Mapping[str, Callable[[Material], Result]]] = MappingProxyType(
    {
        "attested-machines": watched(
            "attested-machines",
            "Every release and every receipt names evidence that the trail has.",
            "attested.tee",
            "receipt.tee",
        ),
        "released-keys": watched(
            "released-keys", "Every job was admitted under a key that was released.", "job_admitted.kek_id"
        ),
        "host-profile": host_profile,
        "witnesses": witnesses,
        "key-releases": key_releases,
        "release-policy": release_policy,
        "key-attributes": key_attributes,
        "maa-policy": maa_policy,
        "evidence": evidence,
    }
)
