"""The inputs and results of a build, as an in-toto statement with SLSA's predicate.

Sources: in-toto Attestation Framework, Statement v1; slsa.dev/spec/v1.0/provenance. A builder on an agency's
own machine is what SLSA calls level 1: the statement names the inputs, and rebuilding proves them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["provenance"]

_BUILD_TYPE: Final = "urn:cji-worker:image-build:v1"


def provenance(
    subjects: Mapping[str, str],
    *,
    commit: str,
    modified: bool,
    epoch: int,
    seed: str,
    certificate_sha256: str,
    materials: Sequence[tuple[str, str]],
    tools: Mapping[str, str],
) -> bytes:
    """JSON. `subjects` are {file: SHA-256}, `materials` (URI, SHA-256) of what went in, `tools` {name: version}."""
    source: dict[str, Any] = {"uri": "git+file:.", "digest": {"gitCommit": commit}}
    if modified:
        source["annotations"] = {"modified": True}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {"secureBootCertificateSha256": certificate_sha256},
                "internalParameters": {"sourceDateEpoch": epoch, "seed": seed},
                "resolvedDependencies": [
                    source,
                    *({"uri": uri, "digest": {"sha256": digest}} for uri, digest in sorted(materials)),
                ],
            },
            "runDetails": {
                "builder": {"id": "urn:cji-worker:deploy/image/build", "version": dict(sorted(tools.items()))}
            },
        },
    }
    return json.dumps(statement, indent=1).encode() + b"\n"
