"""Results with a verified receipt: `Result`, still sealed, and `OpenedResult`, with the key that opens it.

Opening needs the recipient's private key and no network.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from cji_attestation.attested import AttestedWorker
from cji_client.counts import require_counts
from cji_client.errors import SpecError, Unverified
from cji_client.parts import open_part
from cji_client.progress import ProgressCallback, opening
from cji_client.received import RESULT, Output, ResultHeader
from cji_client.shown import card
from cji_client.signers import Decrypter, decrypter_of
from cji_client.spans import span
from cji_client.submitted_types import Numbers, restore
from cji_core.errors import Refusal
from cji_core.format.envelope import output_aad
from cji_core.format.job import Header
from cji_core.format.keys import RecipientPrivateKey
from cji_core.format.paths import FileName
from cji_core.format.records import ROW_STATUS as ROW_STATUS_SCHEMA
from cji_core.jose import key_id
from cji_core.operations.link import Link
from cji_core.operations.registry import plan
from cji_core.suggest import did_you_mean
from cji_core.trail import PartDigest, VerifiedReceipt

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from cji_client.charts import LinkCharts

Archive: TypeAlias = Callable[[AttestedWorker], tuple[AttestedWorker, tuple[str, ...]]]
"""Completes evidence before it is written; the sentences are about what could not be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Outputs as received, part by part, and the receipt that vouches for their digests.

    Close it to release the ciphertext.
    """

    job: Header
    header: ResultHeader
    outputs: tuple[Output, ...]
    receipt: VerifiedReceipt
    attested: AttestedWorker
    sent: tuple[PartDigest, ...] = ()
    """The input parts, which the receipt was compared with."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of each input's columns."""
    numbers: Numbers = field(default_factory=dict)
    """The types of columns that were numbers before they were sent as text, by input."""
    archive: Archive | None = None
    """Completes the evidence when it is written, as the profile's `[evidence]` states."""

    @property
    def job_id(self) -> bytes:
        """16 bytes."""
        return self.job.job_id

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs; always `result` and `row_status`, in the order of the result header."""
        return tuple(output.name for output in self.header.outputs)

    def sealed_columns(self, name: str) -> frozenset[str]:
        """The columns of an output that the worker sealed as cells of an encrypted column, by the job's header."""
        return frozenset(each.column for each in self.job.sealed_outputs if each.output == name)

    def archived(self) -> tuple["Result", tuple[str, ...]]:
        """The same with completed evidence, once; the sentences are about what could not be had."""
        if self.archive is None:
            return self, ()
        attested, notes = self.archive(self.attested)
        return replace(self, attested=attested, archive=None), notes

    def save(self, folder: FileName) -> tuple[str, ...]:
        """Write it into a new folder, still sealed: `cji_client.result_folder` opens it, anywhere.

        The evidence is completed as the profile's `[evidence]` states; returns a sentence for what could not be had.
        """
        from cji_client.result_folder import save_result  # noqa: PLC0415 - it makes results itself

        result, notes = self.archived()
        save_result(result, folder)
        return notes

    def opened_by(self, key: RecipientPrivateKey | Decrypter) -> "OpenedResult":
        """The same result with the key that opens it; closing it closes this one."""
        decrypter = decrypter_of(key)
        return OpenedResult(sealed=self, decrypter=lambda: decrypter)

    def close(self) -> None:
        """Release the sealed bytes."""
        for output in self.outputs:
            output.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OpenedResult:
    """The result of a job, its receipt verified. Outputs are opened when they are read.

    Whatever takes an Arrow stream, such as `polars.DataFrame(result)`, gets the output `result`. Close it, or use it as
    a context manager, to release the ciphertext.
    """

    sealed: Result
    decrypter: Callable[[], Decrypter | None]
    """Called when the first output is opened."""
    progress: ProgressCallback | None = field(default=None, repr=False)
    """Called with the rows of each output that is read."""

    def __repr__(self) -> str:
        return f"<OpenedResult of job {self.sealed.job_id.hex()}: {', '.join(self.names)}>"

    def _repr_html_(self) -> str:
        claims = self.receipt.claims
        rows = {
            "outputs": ", ".join(self.names),
            "rows in": f"{claims.volumes.rows_in:,}",
            "rows out": f"{claims.volumes.rows_out:,}",
            "receipt": f"verified, of {claims.ended}, from worker {claims.worker}",
        }
        return card(f"Result of job {self.sealed.job_id.hex()}", rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return self.sealed.names

    @property
    def receipt(self) -> VerifiedReceipt:
        """The verified receipt."""
        return self.sealed.receipt

    @property
    def attested(self) -> AttestedWorker:
        """The worker that signed it."""
        return self.sealed.attested

    def batches(self, name: str = RESULT) -> Iterator[pa.RecordBatch]:
        """The batches of one output; the first is empty and carries the schema.

        SpecError without a key that opens them, Unverified if the bytes do not open. The number of rows that the
        receipt states is compared after the last batch, so read all of them before you rely on one.
        """
        decrypter = self.decrypter()
        if decrypter is None:
            raise SpecError(
                "no key opens this result",
                remedy="Name recipient_key in the profile, pass a decrypter, or save the result and open it elsewhere.",
            )
        return opening(read_output(self.sealed, decrypter, name), self.progress)

    def table(self, name: str = RESULT) -> pa.Table:
        """One output as a table of Arrow."""
        return pa.Table.from_batches(self.batches(name))

    def pandas(self, name: str = RESULT) -> "pd.DataFrame":
        """One output as a data frame of pandas, which must be installed."""
        return self.table(name).to_pandas()

    def polars(self, name: str = RESULT) -> "pl.DataFrame":
        """One output as a data frame of polars, which must be installed."""
        import polars  # noqa: PLC0415 - not a dependency

        return polars.from_arrow(self.table(name))

    @property
    def chart(self) -> "LinkCharts":
        """Charts of a job with `link`, as `cji_client.charts` describes; SpecError for any other."""
        from cji_client.charts import LinkCharts  # noqa: PLC0415 - most results are not drawn

        planned = plan(self.sealed.job.operations, self.sealed.job.input_schemas)
        for each in planned.operations:
            if isinstance(each.parameters, Link):
                return LinkCharts(self.batches, each.parameters)
        raise SpecError("the job has no link, so there is nothing to draw", remedy="Charts are for results of link.")

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table().__arrow_c_stream__(requested_schema)

    def save(self, folder: FileName) -> tuple[str, ...]:
        """As `Result.save`."""
        return self.sealed.save(folder)

    def close(self) -> None:
        """Release the sealed bytes."""
        self.sealed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_output(
    result: Result, key: RecipientPrivateKey | Decrypter, name: str, *, as_text: bool = False
) -> Iterator[pa.RecordBatch]:
    """The batches of one output, starting with an empty batch that carries the schema. One reader at a time per output.

    Columns that repeat numbers of the input have their types (`submitted_types`); `as_text`: for a file of text.

    SpecError if there is no such output or the key is not a recipient's. Unverified if the bytes do not open, or, after
    the last batch, if the receipt states another number of rows (`volumes`): of `result`, `row_status`, and a
    dissemination ledger. It states none of other outputs.
    """
    if name not in result.names:
        raise SpecError(
            f"the result has no output {did_you_mean(name, result.names)}",
            remedy=f"Choose one of {', '.join(result.names)}.",
        )
    result_key, rows, schema = _result_key(result, key), 0, None
    as_submitted = restore(result.job, result.columns, result.numbers, name, as_text=as_text)
    with span("cji.open", result.job_id) as opened:
        for part in result.header.parts_of(name):
            before, numbered = rows, result.outputs[part].schema == ROW_STATUS_SCHEMA
            for batch in _open(result, result_key, part):
                if schema is None:
                    _require_columns(batch.schema, name, result.sealed_columns(name), numbered=numbered)
                    yield as_submitted(batch)
                elif not batch.schema.equals(schema, check_metadata=True):
                    raise Unverified(name, "its shards have different schemas")
                schema = batch.schema
                if batch.num_rows:
                    yield _renumbered(batch, before) if numbered and before else as_submitted(batch)
                rows += batch.num_rows
        require_counts(result.receipt, result.header, {name: rows})
        opened.end(rows=rows)


def _require_columns(schema: pa.Schema, name: str, sealed: frozenset[str], *, numbered: bool) -> None:
    """Nothing of an output is handed on where a column is readable that the job had sealed, or rows have no number."""
    if numbered and ("row" not in schema.names or schema.field("row").type != pa.uint64()):
        raise Unverified(name, "its rows have no number")
    for column in schema:
        if column.name in sealed and column.type != pa.binary():
            raise Unverified(name, f"its column {column.name} is not sealed, and the job asked for that")


def _renumbered(status: pa.RecordBatch, first: int) -> pa.RecordBatch:
    """The status of rows of a shard, which numbers its own from 0; `first` rows are in the shards before it."""
    rows = pc.add(status.column("row"), pa.scalar(first, pa.uint64()))
    return status.set_column(status.schema.get_field_index("row"), status.schema.field("row"), rows)


def count_rows(result: Result, key: RecipientPrivateKey | Decrypter) -> tuple[int, ...]:
    """The rows of each part, all opened; not compared with the receipt. Raises as `read_output`."""
    result_key = _result_key(result, key)
    return tuple(sum(batch.num_rows for batch in _open(result, result_key, n)) for n in range(len(result.outputs)))


def _open(result: Result, result_key: bytes, part: int) -> Iterator[pa.RecordBatch]:
    output = result.outputs[part]
    output.file.seek(0)
    name = result.header.parts[part].name
    return open_part(
        result_key, output_aad(result.header.sha384, part), output.file, name=name, padded=result.header.padded
    )


def open_result(result: Result, key: RecipientPrivateKey | Decrypter) -> dict[str, pa.Table]:
    """All outputs as tables, by name; an error if any one does not open."""
    return {name: pa.Table.from_batches(read_output(result, key, name)) for name in result.names}


def _result_key(result: Result, key: RecipientPrivateKey | Decrypter) -> bytes:
    decrypter = decrypter_of(key)
    wrapped = result.header.wrapped.get(key_id(decrypter.public_key()))
    if wrapped is None:
        raise SpecError("this key is not one of the result's recipients", remedy="Use the key that the job named.")
    try:
        return decrypter.unwrap(wrapped, result.header.job_header_sha384)
    except Refusal:
        raise Unverified("wrapped_dek", "the recipient's key does not unwrap the result's key") from None
