"""The head of a job spec, which every job has, and a profile that calls nobody; a test adds what its job does."""

import json
from typing import Any, Final

from cji_attestation.appraisal import ReferenceValues
from cji_client.profile import ClientProfile

__all__ = ["KEK_ID", "head", "profile"]

KEK_ID: Final = "https://vault.example/keys/cji/0123456789abcdef0123456789abcdef"


def head(*, recipient: str, kek_thumbprint: str, **fields: str | int) -> str:
    """TOML for one recipient, a JWK or the name of a file; `fields` replace values or add to them."""
    values = {
        "audience": "pool",
        "originating_ori": "CA0190000",
        "requesting_ori": "CA0190000",
        "operator_id": "jdoe",
        "requestor": "Jane Doe",
        "reason": "research extract",
        "purpose_code": "C",
        "kek_id": KEK_ID,
        "kek_thumbprint": kek_thumbprint,
        **fields,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return "\n".join([*lines, f"recipients = ['{recipient}']", ""])


def profile(**fields: Any) -> ClientProfile:
    """A profile of a submitter whose worker nobody runs; `fields` add to it."""
    return ClientProfile(
        target="127.0.0.1:1",
        cloud="azure-us",
        maa_url="https://maa.example",
        ca="ca.pem",
        certificate="client.pem",
        private_key="client.key",
        reference=ReferenceValues(),
        **fields,
    )
