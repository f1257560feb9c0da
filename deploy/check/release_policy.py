"""The release policy: grammar, strength, and whether the deployment embeds what was reviewed.

Grammar and strength are those of `attestation.release.policy`, which a worker applies to its own key, and the shipped
file must be exactly the output of its `build`. This module adds what only a deployment has: the template and its
placeholder.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Final

from tree_sitter import Node

from attestation import AZURE_US
from attestation.release.policy import (
    AUTHORITY_PLACEHOLDER,
    RULES,
    PolicyError,
    ReleasePolicy,
    build,
    filled,
    lint,
)
from attestation.release.policy import parse_policy as parse
from deploy.check.bicep import Template
from deploy.check.outcome import DeployError
from deploy.check.values import literal_text, text

__all__ = ["embedding_problems", "origin_problems", "parse_policy", "weaknesses"]

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


def origin_problems(source: bytes) -> Iterator[str]:
    """Whether the file is, byte for byte, the output of `cji policy build --template`."""
    if source != build(AUTHORITY_PLACEHOLDER):
        yield "is not what `cji policy build --template` writes"


def embedding_problems(templates: Mapping[str, Template], policy_path: str, source: bytes) -> Iterator[str]:
    """Compute the policy that each key resource embeds and compare it with the reviewed file.

    `policy_path` is the file's path as the templates write it, relative to them. The one value that the
    deployment may put in is the authority.
    """
    found = 0
    for template in templates.values():
        for data in _release_policy_data(template):
            found += 1
            problems = {
                problem
                for authority in _SAMPLE_AUTHORITIES
                for problem in _embedded(data, template, policy_path, source, authority)
            }
            yield from (f"{template.name}: release_policy.data {problem}" for problem in sorted(problems))
    if not found:
        yield "no key resource with release_policy.data in any template"


def _embedded(data: Node, template: Template, path: str, source: bytes, authority: str) -> Iterator[str]:
    try:
        encoded = _evaluate(data, template, {path: source}, authority)
        embedded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_")
    except (DeployError, ValueError) as error:
        yield f"cannot be computed: {error}"
        return
    if not re.fullmatch(r"[A-Za-z0-9_-]+", encoded):
        yield "is not base64url without padding"
    elif embedded != source.replace(AUTHORITY_PLACEHOLDER.encode(), authority.encode()):
        yield f"is not {path} with the authority put in"


def _release_policy_data(template: Template) -> Iterator[Node]:
    stack = [template.root]
    while stack:
        node = stack.pop()
        stack.extend(node.named_children)
        if node.type == "object_property" and text(node.named_children[0]) == "release_policy":
            body = node.named_children[-1]
            for field in body.named_children:
                if field.type == "object_property" and text(field.named_children[0]) == "data":
                    yield field.named_children[-1]


def _evaluate(node: Node, template: Template, files: Mapping[str, bytes], authority: str) -> str:
    """String value of the few functions that a policy embedding needs. Raises DeployError for anything else."""
    if node.type == "string" and (literal := literal_text(node)) is not None:
        return literal
    if node.type == "identifier":
        name = text(node)
        if name in template.variables:
            return _evaluate(template.variables[name], template, files, authority)
        if name in template.parameters:
            return authority
    if node.type == "call_expression":
        arguments = [_evaluate(child, template, files, authority) for child in node.named_children[1].named_children]
        match text(node.named_children[0]), arguments:
            case "loadTextContent", [path] if path in files:
                return files[path].decode()
            case "replace", [subject, old, new]:
                return subject.replace(old, new)
            case "base64", [subject]:
                return base64.b64encode(subject.encode()).decode()
    raise DeployError(f"{text(node)[:60]!r} is not text that is known before deployment")
