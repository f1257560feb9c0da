"""A result whose receipt verified, still sealed; opening it needs the recipient's private key and no network."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric import rsa

from worker.audit import VerifiedReceipt
from worker.client.attested import AttestedWorker
from worker.client.errors import SpecError, Unverified
from worker.client.keys import thumbprint
from worker.client.parts import open_part
from worker.client.result import ROW_STATUS, Output, ResultHeader
from worker.envelope import output_aad, unwrap_dek
from worker.errors import Refusal

__all__ = ["SealedResult", "open_result", "read_output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedResult:
    """Outputs as they came, and the receipt that vouches for their digests. Close it to let the ciphertext go."""

    job_id: bytes
    header: ResultHeader
    outputs: tuple[Output, ...]
    receipt: VerifiedReceipt
    attested: AttestedWorker

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs; always `result` and `row_status`, in the order of the result header."""
        return tuple(output.name for output in self.outputs)

    def close(self) -> None:
        """Let the sealed bytes go."""
        for output in self.outputs:
            output.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_output(result: SealedResult, private_key: rsa.RSAPrivateKey, name: str) -> Iterator[pa.RecordBatch]:
    """The batches of one output, a 0-row one with the schema first. One reader at a time for each output.

    SpecError when there is no such output, or the key is not a recipient's. Unverified when the bytes do not open, or
    when `row_status` does not have one row for each row that the receipt says went in.
    """
    if name not in result.names:
        raise SpecError(f"the result has no output {name}", remedy=f"It has {', '.join(result.names)}.")
    part = result.names.index(name)
    output = result.outputs[part]
    output.file.seek(0)
    rows = 0
    aad = output_aad(result.header.sha384, part)
    for batch in open_part(_result_key(result, private_key), aad, output.file, name=name):
        rows += batch.num_rows
        yield batch
    if name == ROW_STATUS and rows != result.receipt.claims.volumes.rows_in:
        raise Unverified(ROW_STATUS, "not one row for each row that went in")


def open_result(result: SealedResult, private_key: rsa.RSAPrivateKey) -> dict[str, pa.Table]:
    """Every output as a table, by name; all of them or an error."""
    return {name: pa.Table.from_batches(read_output(result, private_key, name)) for name in result.names}


def _result_key(result: SealedResult, private_key: rsa.RSAPrivateKey) -> bytes:
    wrapped = result.header.wrapped.get(thumbprint(private_key.public_key()))
    if wrapped is None:
        raise SpecError("this key is not one of the result's recipients", remedy="Use the key that the job named.")
    try:
        return unwrap_dek(private_key, wrapped)
    except Refusal:
        raise Unverified("wrapped_dek", "the result's key does not open with the recipient's key") from None
