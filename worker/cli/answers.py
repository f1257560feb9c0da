"""JSON of the verbs of submitters: one object on one line. docs/command.md lists the members."""

from typing import Literal

import click
import msgspec


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """`cji job seal` and `submit`: the sealed job in a folder."""

    job: str
    header_sha384: str
    folder: str
    not_after: str


class Received(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji job run`, `send`, `fetch` and `open`, `cji result open`: a result whose receipt was verified."""

    job: str
    worker: str
    rows_in: int
    rows_out: int
    outputs: tuple[str, ...]
    out: str | None = None
    sealed: str | None = None


class SealedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """One output of a sealed result."""

    name: str
    schema: str
    shards: int


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """`cji result info`: what a folder says of itself."""

    job: str
    folder: str
    operations: tuple[str, ...]
    outputs: tuple[SealedOutput, ...]
    recipients: tuple[str, ...]
    worker: str
    created: str
    cloud: str
    verified: Literal[False] = False


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """`cji job cancel`: the job whose end was asked for."""

    job: str


class StoredReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """`cji receipt get`: a stored receipt, which was not verified."""

    job: str
    receipt: str


class OfferedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key that jobs may be sealed to, once its thumbprint was compared with one from elsewhere."""

    kek_id: str
    thumbprint: str
    ml_kem_thumbprint: str


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """`cji worker describe`: what a worker says of itself."""

    audience: str
    worker: str
    operations: tuple[str, ...]
    schemas: tuple[str, ...]
    keys: tuple[OfferedKey, ...]
    limits: dict[str, int]


class Attested(msgspec.Struct, frozen=True, kw_only=True):
    """`cji worker attest`: a worker whose evidence was accepted; `checks` and `not_checked` by check."""

    tee: str
    product: str
    cloud: str
    simulated: bool
    attested_at: str
    receipt_jwk: str
    maa_token_sha384: str
    checks: dict[str, str]
    not_checked: dict[str, str]


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """`cji key new-signing` and `new-recipient`: the files of a new key."""

    private: str
    public: str
    thumbprint: str


class NewProjectKey(msgspec.Struct, frozen=True, kw_only=True):
    """`cji key project`: the file of a new project key."""

    file: str
    project: str


class SchemaSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One schema of records."""

    schema: str
    output_only: bool
    columns: int
    required: tuple[str, ...]


class Schemas(msgspec.Struct, frozen=True, kw_only=True):
    """`cji schema list`: the schemas of records."""

    schemas: tuple[SchemaSummary, ...]


class CheckedRules(msgspec.Struct, frozen=True, kw_only=True):
    """`cji clear check`: the rules of a table without mistakes, in words."""

    rules: tuple[str, ...]


class PairQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs that were found, those of them that are right, and what follows."""

    found: int
    right: int
    precision: float
    recall: float
    f1: float


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """`cji link evaluate`: a result of `link`, compared with a labelled sample."""

    pairs: int
    true: int
    match: float
    at_match: PairQuality
    best_bits: float
    at_best: PairQuality
    clusters: PairQuality


JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON; docs/command.md lists its members.")


def print_json(answer: msgspec.Struct) -> None:
    """Print it on one line."""
    click.echo(msgspec.json.encode(answer).decode())
