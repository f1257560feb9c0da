"""The rehearsed recovery: a made-up result is sealed as a worker seals one, and a recovered key opens it.

The result key is wrapped for every recipient of a profile's jobs, and the records are a FLOE stream, so the copy of a
key is tried by what it is for. Nothing of it is a secret, and no worker takes part.
"""

import io
import secrets
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from cji_client.errors import SpecError, Unverified
from cji_client.parts import arrow_messages, open_part, seal_stream
from cji_client.signers import Decrypter
from cji_client.sources import Batches
from cji_core.errors import Refusal
from cji_core.format.envelope import DEK_BYTES, output_aad, wrap_result_key
from cji_core.format.keys import recipient_thumbprints
from cji_core.jose import key_id, parse_recipient
from cji_core.suites import Suite

_ROWS: Final = pa.record_batch({"record_id": ["1", "2"], "last": ["DOE", "ROE"]})
_DIGEST_BYTES: Final = 48
_NAME: Final = "rehearsal"


def rehearse(recipients: Sequence[str], suite: Suite, copy: Decrypter) -> str:
    """Open a made-up result for these recipients, public JWKs of the suite, with `copy`; returns its thumbprint.

    SpecError if it is the key of none of them or one is of another suite, Unverified if it does not open the result.
    """
    thumbprints = recipient_thumbprints(recipients, suite)
    public = {name: parse_recipient(jwk, suite) for name, jwk in zip(thumbprints, recipients, strict=True)}
    thumbprint = key_id(copy.public_key())
    if thumbprint not in public:
        listed = ", ".join(public)
        raise SpecError(
            f"the key {thumbprint} is not a recipient of this profile's jobs: {listed}",
            remedy="Fetch the copy of one of those keys, or add its public half to `recipients` or `escrow`.",
        )
    key, header = secrets.token_bytes(DEK_BYTES), secrets.token_bytes(_DIGEST_BYTES)
    wrapped = {name: wrap_result_key(each, key, header) for name, each in public.items()}
    aad = output_aad(header, 0)
    sealed = b"".join(seal_stream(key, aad, arrow_messages(Batches(schema=_ROWS.schema, batches=iter([_ROWS])))))
    try:
        opened = copy.unwrap(wrapped[thumbprint], header)
    except Refusal:
        raise Unverified("wrapped_dek", "the copy does not unwrap the result's key") from None
    for _ in open_part(opened, aad, io.BytesIO(sealed), name=_NAME, padded=False):
        pass  # to its end, which is verified
    return thumbprint
