"""The statements of the tasks behind the receipt of a job in parts.

A receipt needs no statement to be verified. Who keeps them can show which worker ran which task, on which streams:
`verify_statements` requires exactly those that the receipt's root covers, in their order.
"""

import hmac
from collections.abc import Iterable

from cji_client.errors import Unverified
from cji_core.format.envelope import statement_key, statement_proof
from cji_core.jose import key_id, parse_canonical_verifying
from cji_core.strict import b64url_decode, hex_decode
from cji_core.trail import Machine, Statement, StatementError, TasksClaim, VerifiedReceipt, read_statement
from cji_core.trail.merkle import Frontier, leaf_hash


def verify_statements(
    receipt: VerifiedReceipt, statements: Iterable[str], *, dek: bytes | None = None
) -> tuple[Statement, ...]:
    """All statements behind a verified receipt. With the job's data key, their proofs are verified, too.

    Unverified(`statements`) unless they are exactly those, in their order; (`proof`) for one made without the key.
    """
    claims, tree, found = receipt.claims, Frontier(), list[Statement]()
    tasks = claims.tasks
    if not isinstance(tasks, TasksClaim):
        raise Unverified("statements", "the receipt is that of a job on one machine")
    nodes = {(node.receipt_key, node.evidence_sha384) for node in tasks.nodes}
    machine = Machine(
        simulated=claims.simulated,
        code_sha384=claims.code_sha384,
        tables_sha256=claims.tables_sha256,
        host_profile=claims.host_profile,
        fips=claims.fips.mode,
    )
    key = None if dek is None else statement_key(dek, hex_decode(claims.header_sha384))
    for compact in statements:
        said = _read(compact)
        node = key_id(parse_canonical_verifying(said.receipt_jwk)), said.evidence_sha384
        if (said.job_id, said.header_sha384) != (claims.job_id, claims.header_sha384) or node not in nodes:
            raise Unverified("statements", "one is of another job, or of a worker that the receipt does not name")
        if said.machine != machine:
            raise Unverified(
                "statements",
                f"task {said.task} of {said.stage}: by other code, tables or machine than the receipt",
            )
        if key is not None and not hmac.compare_digest(statement_proof(key, said.encoded()), b64url_decode(said.proof)):
            raise Unverified("proof", f"task {said.task} of {said.stage}: not made with the data key of this job")
        tree.append(leaf_hash(compact.encode("ascii")))
        found.append(said)
    if (tree.size, tree.root().hex()) != (tasks.statements, tasks.root_sha256):
        raise Unverified("statements", "they are not those that the receipt has the root of, in their order")
    return tuple(found)


def _read(compact: str) -> Statement:
    try:
        return read_statement(compact)
    except StatementError:
        raise Unverified("statements", "one is not a statement, or not signed with the key in it") from None
