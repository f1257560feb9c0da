"""The results of submitters' verbs as JSON."""

from typing import Annotated, Any, Literal

import msgspec

from cji_core.command.json_output import member


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """`cji job seal` and `submit`: the sealed job in a folder."""

    job: Annotated[str, member("job id, 32 hexadecimal digits")]
    header_sha384: Annotated[str, member("SHA-384 of the job header, hexadecimal")]
    folder: Annotated[str, member("the folder")]
    not_after: Annotated[str, member("when the sealed job expires, ISO 8601")]


class Received(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji job run`, `send`, `fetch` and `open`, `cji result open`: a result whose receipt was verified."""

    job: Annotated[str, member("job id, 32 hexadecimal digits")]
    worker: Annotated[str, member("id of the worker")]
    rows_in: Annotated[int, member("input rows")]
    rows_out: Annotated[int, member("rows of the result; 0 for a job with sealed columns, whose receipt states none")]
    counted: Annotated[bool, member("outputs were opened and have these rows; otherwise the cell states them")]
    outputs: Annotated[tuple[str, ...], member("names of the outputs")]
    out: Annotated[str | None, member("where it was opened; absent if it was not")] = None
    sealed: Annotated[str | None, member("where it was saved sealed; absent if it was not")] = None


class SealedOutput(msgspec.Struct, frozen=True, kw_only=True):
    """One output of a sealed result."""

    name: Annotated[str, member("name")]
    schema: Annotated[str, member("schema id")]
    shards: Annotated[int, member("parts")]


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """`cji result info`: what a folder says of itself."""

    job: Annotated[str, member("job id, 32 hexadecimal digits")]
    folder: Annotated[str, member("the folder")]
    operations: Annotated[tuple[str, ...], member("names of operations")]
    outputs: Annotated[tuple[SealedOutput, ...], member("objects of the kind SealedOutput")]
    recipients: Annotated[tuple[str, ...], member("thumbprints of the keys that open it")]
    worker: Annotated[str, member("id of the worker")]
    created: Annotated[str, member("when the job was sealed, ISO 8601")]
    cloud: Annotated[str, member("whose roots the evidence is checked against")]
    verified: Annotated[Literal[False], member("always false")]


class FirstFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of `cji init`."""

    file: Annotated[str, member("the file")]
    what: Annotated[str, member("what it is, in words")]
    hand_out: Annotated[bool, member("the worker's operator needs it")]


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """`cji init`: the first files of a submitter, and how far they were tried."""

    files: Annotated[tuple[FirstFile, ...], member("objects of the kind FirstFile")]
    attested: Annotated[bool, member("the worker was attested")]
    ran: Annotated[bool, member("the sample ran as a job, and its result was opened")]
    next: Annotated[str, member("the command to run next")]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """`cji job cancel`: the job whose end was asked for."""

    job: Annotated[str, member("job id, 32 hexadecimal digits")]


class StoredReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """`cji receipt get`: a stored receipt, which was not verified."""

    job: Annotated[str, member("job id, 32 hexadecimal digits")]
    receipt: Annotated[str, member("the receipt, a compact JWS")]


class OfferedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key that jobs may be sealed to, once its thumbprint was compared with one from elsewhere."""

    kek_id: Annotated[str, member("id of the key")]
    thumbprint: Annotated[str, member("RFC 7638, SHA-256")]
    ml_kem_thumbprint: Annotated[str, member("the same of its ML-KEM half; empty without one")]


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """`cji worker describe`: what a worker says of itself."""

    audience: Annotated[str, member("id of the pool")]
    worker: Annotated[str, member("id of the worker")]
    operations: Annotated[tuple[str, ...], member("names of operations")]
    schemas: Annotated[tuple[str, ...], member("ids of the schemas of records")]
    keys: Annotated[tuple[OfferedKey, ...], member("objects of the kind OfferedKey")]
    limits: Annotated[dict[str, int], member("the limits that a caller must meet")]


class Attested(msgspec.Struct, frozen=True, kw_only=True):
    """`cji worker attest`: a worker whose evidence was accepted; `checks` and `not_checked` by check."""

    tee: Annotated[str, member("`snp` or `tdx`")]
    product: Annotated[str, member("generation of the processor")]
    cloud: Annotated[str, member("whose roots the evidence is checked against")]
    simulated: Annotated[bool, member("whether the roots are a simulation's")]
    attested_at: Annotated[str, member("time of the appraisal, ISO 8601")]
    receipt_jwk: Annotated[str, member("the key that signs receipts")]
    maa_token_sha384: Annotated[str, member("SHA-384 of the attestation token, hexadecimal")]
    checks: Annotated[dict[str, str], member("what was shown, by check")]
    not_checked: Annotated[dict[str, str], member("what was not, by check")]


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """`cji key new-signing` and `new-recipient`: the files of a new key."""

    private: Annotated[str, member("file of the private key")]
    public: Annotated[str, member("file of the public key")]
    thumbprint: Annotated[str, member("RFC 7638, SHA-256")]
    not_after: Annotated[str, member("the last day of the key")]


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """`cji key rehearse`: the record of a recovery that was tried."""

    date: Annotated[str, member("when, ISO 8601")]
    thumbprint: Annotated[str, member("of the key whose copy was tried")]
    recipients: Annotated[tuple[str, ...], member("thumbprints of all recipients of the made-up result")]
    suite: Annotated[str, member("the suite of the result")]
    opened: Annotated[Literal[True], member("always true: otherwise there is no record")]


class ShownKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji key show`: a key, by its public half."""

    thumbprint: Annotated[str, member("RFC 7638, SHA-256")]
    classical_thumbprint: Annotated[str, member("of a signing pair the one in jobs of classical-1; else the same")]
    jwk: Annotated[str, member("the public key, a JWK")]
    not_after: Annotated[str | None, member("the last day of a private key; absent if its file states none")] = None


class NewProjectKey(msgspec.Struct, frozen=True, kw_only=True):
    """`cji key project`: the file of a new project key."""

    file: Annotated[str, member("file of the key")]
    project: Annotated[str, member("name of the project")]


class NewSeed(msgspec.Struct, frozen=True, kw_only=True):
    """`cji key new-ml-kem-seed`: the ML-KEM half of a worker's key, for `[[keys]]` in worker.toml."""

    ml_kem_seed_file: Annotated[str, member("file of the seed, wrapped under the worker's key")]
    ml_kem_thumbprint: Annotated[str, member("RFC 7638, SHA-256, for submitters to pin")]


class AttestedKey(msgspec.Struct, frozen=True, kw_only=True):
    """`cji key verify-attestation`: a key that was made in an HSM."""

    kek_id: Annotated[str, member("id of the key")]
    checks: Annotated[dict[str, str], member("what was shown, by check")]
    not_checked: Annotated[tuple[str, ...], member("what was not")]


class SchemaSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One schema of records."""

    schema: Annotated[str, member("schema id")]
    output_only: Annotated[bool, member("whether only the worker makes such records")]
    columns: Annotated[int, member("number of columns")]
    required: Annotated[tuple[str, ...], member("names of required columns")]


class Schemas(msgspec.Struct, frozen=True, kw_only=True):
    """`cji schema list`: the schemas of records."""

    schemas: Annotated[tuple[SchemaSummary, ...], member("objects of the kind SchemaSummary")]


class CheckedRules(msgspec.Struct, frozen=True, kw_only=True):
    """`cji clear check`: the rules of a table without mistakes, in words."""

    rules: Annotated[tuple[str, ...], member("one sentence or line each")]


class ExampleRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji clear example`: a table that is shipped as an example."""

    file: Annotated[str | None, member("where it was written; absent without RULES")] = None
    rules: Annotated[str | None, member("the table, TOML; absent with RULES")] = None


class PairQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs that were found, those of them that are right, and what follows."""

    found: Annotated[int, member("pairs that were found; an estimate where labels stand for further pairs")]
    right: Annotated[int, member("those that are of one person")]
    precision: Annotated[float, member("right of found")]
    recall: Annotated[float, member("right of all pairs of one person")]
    f1: Annotated[float, member("harmonic mean of both")]


class NewLabels(msgspec.Struct, frozen=True, kw_only=True):
    """`cji link labels new`: a label file to fill in."""

    file: Annotated[str, member("the label file")]
    pairs: Annotated[int, member("pairs in it")]
    listed: Annotated[int, member("pairs that the result lists")]


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """`cji link evaluate`: a result of `link`, compared with a labelled sample."""

    pairs: Annotated[int, member("labelled pairs")]
    true: Annotated[int, member("pairs of one person among those that they stand for, estimated")]
    unsure: Annotated[int, member("pairs of the label file that are unsure")]
    undecided: Annotated[int, member("pairs of the label file without a verdict")]
    uncovered: Annotated[int, member("listed pairs with a weight of which no pair is labelled")]
    match: Annotated[float, member("the threshold `--match`, a probability")]
    at_match: Annotated[PairQuality, member("PairQuality at that threshold")]
    best_bits: Annotated[float, member("the threshold with the highest F1, a match weight in bits")]
    at_best: Annotated[PairQuality, member("PairQuality at that threshold")]
    clusters: Annotated[PairQuality, member("PairQuality of the clusters")]


class ProvenReceipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji receipt verify` and `cji result verify`: a verified receipt or failure receipt. Several have a line each."""

    claims: Annotated[dict[str, Any], member("its claims, as docs/format.md names them")]
    not_checked: Annotated[dict[str, str], member("what was not checked, by check or subject")]
    confirmed: Annotated[str | None, member("who confirmed the counts, and when; absent without --confirmation")] = None


class ConfirmedReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """`cji receipt confirm`: the counts that a recipient's key signed."""

    confirmation: Annotated[str, member("file of the confirmation")]
    job: Annotated[str, member("job id, 32 hexadecimal digits")]
    receipt_sha384: Annotated[str, member("digest of the receipt, hexadecimal")]
    key: Annotated[str, member("thumbprint of the key that signed")]
    rows: Annotated[dict[str, int], member("counted rows by output")]
    differences: Annotated[tuple[str, ...], member("counts of the receipt that are others, in words")]


class ShownReceipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`cji receipt show`: one receipt."""

    verified: Annotated[bool, member("whether it was verified against evidence")]
    simulated: Annotated[bool, member("whether a simulation signed it; its own claim if it was not verified")]
    claims: Annotated[dict[str, Any], member("its claims, as docs/format.md names them")]
    not_checked: Annotated[dict[str, str], member("what was not checked, by check or subject")]
    page: Annotated[str | None, member("file of the page; absent without --html")] = None
