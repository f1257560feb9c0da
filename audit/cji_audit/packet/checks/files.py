"""Checks of the files around a worker: configuration, policy, manifest, bill of materials, tests."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from cji_audit.packet.checks.result import Evidence, Result, fails, holds, missing, of_file, of_lines
from cji_audit.packet.controls import controls
from cji_audit.packet.material import Configuration, File, Material

HOUR: Final = 3600


def _in_force(material: Material, name: str, digest: str) -> tuple[str, Evidence | None]:
    """Why the digest is not the one in force at the end of the period, and the line that put another in force."""
    for trail in material.trails:
        found = trail.in_force.get(name)
        if found != digest:
            seen = trail.seen.get(f"in_force.{name}", {}).get(found or "")
            return f"{trail.file} has another one in force, {(found or 'none')[:16]}…", (
                (*of_lines(trail, [seen.first]), None)[0] if seen else None
            )
    return "", None


def _same(material: Material, file: File | None, name: str, what: str, option: str) -> Result:
    if file is None:
        return missing(f"The {what} was not given ({option}).")
    wrong, line = _in_force(material, name, file.sha384)
    if wrong:
        return fails(f"The {what} is not the one that ran: {wrong}.", of_file(file), *([line] if line else []))
    return holds(f"The {what} is the one in force at the end of the period.", of_file(file))


def configuration(material: Material) -> Result:
    """The configuration given is the one in force."""
    file = None if material.configuration is None else material.configuration.file
    return _same(material, file, "config_sha384", "configuration", "--config")


def policy(material: Material) -> Result:
    """The policy given is the one in force."""
    return _same(material, material.policy, "policy_sha384", "policy", "--policy")


def code(material: Material) -> Result:
    """All code that ran in the period is that of the manifest."""
    result = _same(material, material.manifest, "code_sha384", "manifest of the code", "--manifest")
    if result.status != "holds" or material.manifest is None:
        return result
    for trail in material.trails:
        for value, seen in trail.seen.get("in_force.code_sha384", {}).items():
            if value != material.manifest.sha384:
                why = f"Line {seen.first} of {trail.file}: other code ran, {value[:16]}…"
                return fails(why, *of_lines(trail, [seen.first]))
    return result


def session_limits(material: Material) -> Result:
    """Idle callers are closed, and keys dropped, within an hour."""
    found = material.configuration
    if found is None:
        return missing("The configuration was not given (--config).")
    for name in ("limits.idle_seconds", "attestation.key_lifetime_s"):
        if int(found.values[name]) > HOUR:
            return fails(f"{name} is {found.values[name]} seconds.", *_values(found, name))
    names = ("limits.idle_seconds", "attestation.key_lifetime_s")
    return holds("Idle callers and keys have limits of at most an hour.", *_values(found, *names))


def revocation(material: Material) -> Result:
    """Client certificates are compared with revocation lists."""
    found = material.configuration
    if found is None:
        return missing("The configuration was not given (--config).")
    shown = _values(found, "listen.client_crl")
    if found.values["listen.client_crl"] == "none":
        return fails("No revocation list is configured: no client certificate can be revoked.", *shown)
    return holds("Client certificates are compared with revocation lists.", *shown)


def sbom(material: Material) -> Result:
    """The bill of materials is of the version that ran, and lists nothing twice."""
    found = material.sbom
    if found is None:
        return missing("No bill of materials was given (--sbom).")
    shown = of_file(found.file)
    if not found.components:
        return fails("The bill of materials lists no component.", shown)
    if found.repeated:
        return fails(f"The bill of materials lists {found.repeated[0]} twice.", shown)
    for trail in material.trails:
        ran = trail.in_force.get("version")
        if ran != found.product:
            return fails(f"The bill of materials is of version {found.product or 'none'}; {ran} ran.", shown)
    return holds(f"The bill of materials lists {found.components} components of the version that ran.", shown)


def test_results(material: Material) -> Result:
    """Test results were given, and none failed."""
    found = material.tests
    if found is None:
        return missing("No test results were given (--tests).")
    if found.failed:
        return fails(f"{found.failed} of {found.total} tests failed.", of_file(found.file))
    return holds(f"{found.total} tests, none failed, {found.skipped} skipped.", of_file(found.file))


def disposal(material: Material) -> Result:
    """The retention log is whole, and no deletion of sealed data broke a rule."""
    found, configured = material.retention, material.configuration
    if found is None:
        if configured is not None and configured.values.get("fleet") == "none":
            return holds("Jobs by reference are not configured: no storage keeps them.", *_values(configured, "fleet"))
        return missing("The retention log of the pool was not given (--retention).")
    shown = of_file(found.file)
    if found.fault or found.findings:
        return fails(f"The retention log: {(found.fault or found.findings[0]).removesuffix('.')}.", shown)
    gone = [each for each in found.disposed if material.period.contains(each.time)]
    erased = sum(each.erased for each in gone)
    return holds(
        f"{len(gone)} deletions of sealed data in the period, each with a signed record; of {erased} the storage "
        f"lists nothing more; {len(found.on_hold)} jobs are on hold.",
        shown,
    )


def named_tests(material: Material, names: Sequence[str]) -> Result:
    """The named tests of a part passed."""
    found = material.tests
    if found is None:
        return missing("No test results were given (--tests).")
    named = [controls().tests[name] for name in names]
    tests = [each.test for each in named]
    shown = [
        Evidence(
            kind="test",
            what=f"{each.test}: {each.breaks}",
            sha256=found.file.sha256,
            recheck=f"python -m pytest {shlex.quote(each.test)}",
        )
        for each in named
    ]
    for test in tests:
        if found.outcomes.get(test) == "failed":
            return fails(f"{test} failed.", *shown)
    for test in tests:
        if found.outcomes.get(test) != "passed":
            return missing(f"{test} was {'skipped' if test in found.outcomes else 'not run'}.")
    return holds(f"{len(tests)} named tests passed." if len(tests) > 1 else "The named test passed.", *shown)


def _values(found: Configuration, *names: str) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            kind="configuration",
            what=f"{name} = {found.values[name]}",
            sha256=found.file.sha256,
            recheck=f"sha256sum {shlex.quote(found.file.name)}",
        )
        for name in names
    )


CHECKS: Final[Mapping[str, Callable[[Material], Result]]] = MappingProxyType(
    {
        "configuration": configuration,
        "policy-given": policy,
        "code": code,
        "session-limits": session_limits,
        "revocation": revocation,
        "sbom": sbom,
        "test-results": test_results,
        "disposal": disposal,
    }
)
