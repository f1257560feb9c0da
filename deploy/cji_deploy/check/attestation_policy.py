"""The attestation provider's policy: grammar and strength as `provider_policy` has them, and its origin.

No template sets it: a provider takes its policy through its own interface only, from an operator or signed.
"""

from collections.abc import Iterator

from cji_attestation.provider_policy import RULES, MaaPolicyError, build, lint, parse_policy

__all__ = ["problems"]


def problems(source: bytes) -> Iterator[str]:
    """Weaknesses of the file, including warnings, and differences from the output of `cji policy build --for maa`."""
    try:
        for finding in lint(parse_policy(source)):
            yield f"{finding.rule.id} {finding.rule.title}: {finding.detail}, in {', '.join(finding.where)}"
    except MaaPolicyError as error:
        yield f"{error.check} {RULES[error.check].title} at {error.where or 'the text'}"
    if source != build():
        yield "is not what `cji policy build --for maa` writes"
