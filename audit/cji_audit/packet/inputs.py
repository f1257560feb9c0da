"""Readers of the files that a packet's maker gives: pure functions from bytes to facts. PacketError for any other file.

What needs the rooms of attestation is passed in: `lint` returns a policy's weaknesses, each as `error RP12 title`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal
from xml.parsers.expat import ExpatError, ParserCreate

import msgspec
from msgspec import Meta

from cji_audit.packet.errors import PacketError
from cji_audit.packet.material import (
    Agency,
    Authorization,
    Configuration,
    Deployment,
    Deviation,
    File,
    Key,
    Linted,
    Sbom,
    Tests,
)
from cji_core import documents
from cji_core.deployment import ExportError, compare, read_export
from cji_core.format.configuration.worker import Config
from cji_core.strict import StrictError, b64url_decode

MAX_BYTES: Final = 64 << 20
MAX_SHOWN: Final = 32 << 10
PRODUCT: Final = "cji-worker"
Lint = Callable[[bytes], Sequence[str]]
_Outcome = Literal["passed", "failed", "skipped"]
_WORST: Final[Mapping[_Outcome, int]] = {"passed": 0, "skipped": 1, "failed": 2}


def read_configuration(name: str, data: bytes, config: Config) -> Configuration:
    """The values of a configuration that a packet shows; `config` is what was loaded from these bytes."""
    keys = {
        f"keys.{number}.{field}": value
        for number, key in enumerate(config.keys, 1)
        for field, value in (
            ("kek_id", key.kek_id),
            ("public_thumbprint", key.public_thumbprint),
            ("ml_kem_thumbprint", key.ml_kem_thumbprint or "none"),
            ("policy_sha256", key.policy_sha256 or "not pinned"),
            ("accept_findings", " ".join(key.accept_findings) or "none"),
        )
    }
    values = {
        "cloud": config.cloud,
        "worker.id": config.worker.id,
        "worker.audience": config.worker.audience,
        "worker.region": config.worker.region,
        "worker.cells": str(config.worker.cells),
        "listen.port": str(config.listen.port),
        "listen.client_crl": _stated(config.listen.client_crl),
        "listen.enrollment": _stated(config.listen.enrollment),
        "limits.max_job_seconds": str(config.limits.max_job_seconds),
        "limits.idle_seconds": str(config.limits.idle_seconds),
        "limits.connections_per_address": str(config.limits.connections_per_address),
        "limits.connections_counted_by": config.limits.connections_counted_by,
        "attestation.maa_url": config.attestation.maa_url,
        "attestation.key_lifetime_s": str(config.attestation.key_lifetime_s),
        "attestation.pcr_check_s": str(config.attestation.pcr_check_s),
        "require_fips": "true" if config.require_fips else "false",
        "audit_counter": f"{config.audit_counter:#010x}",
        "audit_delivery.required": " ".join(config.audit_delivery.required) if config.audit_delivery else "none",
        "entra": _stated(config.entra),
        "fleet": _stated(config.fleet),
        "ledger": _stated(config.ledger),
        "control_socket": _stated(config.control_socket),
        "status_socket": _stated(config.status_socket),
        "review.allowed_days": str(7 if config.review is None else config.review.allowed_days),
        **keys,
    }
    return Configuration(file=File.of(name, data), values=values)


def _stated(setting: object | None) -> str:
    return "none" if setting is None else "configured"


class _AzAttributes(msgspec.Struct, frozen=True):
    enabled: bool
    exportable: bool | None = None
    created: str | None = None
    expires: str | None = None


class _AzKey(msgspec.Struct, frozen=True, rename="camel"):
    kid: Annotated[str, Meta(max_length=512)]
    kty: Annotated[str, Meta(max_length=32)]
    n: str | None = None
    key_ops: tuple[str, ...] = ()


class _AzPolicy(msgspec.Struct, frozen=True, rename="camel"):
    encoded_policy: Annotated[str, Meta(max_length=1 << 20)]
    immutable: bool | None = None


class _AzShow(msgspec.Struct, frozen=True, rename="camel"):
    attributes: _AzAttributes
    key: _AzKey
    release_policy: _AzPolicy | None = None


def read_key(name: str, data: bytes, lint: Lint) -> Key:
    """The output of `az keyvault key show`, with its release policy."""
    found = _json(name, data, _AzShow, "Give the output of `az keyvault key show --id KEK_ID`.")
    policy = None
    if found.release_policy is not None:
        try:
            text = b64url_decode(found.release_policy.encoded_policy.rstrip("="))
        except ValueError:
            raise PacketError(f"{name}: its release policy is not base64url", "Export the key again.") from None
        file = File.of(f"{name}: releasePolicy", text)
        policy = Linted(file=file, name=file.sha256, text=_shown(text), findings=tuple(lint(text)))
    return Key(
        file=File.of(name, data),
        kid=found.key.kid,
        kty=found.key.kty,
        bits=_bits(found.key.n),
        exportable=bool(found.attributes.exportable),
        enabled=found.attributes.enabled,
        created=_utc(name, found.attributes.created),
        expires=_utc(name, found.attributes.expires),
        operations=found.key.key_ops,
        policy=policy,
        policy_immutable=bool(found.release_policy and found.release_policy.immutable),
    )


def read_policy(name: str, data: bytes, lint: Lint, policy_hash: Callable[[bytes], str]) -> Linted:
    """The policy of an attestation provider."""
    return Linted(file=File.of(name, data), name=policy_hash(data), text=_shown(data), findings=tuple(lint(data)))


_Line = Annotated[str, Meta(min_length=1, max_length=200)]
_Href = Annotated[str, Meta(pattern=r"^https://[A-Za-z0-9.-]{1,253}(/[A-Za-z0-9._~/-]{0,200})?\Z")]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the tables of agency.toml."""


class _Authorization(_Table, frozen=True, kw_only=True):
    title: _Line
    granted: date
    href: _Href | None = None


class _Agency(_Table, frozen=True, kw_only=True):
    name: _Line
    namespace: _Href | None = None
    provider: _Line = "Microsoft"
    authorization: _Authorization | None = None


def read_agency(name: str, data: bytes) -> Agency:
    """agency.toml: what the agency states about itself and the provider."""
    _bounded(name, data)
    try:
        found = documents.toml(data, _Agency)
    except ValueError as error:  # msgspec's errors are ValueErrors
        raise PacketError(f"{name} cannot be read: {error}", "Compare it with docs/audit-packet.md.") from error
    given, stated = found.authorization, None
    if given is not None:
        stated = Authorization(title=given.title, granted=given.granted, href=given.href or "")
    return Agency(
        file=File.of(name, data),
        name=found.name,
        namespace=found.namespace or "",
        provider=found.provider,
        authorization=stated,
    )


def read_deployment(files: Mapping[str, bytes]) -> Deployment:
    """Exports of a deployment, by name, compared with this version's requirements."""
    try:
        deployed = read_export(list(files.items()))
        results = compare(deployed)
    except ExportError as error:
        raise PacketError(str(error), error.remedy) from error
    kinds = sorted({each.type for each in deployed.resources if each.type.count("/") == 1})
    return Deployment(
        files=tuple(File.of(name, data) for name, data in files.items()),
        holds=sum(each.state == "ok" for each in results),
        deviations=tuple(
            Deviation(requirement=each.id, resource=each.resource, state=each.state, found=each.found)
            for each in results
            if each.state != "ok"
        ),
        resources={kind: tuple(sorted(each.name for each in deployed.of(kind))) for kind in kinds},
    )


class _Component(msgspec.Struct, frozen=True):
    name: str = ""
    version: str = ""
    components: tuple["_Component", ...] = ()


class _Metadata(msgspec.Struct, frozen=True):
    component: _Component | None = None


class _Bom(msgspec.Struct, frozen=True, rename="camel"):
    bom_format: Literal["CycloneDX"]
    spec_version: Annotated[str, Meta(pattern=r"^1\.[0-9]{1,2}\Z")]
    metadata: _Metadata = _Metadata()
    components: Annotated[tuple[_Component, ...], Meta(max_length=100_000)] = ()


def read_sbom(name: str, data: bytes) -> Sbom:
    """A bill of materials in CycloneDX JSON."""
    found = _json(name, data, _Bom, "Give a CycloneDX bill of materials in JSON.")
    top = () if found.metadata.component is None else (found.metadata.component,)
    listed = [*_flat(found.components)]
    counted = Counter((each.name, each.version) for each in listed)
    versions = [each.version for each in _flat((*top, *found.components)) if each.name == PRODUCT]
    return Sbom(
        file=File.of(name, data),
        spec=found.spec_version,
        components=len(listed),
        repeated=tuple(sorted(f"{each} {version}" for (each, version), count in counted.items() if count > 1)),
        product=versions[0] if versions else "",
    )


def read_tests(name: str, data: bytes, named: Sequence[str]) -> Tests:
    """Test results in JUnit XML, as pytest writes them with --junit-xml.

    `named` are tests as `path/to/test_file.py::test_name`; the worst outcome of a test with parameters counts.
    """
    remedy = "Give the file of `pytest --junit-xml FILE`."
    outcomes: dict[str, _Outcome] = {}
    totals: Counter[_Outcome] = Counter()
    wanted, case, outcome = set(named), "", "passed"

    def begin(tag: str, attributes: dict[str, str]) -> None:
        nonlocal case, outcome
        if tag == "testcase":
            module = attributes.get("classname", "").replace(".", "/")
            case, outcome = f"{module}.py::{attributes.get('name', '').partition('[')[0]}", "passed"
        elif tag in {"failure", "error"}:
            outcome = "failed"
        elif tag == "skipped" and outcome == "passed":
            outcome = "skipped"

    def end(tag: str) -> None:
        if tag == "testcase":
            found: _Outcome = "failed" if outcome == "failed" else "skipped" if outcome == "skipped" else "passed"
            totals[found] += 1
            if case in wanted:
                outcomes[case] = max(found, outcomes.get(case, found), key=_WORST.__getitem__)

    def refuse(*_: object) -> None:
        raise PacketError(f"{name} has a document type", remedy)

    parser = ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.StartDoctypeDeclHandler = begin, end, refuse
    _bounded(name, data)
    try:
        parser.Parse(data, True)
    except (ExpatError, LookupError, ValueError) as error:  # the last two: of an encoding
        raise PacketError(f"{name} is not XML", remedy) from error
    if not totals:
        raise PacketError(f"{name} has no test", remedy)
    return Tests(
        file=File.of(name, data),
        total=sum(totals.values()),
        failed=totals["failed"],
        skipped=totals["skipped"],
        outcomes=dict(sorted(outcomes.items())),
    )


def _flat(components: Sequence[_Component]) -> Iterator[_Component]:
    """Components and those inside them, to a depth that JSON's decoder bounds."""
    for each in components:
        yield each
        yield from _flat(each.components)


def _shown(data: bytes) -> str:
    """A policy's text for people; the grammars of both policies are in ASCII."""
    return data[:MAX_SHOWN].decode("ascii", "replace")


def _bits(n: str | None) -> int:
    """The size of a modulus in base64 of either alphabet; 0 if it is absent or written in another form."""
    text = (n or "").rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return int.from_bytes(b64url_decode(text), "big").bit_length()
    except ValueError:
        return 0


def _utc(name: str, time: str | None) -> str:
    if not time:
        return ""
    try:
        found = datetime.fromisoformat(time)
    except ValueError:
        raise PacketError(f"{name}: {time[:40]!r} is not a time", "Export the key again.") from None
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _bounded(name: str, data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise PacketError(f"{name} is larger than {MAX_BYTES >> 20} MiB", "Give the right file.")


def _json(name: str, data: bytes, kind: type[Any], remedy: str) -> Any:
    _bounded(name, data)
    try:
        return documents.decode(data, kind, limit=MAX_BYTES)
    except StrictError as error:
        raise PacketError(f"{name} cannot be read: {error}", remedy) from error
