"""A verified result and the key that opens it: outputs as tables or data frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from cji_attestation.attested import AttestedWorker
from cji_client.errors import SpecError
from cji_client.result import RESULT
from cji_client.sealed_result import SealedResult, read_output
from cji_client.signers import Decrypter
from cji_core.format.paths import FileName
from cji_core.trail import VerifiedReceipt


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Result:
    """The result of a job, its receipt verified. Outputs are opened when they are read.

    Whatever takes an Arrow stream, such as `polars.DataFrame(result)`, gets the output `result`. Close it, or use it as
    a context manager, to release the ciphertext.
    """

    sealed: SealedResult
    decrypter: Callable[[], Decrypter | None]
    """Called when the first output is opened."""

    def __repr__(self) -> str:
        return f"<Result of job {self.sealed.job_id.hex()}: {', '.join(self.names)}>"

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

        SpecError without a key that opens them, Unverified if the bytes do not open.
        """
        decrypter = self.decrypter()
        if decrypter is None:
            raise SpecError(
                "no key opens this result",
                remedy="Name recipient_key in the profile, pass a decrypter, or save the result and open it elsewhere.",
            )
        return read_output(self.sealed, decrypter, name)

    def table(self, name: str = RESULT) -> pa.Table:
        """One output as a table of Arrow."""
        return pa.Table.from_batches(self.batches(name))

    def pandas(self, name: str = RESULT) -> Any:
        """One output as a data frame of pandas, which must be installed."""
        return self.table(name).to_pandas()

    def polars(self, name: str = RESULT) -> Any:
        """One output as a data frame of polars, which must be installed."""
        import polars  # noqa: PLC0415 - not a dependency

        return polars.from_arrow(self.table(name))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table().__arrow_c_stream__(requested_schema)

    def save(self, folder: FileName) -> None:
        """As `SealedResult.save`."""
        self.sealed.save(folder)

    def close(self) -> None:
        """Release the sealed bytes."""
        self.sealed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
