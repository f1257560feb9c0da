"""The release policies of deployed keys, against the reviewed ones."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from cji_core.deployment.expected import Expected
from cji_core.deployment.export import Deployed, Resource
from cji_core.deployment.result import Result
from cji_core.deployment.values import at, flat, last

_AUTHORITY: Final = "__ATTESTATION_AUTHORITY__"


def release_policies(deployed: Deployed, wanted: Expected) -> Iterator[Result]:
    """Of every key that can be exported: one that no policy protects is open to anyone who may release it."""
    for resource in [
        *deployed.of("Microsoft.KeyVault/vaults/keys"),
        *deployed.of("Microsoft.KeyVault/managedHSMs/keys"),
    ]:
        if flat(at(resource.body, "properties.attributes.exportable")) != [True]:
            continue
        policy = _policy(resource)
        reviewed = wanted.named_policies.get(last(resource.name), wanted.release_policies)
        good = policy is not None and any(_normal(policy) == _normal(each) for each in reviewed)
        yield Result(
            id="keys release policy",
            resource=resource.name,
            state="ok" if good else "failed",
            found="the reviewed policy" if good else "not readable" if policy is None else "another policy",
            remedy=""
            if good
            else "Compare it with deploy/policy (`az keyvault key show --query "
            "releasePolicy.encodedPolicy`), disable the key "
            "until it is explained, and set the reviewed policy.",
        )


def _policy(resource: Resource) -> Any:
    data = flat(at(resource.body, "properties.release_policy.data"))
    if len(data) != 1 or not isinstance(data[0], str):
        return None
    try:
        text = base64.urlsafe_b64decode(data[0].rstrip("=") + "=" * (-len(data[0].rstrip("=")) % 4))
        return msgspec.json.decode(text)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        return None


def _normal(policy: Any) -> str:
    """A policy as text, with the one authority that all its branches name replaced; other authorities stay."""
    branches = policy.get("anyOf") if isinstance(policy, Mapping) else None
    named = (
        {each.get("authority") for each in branches if isinstance(each, Mapping)}
        if isinstance(branches, list)
        else set()
    )
    text = json.dumps(policy, sort_keys=True)
    return text.replace(json.dumps(named.pop()), json.dumps(_AUTHORITY)) if len(named) == 1 else text
