"""The output parts of a job by reference, sealed, from Blob Storage."""

from collections import Counter
from collections.abc import Iterator

from cji_client.errors import Unverified
from cji_client.job_folder import JobFolder
from cji_client.progress import Phase, Progress, ProgressCallback
from cji_client.received import Output, ResultHeader, new_output
from cji_client.spool import Spool
from cji_client.transfer import document, segments
from cji_core.pool import names
from cji_core.pool.documents import SOURCES_BYTES, Published, Sources
from cji_core.pool.store import Blobs
from cji_core.trail import Claims


def received(
    results: Blobs,
    job: JobFolder,
    published: Published,
    *,
    header: ResultHeader,
    claims: Claims,
    progress: ProgressCallback | None,
) -> Iterator[Output]:
    """The parts in order, each complete. `claims` are those of a receipt with a good signature: they bound the lengths.

    Digests are not compared here. The caller closes the files. Raises StoreError, Unverified.
    """
    name, left, total, spool = job.header.job_id.hex(), Counter[str](), 0, Spool()
    for digest in claims.outputs:
        left[digest.name] += digest.bytes
    attempts = _attempts(results, name, published, parts=len(header.parts))
    for number, (part, attempt) in enumerate(zip(header.parts, attempts, strict=True)):
        output = new_output(part, spool.part())
        try:
            for data in segments(results, names.output(name, attempt, number), left[part.name]):
                output.add(output.segments, data)
                total += len(data)
                if progress is not None:
                    progress(Progress(phase=Phase.RECEIVED, bytes=total))
            if not output.ended:
                raise Unverified("outputs", "a part has no last segment")
        except BaseException:
            output.file.close()
            raise
        left[part.name] -= output.length
        yield output


def _attempts(results: Blobs, job: str, published: Published, *, parts: int) -> tuple[str, ...]:
    """The attempt under whose name each part is: of a job in parts, that of the task which wrote it."""
    sources = document(results, names.sources(job, published.attempt), Sources, most=SOURCES_BYTES)
    attempts = (published.attempt,) * parts if sources is None else sources.attempts
    if len(attempts) != parts:
        raise Unverified("sources", "they are not those of the parts in the result header")
    return attempts
