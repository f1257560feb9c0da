"""The release policy: grammar, strength, and whether the deployment embeds what was reviewed.

Grammar and strength are those of `cji_attestation.release.policy`, which a worker applies to its own key, and the
shipped file must be exactly the output of its `build`. This module adds what only a deployment has: the template and
its placeholder.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cji_attestation import AZURE_US
from cji_attestation.release.policy import (
    AUTHORITY_PLACEHOLDER,
    RULES,
    Hardware,
    PolicyError,
    ReleasePolicy,
    build,
    filled,
    lint,
)
from cji_attestation.release.policy import parse_policy as parse
from cji_deploy.check.bicep import Template
from cji_deploy.check.outcome import DeployError
from cji_deploy.check.resolve import Surroundings, resolve
from cji_deploy.check.values import at

__all__ = [
    "FILES",
    "HARDWARE",
    "embedded",
    "embedding_problems",
    "origin_problems",
    "parse_policy",
    "reviewed",
    "weaknesses",
]

HARDWARE: Final[tuple[Hardware, ...]] = ("snp", "tdx")
FILES: Final[Mapping[str, str]] = {"snp": "release-policy.json", "tdx": "release-policy-tdx.json"}
"""File of the master key's policy for each kind of hardware."""
EMBEDDED: Final[Mapping[str, str]] = {"key.bicep": "key", "hsmKey.bicep": "key"}
"""By template, the symbol of its key with a release policy."""
_AUTHORITY: Final = "attestationAuthority"
"""The parameter that becomes the policy's authority."""

# Stand-ins for the authority. Their lengths meet each case of base64 padding, and "?" and ">" at every offset
# make the two characters in which base64url differs from base64.
_SAMPLE_AUTHORITIES: Final = tuple(f"https://sample.xx.attest.azure.net/?>??>>???>>>{'x' * more}" for more in range(3))
_OWN_AUTHORITY: Final = "https://agency.eus.attest.azure.net"  # a provider as the deployment makes one
_EXPLAINED: Final = "RP17"  # the README explains why no image is pinned, and what guards the key instead


def parse_policy(source: bytes) -> ReleasePolicy:
    """Policy from its JSON text (UTF-8). Raises DeployError if it violates the grammar."""
    try:
        return parse(source)
    except PolicyError as error:
        raise DeployError(f"{error.check} {RULES[error.check].title} at {error.where or 'the document'}") from error


def weaknesses(policy: ReleasePolicy) -> Iterator[str]:
    """One text per finding, including warnings, for the policy with our own provider in place of the placeholder."""
    for finding in lint(filled(policy, _OWN_AUTHORITY), trust=AZURE_US):
        if finding.rule.id != _EXPLAINED:
            yield f"{finding.rule.id} {finding.rule.title}: {finding.detail}, in {', '.join(finding.where)}"


def origin_problems(source: bytes, kind: Hardware) -> Iterator[str]:
    """Whether the file is, byte for byte, the output of `cji policy build --template` for a kind of hardware."""
    if source != build(AUTHORITY_PLACEHOLDER, hardware=(kind,)):
        yield f"is not what `cji policy build --template --hardware {kind}` writes"


def embedding_problems(folder: Path, templates: Mapping[str, Template]) -> Iterator[str]:
    """Compute the policy that each key embeds, for both kinds of hardware, and compare it with the reviewed file.

    The one value that the deployment may put in is the authority. A key with a release policy that no entry of
    `EMBEDDED` covers is a problem, and so is an entry without a key.
    """
    for each in templates.values():
        for resource in each.resources:
            covered = EMBEDDED.get(each.name) == resource.symbol
            if not covered and any(value is not None for value in at(resource.body, "properties.release_policy")):
                yield f"{each.name}:{resource.line}: a release policy that no review covers"
    for name, symbol in EMBEDDED.items():
        template = templates.get(name)
        key = next((one for one in template.resources if one.symbol == symbol), None) if template else None
        if key is None:
            yield f"{name}:1: no key {symbol!r}"
            continue
        problems = {
            problem
            for kind in HARDWARE
            for authority in _SAMPLE_AUTHORITIES
            for problem in _embedded(folder, templates, name, kind, authority)
        }
        yield from (f"{name}:{key.line}: release_policy.data {problem}" for problem in sorted(problems))


def _embedded(
    folder: Path, templates: Mapping[str, Template], name: str, kind: Hardware, authority: str
) -> Iterator[str]:
    try:
        encoded = embedded(folder, templates, name, kind, authority)
        found = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_")
    except (DeployError, ValueError) as error:
        yield f"cannot be computed: {error}"
        return
    if not re.fullmatch(r"[A-Za-z0-9_-]+", encoded):
        yield "is not base64url without padding"
    elif found != reviewed(folder, kind, authority):
        yield f"is not {FILES[kind]} with the authority put in"


def embedded(folder: Path, templates: Mapping[str, Template], name: str, kind: Hardware, authority: str) -> str:
    """`release_policy.data` of the key in the template `name`, as it would be deployed. Raises DeployError."""
    symbol, template = EMBEDDED[name], templates[name]
    given: dict[str, object] = {each.name: "x" * 36 for each in template.parameters.values() if each.required}
    given |= {"tags": {}} if "tags" in given else {}
    given |= {"isolation": kind, _AUTHORITY: authority}
    line = next(each.line for each in template.resources if each.symbol == symbol)
    around = Surroundings(read=lambda path: (folder / path).read_bytes())
    for each in resolve(name, templates, given, around):
        if each.line == line:
            policy = each.body["properties"].get("release_policy", {})
            if "data" in policy:
                return str(policy["data"])
    raise DeployError(f"{symbol} has no release_policy.data")


def reviewed(folder: Path, kind: str, authority: str) -> bytes:
    """The policy of a key as its reviewer reads it, with the authority put in."""
    source = (folder.parent / "policy" / FILES[kind]).read_bytes()
    return source.replace(AUTHORITY_PLACEHOLDER.encode(), authority.encode())
