"""The two suites of sealed jobs. A header names its suite; nothing is negotiated. docs/format.md specifies both."""

import enum


class Suite(enum.StrEnum):
    """The algorithms of one job. The names are those in policies, specs and receipts."""

    CLASSICAL_1 = "classical-1"
    """RSA-OAEP; ES384."""
    HYBRID_1 = "hybrid-1"
    """RSA-OAEP and ML-KEM-1024; HPKE with MLKEM1024-P384; ML-DSA-87 and ES384. Both halves, always."""
