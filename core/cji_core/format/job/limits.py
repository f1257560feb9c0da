"""Every size, count and time limit of a sealed job, with unit and source.

Invariant: a limit is checked where the bytes arrive, before anything is allocated in proportion to them. Exceeding it
is LIMIT_EXCEEDED (or MALFORMED_HEADER inside the header). `Describe` returns the limits that callers must meet.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cji_core.jose import COMPOSITE_MAX_BYTES

KIB: Final = 1024
MIB: Final = 1024 * KIB
TIB: Final = 1024 * 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of CJI-Job v1. Names end in their unit; counts have none."""

    # The header is signed, parsed and held by three processes; 32 KiB fits 8 recipients with hybrid keys.
    header_bytes: int = 32 * KIB
    signature_bytes: int = COMPOSITE_MAX_BYTES
    # FLOE (C2SP FLOE; ePrint 2025/2275): one parameter set, no negotiation.
    segment_bytes: int = MIB
    segment_min_bytes: int = 32  # 4 length + 12 IV + 0 plaintext + 16 tag
    floe_header_bytes: int = 74  # 10 parameters + 32 IV + 32 tag, in front of segment 0 of each part
    message_overhead_bytes: int = 64 * KIB  # gRPC message cap = segment + this, both ways
    # Streams between the tasks of a job in parts: many at once, most of them short.
    shuffle_segment_bytes: int = 64 * KIB
    task_streams: int = 4096  # of a task, either way
    # Arrow batches: what one arena window must hold.
    batch_rows: int = 65_536
    batch_bytes: int = 16 * MIB
    # Parts of Run, each way; a job by reference may have more, because its records may be many shards.
    parts: int = 16
    shards: int = 1024  # of the records, and of an output
    job_bytes: int = TIB  # ciphertext of all input parts together
    operations: int = 8
    recipients: int = 8
    # Sealed columns: a keyholder's private operations for a job, and what a cell's key slot holds, follow from these.
    column_statements: int = 4
    column_keys: int = 16  # of a statement
    sealed_columns: int = 64  # of a statement, of an input, and of all outputs
    stated_names: int = 32  # purposes, and submitters, of a statement
    # Texts of the attribution end up in audit records, which stay one line each.
    text_bytes: int = 256
    attribution_block_bytes: int = 256  # the attribution is padded to a multiple, so that its length reveals little
    attribution_max_bytes: int = 1536  # 5 texts with tag and length, padded
    url_bytes: int = 512  # kek_id
    wrapped_dek_min_bytes: int = 256  # RSA-2048 ... RSA-8192; in hybrid-1 an ML-KEM ciphertext comes before it
    wrapped_dek_max_bytes: int = 1024
    nonce_bytes: int = 32  # of Attest, exactly; the evidence binds it (docs/format.md §8)
    # A job is sealed for a day at most, so a captured header is worth a day at most.
    lifetime: timedelta = timedelta(hours=24)
    skew: timedelta = timedelta(seconds=60)
    # A header that is further ahead than the skew may become valid: a worker's clock may be slow.
    early: timedelta = timedelta(hours=1)
    policy_bytes: int = MIB
    # An access token of Microsoft Entra, without its scheme; a usual one has 2 KiB.
    token_bytes: int = 16 * KIB
    # Time until a caller has sent its first message of Run, or the request of another call.
    open_seconds: int = 5
    # From the request of a call other than Run to its answer; the SDK gives 30.
    answer_seconds: int = 30


LIMITS: Final = Limits()
