"""A container of Cosmos DB and its client encryption keys, exported as JSON.

Taken as the data plane, Azure Resource Manager or the SDKs write them: the container's resource has
`clientEncryptionPolicy`, a key's has `wrappedDataEncryptionKey`; both may be in `resource` or `properties.resource`.
The policy names properties at the top level and states no types; below them every leaf of objects and arrays is
encrypted.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from cji_client.columns.draft import Draft, DraftColumn, DraftKey, Finding, printable
from cji_client.columns.sql_catalogue import ALGORITHM
from cji_core.documents import convert
from cji_core.errors import SpecError
from cji_core.format.columns import SqlType
from cji_core.strict import JsonObject, StrictError, b64_decode

POLICY: Final = "clientEncryptionPolicy"
_KEYS: Final = ("clientEncryptionKeys", "ClientEncryptionKeys", "value")
_VERSIONS: Final = frozenset((1, 2))
_ENCRYPTIONS: Final = {"Deterministic": "deterministic", "Randomized": "randomized"}
_VAULT: Final = "AZURE_KEY_VAULT"
_OAEP: Final = "RSA-OAEP"
_Name = Annotated[str, Meta(min_length=1, max_length=4000)]


class _Path(msgspec.Struct, frozen=True, kw_only=True):
    path: Annotated[str, Meta(pattern="^/[^/]+$", max_length=1024)]
    clientEncryptionKeyId: _Name  # noqa: N815 - Cosmos DB's name
    encryptionType: _Name  # noqa: N815
    encryptionAlgorithm: _Name  # noqa: N815


class _Policy(msgspec.Struct, frozen=True, kw_only=True):
    includedPaths: list[_Path]  # noqa: N815
    policyFormatVersion: int = 1  # noqa: N815


class _Metadata(msgspec.Struct, frozen=True, kw_only=True):
    type: _Name
    value: _Name
    algorithm: _Name
    name: str = ""


class _Key(msgspec.Struct, frozen=True, kw_only=True):
    id: _Name
    encryptionAlgorithm: _Name  # noqa: N815
    wrappedDataEncryptionKey: Annotated[str, Meta(max_length=1 << 14)]  # noqa: N815
    keyWrapMetadata: _Metadata  # noqa: N815


def is_container(document: JsonObject) -> bool:
    """Whether an export is a container of Cosmos DB."""
    return POLICY in _resource(document.get("container", document))


def draft(document: JsonObject, keys: Any, table: str | None) -> Draft:
    """The container of an export; its keys are in the export, or in `keys`."""
    resource = _resource(document.get("container", document))
    listed = _listed(document if keys is None else keys)
    try:
        policy = convert(resource[POLICY], _Policy)
        found = [convert(_resource(each), _Key) for each in listed]
    except (ValueError, RecursionError) as error:
        raise SpecError(f"the export is not one of Cosmos DB: {error}", remedy=_REMEDY) from None
    if policy.policyFormatVersion not in _VERSIONS:
        raise SpecError(f"the policy has format version {policy.policyFormatVersion}", remedy="Only 1 and 2 are known.")
    findings = list[Finding]()
    made = {each.id: _key(each, findings) for each in found}
    columns = [one for each in policy.includedPaths if (one := _column(each, made, findings)) is not None]
    used = [key for name in dict.fromkeys(each.key for each in columns) if (key := made[name]) is not None]
    if not columns:
        reasons = "; ".join(f"{each.subject}: {each.text}" for each in findings)
        raise SpecError(f"no path of the container can be used: {reasons}", remedy=_REMEDY)
    name = table or str(resource.get("id") or "container")
    return Draft(format="cosmos_db", table=name, keys=used, columns=columns, findings=findings)


_REMEDY: Final = "Export the container and its client encryption keys as docs/command.md shows."


def _resource(document: Any) -> JsonObject:
    """The resource itself, out of what Azure Resource Manager puts around it."""
    for name in ("properties", "resource"):
        if isinstance(document, dict) and isinstance(document.get(name), dict):
            document = document[name]
    return document if isinstance(document, dict) else {}


def _listed(document: Any) -> list[Any]:
    if isinstance(document, list):
        return document
    found = next((document[name] for name in _KEYS if isinstance(document, dict) and name in document), None)
    if not isinstance(found, list):
        remedy = "Name the file with the client encryption keys with --keys."
        raise SpecError("the export has no client encryption keys", remedy=remedy)
    return found


def _key(key: _Key, findings: list[Finding]) -> DraftKey | None:
    metadata = key.keyWrapMetadata
    try:
        b64_decode(key.wrappedDataEncryptionKey)
        known = key.encryptionAlgorithm == ALGORITHM and metadata.type == _VAULT and metadata.algorithm == _OAEP
    except StrictError:
        known = False
    if not known:
        text = f"It is under {metadata.type} with {metadata.algorithm}, or not base64: its paths are left out."
        findings.append(Finding(code="provider-not-supported", subject=printable(key.id), text=printable(text)))
        return None
    return DraftKey(
        name=key.id,
        master_key=metadata.value,
        provider="azure_key_vault",
        encrypted_value=key.wrappedDataEncryptionKey,
    )


def _column(path: _Path, keys: dict[str, DraftKey | None], findings: list[Finding]) -> DraftColumn | None:
    encryption = _ENCRYPTIONS.get(path.encryptionType)
    if encryption is None or path.encryptionAlgorithm != ALGORITHM:
        text = f"It is {path.encryptionType}, {path.encryptionAlgorithm}, which no job can open: it is left out."
        findings.append(Finding(code="type-not-supported", subject=printable(path.path), text=printable(text)))
        return None
    if keys.get(path.clientEncryptionKeyId) is None:
        text = f"The export has no usable key {path.clientEncryptionKeyId}: it is left out."
        findings.append(Finding(code="key-not-usable", subject=printable(path.path), text=printable(text)))
        return None
    text = "The policy states no type: string is assumed. Correct it if the property has numbers, or leaves below it."
    findings.append(Finding(code="type-assumed", subject=printable(path.path), text=text))
    name = path.path.replace("~", "~0")  # columns.toml has JSON Pointers
    return DraftColumn(name=name, type=SqlType("string"), encryption=encryption, key=path.clientEncryptionKeyId)
