"""One way from records to results: attest, pin, seal, run, verify, open.

    with connect("client.toml") as worker:
        with worker.run(frame, "job.toml") as result:
            print(result.pandas())

`submit` returns a `Job` while the job runs, and with a folder sends it by reference, to a pool of workers.

Each run requires fresh evidence from the worker before anything is sealed, and each result its receipt before anything
is opened. The steps can be called one by one: `prepare`, `attest`, `seal`, `send`.
"""

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

from cji_attestation import AZURE_US, AZURE_USGOV, Trust
from cji_attestation.attested import AttestedWorker
from cji_client.cancellation import Cancellation
from cji_client.description import Description
from cji_client.errors import InputWarning, JobCancelled, SpecError
from cji_client.job_folder import ABOUT, JobFolder, load_job, save_job
from cji_client.prepared import Prepared, Records, prepare
from cji_client.profile import ClientProfile, load_profile
from cji_client.profile_keys import decrypter_named, signer_named
from cji_client.progress import Phase, Progress, ProgressCallback, Reading, Watch, unwatched
from cji_client.release import JobRelease
from cji_client.result import OpenedResult, Result
from cji_client.retry import RetryPolicy
from cji_client.seal import SealedJob
from cji_client.shown import card
from cji_client.signers import Decrypter, Signer
from cji_client.spans import span
from cji_client.spec import JobSpec, load_spec, with_escrow
from cji_client.standing import Standing
from cji_client.tokens import TokenSource
from cji_client.transport import SyncClient
from cji_core.format.keys import ProjectKey
from cji_core.format.passphrases import Passphrase
from cji_core.format.paths import FileName

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from cji_client.by_reference import SyncFleetClient
    from cji_client.job import Job, PoolJob
    from cji_client.kept import Store

Spec: TypeAlias = "JobSpec | FileName | Mapping[str, object]"
"""A spec, the name of its file, or its fields; fields that are left out come from the profile's `[job]`."""


class Connection:
    """One worker, with the keys of a profile. Made by `connect`; use as a context manager. Calls may run in threads."""

    def __init__(
        self,
        profile: ClientProfile,
        *,
        trust: Trust,
        signer: Signer | None = None,
        decrypter: Decrypter | None = None,
        passphrase: Passphrase | None = None,
        token: TokenSource | None = None,
        credential: "TokenCredential | None" = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Keys are loaded when they are used first; `signer`, `decrypter` and `retry` replace those of the profile."""
        self.profile, self._credential, self._retry = profile, credential, retry or profile.retry
        self._signer, self._decrypter, self._passphrase, self._trust = signer, decrypter, passphrase, trust
        self._client = SyncClient(
            profile.target,
            tls=profile.tls(),
            trust=trust,
            reference=profile.reference,
            maa_url=profile.maa_url,
            server_name=profile.server_name,
            token=token or profile.token(),
            retry=self._retry,
        )

    def __repr__(self) -> str:
        return f"<Connection to {self.profile.target}>"

    def _repr_html_(self) -> str:
        pool = "" if self.profile.storage is None else self.profile.storage.blob_url
        return card("Worker", {"target": self.profile.target, "cloud": self.profile.cloud, "pool": pool})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        self._client.close()

    @property
    def signer(self) -> Signer:
        """The key that signs job headers; SpecError if the profile names none."""
        if self._signer is None:
            self._signer = signer_named(self.profile, self._passphrase)
        return self._signer

    @property
    def decrypter(self) -> Decrypter | None:
        """The key that opens results, None if the profile names none."""
        if self._decrypter is None:
            self._decrypter = decrypter_named(self.profile, self._passphrase)
        return self._decrypter

    def describe(self) -> Description:
        """The worker's description of itself; nothing in it is trusted."""
        return self._client.describe()

    def attest(self) -> AttestedWorker:
        """Evidence of the worker for a fresh nonce, appraised; Unverified names the failed check."""
        return self._client.attest()

    def get_receipt(self, job_id: bytes) -> str:
        """The stored receipt of a finished job of this submitter; not verified here."""
        return self._client.get_receipt(job_id)

    def release(self, job_id: bytes) -> JobRelease:
        """Whether anything of this submitter's job was released, by the worker that answers; its word, no proof."""
        return self._client.release(job_id)

    def spec(self, spec: Spec) -> JobSpec:
        """A job spec over the profile's defaults for all jobs; SpecError names an invalid field.

        The keys of the profile's `escrow` are among the recipients of every spec.
        """
        job = self.profile.job
        if isinstance(spec, str | os.PathLike):
            return load_spec(spec, defaults=job)
        return with_escrow(spec if isinstance(spec, JobSpec) else load_spec(None, defaults={**job, **spec}), job)

    def prepare(
        self,
        records: Records,
        spec: Spec,
        *,
        sides: Mapping[str, Records] | None = None,
        watch: Watch = unwatched,
    ) -> Prepared:
        """Read and check the records of a job; nothing is sent. As `prepared.prepare`.

        An InputWarning for records that are most probably not meant so; a filter of `warnings` makes it an error.
        """
        prepared = prepare(records, self.spec(spec), sides=sides, watch=watch)
        for text in prepared.warnings:
            warnings.warn(text, InputWarning, stacklevel=2)
        return prepared

    def seal(self, prepared: Prepared, *, project_key: ProjectKey | None = None) -> SealedJob:
        """Seal a job to the key that its spec pins: that of the profile, else that of the worker."""
        spec = prepared.spec
        pin = self.profile.pinned_key(
            spec.kek_id, thumbprint=spec.kek_thumbprint, ml_kem_thumbprint=spec.ml_kem_thumbprint
        )
        with span("cji.seal") as sealing:
            kek = pin or self.describe().pin_for(spec)
            job = prepared.seal(kek, self.signer, project_key=project_key)
            sealing.end(job_id=job.header.job_id, rows=prepared.rows)
            return job

    def run(
        self,
        records: Records,
        spec: Spec,
        *,
        sides: Mapping[str, Records] | None = None,
        project_key: ProjectKey | None = None,
        deadline: float | None = None,
        max_result_bytes: int | None = None,
        progress: ProgressCallback | None = None,
        cancellation: Cancellation | None = None,
    ) -> OpenedResult:
        """Run one job and return its verified result.

        `records` is a data frame of pandas or polars, a table or batches of Arrow, anything else with
        `__arrow_c_stream__`, a generator of record batches, or the name of a file; `sides` has side tables by name.
        `deadline`, in seconds, replaces the spec's. `progress` is called from several threads. `max_result_bytes`
        replaces the bound on the sealed result that is computed from the job.
        """
        stop, standing = cancellation or Cancellation(), Standing()

        def in_time() -> None:
            if stop.asked:
                raise JobCancelled

        with standing.explaining():
            prepared = self.prepare(records, spec, sides=sides, watch=Reading(progress, in_time))
            attested, job = self._sealed(prepared, project_key, progress)
        return self.run_sealed(
            job,
            prepared,
            attested=attested,
            deadline=deadline,
            max_result_bytes=max_result_bytes,
            progress=progress,
            cancellation=stop,
            standing=standing,
        )

    def submit(
        self,
        records: Records,
        spec: Spec,
        *,
        sides: Mapping[str, Records] | None = None,
        project_key: ProjectKey | None = None,
        folder: FileName | None = None,
        deadline: float | None = None,
        max_result_bytes: int | None = None,
        progress: ProgressCallback | None = None,
    ) -> "Job":
        """Begin one job and return its handle. What is wrong with records, spec or worker is raised here.

        Without a `folder`, the worker is attested, and a thread of this process sends the job; it ends with this
        connection. With one, the job is sealed into this new folder, and all of it sent by reference before this
        returns, to the pool that the profile's `[storage]` names: `deadline` is of no use there, and the folder is what
        the result needs later. After an error, `job(folder).send()` continues.
        Other arguments are as in `run`.
        """
        from cji_client.job import DirectJob, PoolJob  # noqa: PLC0415 - `run` does without it

        prepared = self.prepare(records, spec, sides=sides, watch=Reading(progress))
        if folder is not None:
            pool, submitter = self._pool(), self.profile.submitter()
            sealed = self.seal(prepared, project_key=project_key)
            saved = save_job(sealed, prepared.inputs, folder, submitter=submitter, progress=progress)
            job = PoolJob(saved, pool, self._opened, max_result_bytes=max_result_bytes)
            job.send(progress)
            return job
        attested, sealed = self._sealed(prepared, project_key, progress)

        def run(note: ProgressCallback, stop: Cancellation, standing: Standing) -> OpenedResult:
            return self.run_sealed(
                sealed,
                prepared,
                attested=attested,
                deadline=deadline,
                max_result_bytes=max_result_bytes,
                progress=note,
                cancellation=stop,
                standing=standing,
            )

        return DirectJob(sealed.header.job_id, run, progress)

    def job(self, folder: FileName) -> "PoolJob":
        """The job by reference in this folder. SpecError if it has none, or the profile names no pool."""
        from cji_client.job import PoolJob  # noqa: PLC0415

        return PoolJob(load_job(folder), self._pool(), self._opened)

    def jobs(self, folder: FileName) -> "list[PoolJob]":
        """All jobs by reference whose folders lie in this one, oldest first; those of one second by name.

        Folders without a whole job are left out. SpecError if there is no such folder, or a job in it is damaged.
        """
        if not Path(folder).is_dir():
            raise SpecError(f"{folder} is not a folder", remedy="Name the folder in which the folders of jobs are.")
        found = [self.job(about.parent) for about in Path(folder).glob(f"*/{ABOUT}")]
        return sorted(found, key=lambda job: (job.created, job.folder.name))

    def _sealed(
        self, prepared: Prepared, project_key: ProjectKey | None, progress: ProgressCallback | None
    ) -> tuple[AttestedWorker, SealedJob]:
        """The worker, attested, and the job for it."""
        note: ProgressCallback = progress or (lambda _: None)
        note(Progress(phase=Phase.CHECKING))
        attested = self.attest()
        note(Progress(phase=Phase.SEALING, rows=prepared.rows, bytes=0))
        return attested, self.seal(prepared, project_key=project_key)

    def _pool(self) -> "SyncFleetClient":
        """Made for each job: it keeps no connection between calls."""
        from cji_client.by_reference import pool_client  # noqa: PLC0415 - Azure's libraries are slow to load

        return pool_client(self.profile, self._trust, credential=self._credential, retry=self._retry)

    def run_sealed(
        self,
        job: SealedJob,
        prepared: Prepared,
        *,
        attested: AttestedWorker,
        deadline: float | None = None,
        max_result_bytes: int | None = None,
        progress: ProgressCallback | None = None,
        cancellation: Cancellation | None = None,
        standing: Standing | None = None,
        store: "Store | None" = None,
    ) -> OpenedResult:
        """Run a job that `seal` made of these records, on the worker that was attested. As `run`.

        `standing` is moved forward as the job is sent and its receipt comes; `store` keeps what comes, by default
        memory and files without names.
        """
        sealed = self._client.run(
            job,
            prepared.inputs,
            attested=attested,
            deadline=prepared.spec.deadline_seconds if deadline is None else deadline,
            max_result_bytes=max_result_bytes,
            progress=progress,
            cancellation=cancellation,
            standing=standing,
            store=store,
        )
        return self._opened(sealed, progress)

    def send(
        self,
        job: JobFolder,
        *,
        deadline: float,
        attested: AttestedWorker | None = None,
        max_result_bytes: int | None = None,
        progress: ProgressCallback | None = None,
        cancellation: Cancellation | None = None,
        standing: Standing | None = None,
        store: "Store | None" = None,
    ) -> OpenedResult:
        """Run a job that was sealed into a folder, perhaps on another machine; `deadline` in seconds.

        `standing` and `store` are as in `run_sealed`.
        """
        known = standing or Standing()
        with known.explaining():
            attested = attested or self.attest()
        sealed = self._client.send(
            job,
            attested=attested,
            deadline=deadline,
            max_result_bytes=max_result_bytes,
            progress=progress,
            cancellation=cancellation,
            standing=known,
            store=store,
        )
        return self._opened(sealed, progress)

    def _opened(self, sealed: Result, progress: ProgressCallback | None = None) -> OpenedResult:
        """With the keys and the archive of the profile."""
        archive = self.profile.archive(self._trust)
        return OpenedResult(sealed=replace(sealed, archive=archive), decrypter=self._opener, progress=progress)

    def _opener(self) -> Decrypter | None:
        return self.decrypter


def connect(
    profile: FileName | ClientProfile,
    *,
    trusts: Iterable[Trust] = (AZURE_US, AZURE_USGOV),
    signer: Signer | None = None,
    decrypter: Decrypter | None = None,
    passphrase: Passphrase | None = None,
    token: TokenSource | None = None,
    credential: "TokenCredential | None" = None,
    retry: RetryPolicy | None = None,
) -> Connection:
    """The worker that a profile names. Nothing is sent yet.

        with connect("client.toml") as worker:
            with worker.run(frame, "job.toml") as result:
                print(result.pandas())

    `profile` is the name of a client.toml, or what `load_profile` made of one: the worker's address, your certificate
    and keys, and the machine that you accept (docs/job.md; the tutorial has one to try). `run` reads and
    checks the records, has the worker prove what it is, seals the records to its key, sends them, and returns the
    result once its receipt has been verified. `submit` does the same in the background. One connection serves any
    number of threads until it is closed; make it after a fork, never before (docs/how-to/in-a-web-backend.md).

    * SpecError: the profile, the spec or the records cannot be used; nothing was sent.
    * Unverified: the worker or its answer failed a check; do not use it.
    * WorkerRefused, Unreachable: the worker has a Reason, or gave no answer; `retryable` states whether later may help.

    Each error has a `remedy`. The profile's `cloud` selects one of `trusts`. `signer`, `decrypter` and `retry` replace
    those of the profile; `passphrase` is called for an encrypted key file unless CJI_PASSPHRASE_FILE names a file with
    it, and `token` for an access token before each call about a job. `credential` makes tokens for the storage of jobs
    by reference, in place of the one that Microsoft's SDK finds.
    """
    found = profile if isinstance(profile, ClientProfile) else load_profile(profile)
    known = {trust.name: trust for trust in trusts}
    if found.cloud not in known:
        raise SpecError(
            f'cloud = "{found.cloud}" is unknown',
            remedy=f"Use one of {', '.join(known)} in the profile, or pass its trust in `trusts`.",
        )
    return Connection(
        found,
        trust=known[found.cloud],
        signer=signer,
        decrypter=decrypter,
        passphrase=passphrase,
        token=token,
        credential=credential,
        retry=retry,
    )
