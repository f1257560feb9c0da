"""The keyholder's main thread: one loop over the fronts, the zygote and the clock."""

import asyncio
import contextlib
import time

from cji_attestation.release import Attestation
from cji_core.errors import Refusal
from cji_core.format.configuration.worker import Config
from cji_core.format.job import Policy
from cji_core.log import log
from cji_core.operations.tables import Tables
from cji_core.strict import b64url
from cji_core.trail import DocumentRecorded, WorkerStopped
from cji_worker.ipc import Channel, ChannelClosed, KeySlot
from cji_worker.ipc.beats import BEAT_S, STALE_S
from cji_worker.ipc.messages import (
    AbandonReload,
    Abort,
    Admit,
    Attest,
    Beat,
    CellGone,
    CellReady,
    CommitPolicy,
    EverywhereInForce,
    FetchReceipt,
    GiveUp,
    HostConditions,
    Identities,
    JobsWait,
    KeyholderFromSupervisor,
    KeyholderFromZygote,
    KeyholderReport,
    PreparePolicy,
    RecordDocument,
    RecordedDocument,
    ReferenceWiped,
    RefusedCalls,
    Renew,
    Settle,
    Silent,
    StatementData,
    StatementsDone,
    SupervisorFromKeyholder,
    Touch,
    Witnessed,
    WitnessedStreams,
    ZygoteFromKeyholder,
)
from cji_worker.keyholder.admission import AdmissionControl
from cji_worker.keyholder.admissions import Admissions
from cji_worker.keyholder.anchor import Anchor
from cji_worker.keyholder.answers import EvidenceAnswers, StoredReceipts
from cji_worker.keyholder.bundle_in_force import BundleInForce
from cji_worker.keyholder.by_reference import ByReference, Pool, came_by_reference
from cji_worker.keyholder.cells import Cells
from cji_worker.keyholder.checkpoints import Checkpoints
from cji_worker.keyholder.custody import Custody
from cji_worker.keyholder.delivery import DeliveryWatch
from cji_worker.keyholder.effects import Effects
from cji_worker.keyholder.entra import SecondIdentity
from cji_worker.keyholder.finishing import Finishes
from cji_worker.keyholder.floors import Floors
from cji_worker.keyholder.fronts import Fronts
from cji_worker.keyholder.holdings import Dropped, HeldKey, NotReleased
from cji_worker.keyholder.host import HostState
from cji_worker.keyholder.jobs import Jobs
from cji_worker.keyholder.ledger_keys import LedgerKeys
from cji_worker.keyholder.lifecycle import Done
from cji_worker.keyholder.policy import PolicyInForce, PolicyReload
from cji_worker.keyholder.pool_exchanges import Entrant, PoolExchanges
from cji_worker.keyholder.pool_ledger import PoolLedger
from cji_worker.keyholder.readiness import Readiness, report
from cji_worker.keyholder.receipts import ReceiptSigner
from cji_worker.keyholder.references import References
from cji_worker.keyholder.refusals import Refusals
from cji_worker.keyholder.settlement import LAST, Settlements
from cji_worker.trail.file import AuditFile


class Keyholder:
    """Composes the parts of the keyholder and hands each message to one of them."""

    def __init__(
        self,
        *,
        config: Config,
        policy: PolicyInForce,
        bundle: BundleInForce,
        tables: Tables,
        audit: AuditFile,
        anchor: Anchor,
        checkpoints: Checkpoints,
        custody: Custody,
        signer: ReceiptSigner,
        second: SecondIdentity,
        host: HostState,
        delivery: DeliveryWatch,
        supervisor: Channel[KeyholderFromSupervisor, SupervisorFromKeyholder],
        fronts: Fronts,
        zygote: Channel[KeyholderFromZygote, ZygoteFromKeyholder],
        key_slots: list[KeySlot],
        pool: PoolLedger | None = None,
    ) -> None:
        self._audit, self._anchor, self._checkpoints = audit, anchor, checkpoints
        self._custody, self._signer, self._host = custody, signer, host
        self._fronts, self._zygote, self._supervisor = fronts, zygote, supervisor
        self._policy, self._second, self._delivery = policy, second, delivery
        self._bundle, self._floors = bundle, self._make_floors(pool, config, bundle)
        custody.bundle = None if bundle.now is None else bundle.now.name
        self._touching = self._settled = self._told_waiting = False
        self._cells, self._loop = Cells(key_slots), asyncio.get_running_loop()
        self._admissions = Admissions(signer.thumbprint)
        self._references = References(config.references, audit=audit, zygote=zygote, is_held=custody.is_held)
        self._effects = self._make_effects(config.worker.id)
        self._refusals = Refusals(policy, lambda event: isinstance(self._effects.write(event), Done))
        self._ledger_keys = LedgerKeys(key.kek_id for key in config.keys)
        self._pool = self._make_pool(pool, config)
        self._by_reference = self._make_by_reference(config.worker.audience)
        self._evidence = EvidenceAnswers(
            custody=custody, signer=signer, effects=self._effects, fronts=fronts, admissions=self._admissions
        )
        self._finishes = Finishes(effects=self._effects, signer=signer, custody=custody, settlements=self._settlements)
        self._jobs = self._make_jobs(config, tables)
        self._receipts = self._make_receipts()
        self._reload = PolicyReload(
            config, policy, bundle, audit, changed=self._policy_changed, required=custody.require
        )
        second.follow(policy.now)
        fronts.broadcast(Identities(sha256=policy.now.identities))
        self._readiness = self._make_readiness(pool)

    @property
    def _settlements(self) -> Settlements | None:
        return None if self._pool is None else self._pool.settlements

    def _make_readiness(self, pool: PoolLedger | None) -> Readiness:
        return Readiness(
            self._audit,
            self._anchor,
            custody=self._custody,
            cells=self._cells,
            host=self._host,
            delivery=self._delivery,
            fronts=self._fronts,
            pool=pool,
            floors=self._floors,
        )

    @staticmethod
    def _make_floors(pool: PoolLedger | None, config: Config, bundle: BundleInForce) -> Floors | None:
        if pool is None or config.ledger is None or config.ledger.floors is None or bundle.now is None:
            return None
        return Floors(pool, bundle, pool_name=config.worker.audience)

    def _make_effects(self, worker_id: str) -> Effects:
        return Effects(
            worker_id=worker_id,
            audit=self._audit,
            custody=self._custody,
            signer=self._signer,
            references=self._references,
            fronts=self._fronts,
            zygote=self._zygote,
            admissions=self._admissions,
        )

    def _make_receipts(self) -> StoredReceipts:
        return StoredReceipts(
            policy=self._policy,
            second=self._second,
            audit=self._audit,
            effects=self._effects,
            refusals=self._refusals,
            jobs=self._jobs,
            pool=self._pool,
        )

    def _make_pool(self, pool: PoolLedger | None, config: Config) -> Pool | None:
        if pool is None or config.ledger is None:
            return None
        entrant = Entrant(trail=self._audit.identity, receipt_key=b64url(self._signer.thumbprint))
        exchanges = PoolExchanges(pool, self._ledger_keys, entrant, tries=config.ledger.tries, floors=self._floors)
        return Pool(exchanges=exchanges, settlements=Settlements(exchanges, entrant.trail, self._audit.record))

    def _make_jobs(self, config: Config, tables: Tables) -> Jobs:
        return Jobs(
            config=config,
            policy=self._policy,
            audit=self._audit,
            admission=AdmissionControl(
                audience=config.worker.audience,
                policy=self._policy,
                audit=self._audit,
                tables=tables,
                second=self._second,
                admissions=self._admissions,
            ),
            custody=self._custody,
            cells=self._cells,
            references=self._references,
            host=self._host,
            delivery=self._delivery,
            effects=self._effects,
            refusals=self._refusals,
            finishes=self._finishes,
            pool=None if self._pool is None else self._pool.exchanges,
            settlements=self._settlements,
        )

    def _make_by_reference(self, audience: str) -> ByReference:
        return ByReference(
            audience=audience,
            policy=self._policy,
            audit=self._audit,
            signer=self._signer,
            custody=self._custody,
            send=self._effects.send,
            refuse=self._effects.refuse,
            write=self._audit.record,
            pool=self._pool,
        )

    async def serve(self) -> None:
        """Serve until every front has drained, or any peer hangs up. Raises StartupError if the trail cannot go on."""
        fronts = {asyncio.create_task(self._serve_front(number)) for number in range(len(self._fronts))}
        services = (self._serve_zygote(), self._serve_supervisor(), self._serve_trail(), self._watch())
        tasks = fronts | {asyncio.create_task(service) for service in services}
        try:
            drained = set[asyncio.Task[None]]()
            hung_up = False
            while drained < fronts and not hung_up:
                done, _ = await asyncio.wait(tasks - drained, return_when=asyncio.FIRST_COMPLETED)
                hung_up = any(isinstance(task.exception(), ChannelClosed) for task in done)
                for task in done:
                    with contextlib.suppress(ChannelClosed):
                        task.result()
                drained |= done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._jobs.end_all()
            self._refusals.flush(at_once=True)
            self._by_reference.flush(at_once=True)
            for event in self._custody.stop():
                self._readiness.note(event)
            self._audit.record(WorkerStopped(jobs_completed=self._effects.tally.jobs_completed))
            self._checkpoints.finish()
            self._anchor.finish()

    def holdings_changed(self) -> None:
        """Called from the custody thread."""
        self._loop.call_soon_threadsafe(self._follow_holdings)

    async def _watch(self) -> None:
        last = time.monotonic()
        while True:
            self._audit.maintain()
            self._checkpoints.follow()
            self._anchor.follow()
            self._delivery.follow()
            self._supervisor.offer(Beat())
            self._supervisor.offer(self._report())
            await asyncio.sleep(BEAT_S)
            if (now := time.monotonic()) - last > STALE_S:
                self._custody.confirm()
            last = now
            self._follow_holdings()
            if self._floors is not None:
                self._floors.follow()
            self._refusals.flush()
            self._by_reference.flush()

    def _follow_holdings(self) -> None:
        """End the jobs whose key was revoked or denied, and what was retained under a key that is gone."""
        with contextlib.suppress(ChannelClosed):  # as a callback it has no caller; `serve` notices the end of a peer
            for event in self._custody.events():
                self._readiness.note(event)
                if isinstance(event, HeldKey):
                    self._ledger_keys.learn(event.released.kek_id, event.private)
                    self._settle_last()
                if isinstance(event, Attestation) and not self._touching:
                    self._touching = True
                    self._zygote.send(Touch())
                if isinstance(event, Dropped | NotReleased) and event.ends_jobs:
                    self._jobs.end_of_key(event.kek_id, event.reason)
                if isinstance(event, Dropped):
                    self._references.end_of_key(event.kek_id)
            self._references.sweep()
            self._report_readiness()

    def _settle_last(self) -> None:
        """Settle the last receipts of the trail, once this process can check the ledger's entries."""
        if self._pool is None or self._settled:
            return
        self._settled = True
        with contextlib.suppress(Refusal):
            for done in self._audit.last_completions(LAST):
                if not came_by_reference(done):
                    self._pool.settlements.again(done)

    def _tell_zygote(self) -> None:
        """Whether jobs wait, when that changed."""
        if (waiting := self._jobs.waiting > 0) != self._told_waiting:
            self._told_waiting = waiting
            with contextlib.suppress(ChannelClosed):  # the keyholder ends with the zygote, where it reads from it
                self._zygote.send(JobsWait(waiting=waiting))

    async def _serve_front(self, number: int) -> None:
        while (message := await self._fronts.receive(number)) is not None:
            match message:
                case Admit():
                    self._jobs.admit(message)
                case WitnessedStreams() | Witnessed():
                    self._jobs.witnessed(message)
                case StatementData() | StatementsDone():
                    self._finishes.take(message)
                case Abort(call=call, reason=reason, stage=stage):
                    self._jobs.abort(call, Refusal(reason, stage=stage))
                case FetchReceipt():
                    self._receipts.fetch(message)
                case Settle():
                    self._by_reference.settle(message)
                case GiveUp():
                    self._by_reference.give_up(message)
                case RefusedCalls():
                    self._refusals.calls(message)
                case Attest():
                    self._evidence.attest(message)
            self._tell_zygote()

    async def _serve_zygote(self) -> None:
        while True:
            message, fds = await self._zygote.receive_async()
            match message:
                case CellReady(cell=number, cell_slot=cell_slot):
                    self._cells.add(number, cell_slot=cell_slot, fds=fds)
                    log("cell ready", cell=number)
                    self._jobs.dispatch()
                case CellGone(cell=number, status=status):
                    self._cells.remove(number)
                    self._references.cell_gone(number)
                    log("cell gone", cell=number, status=status)
                case ReferenceWiped(slot=slot):
                    self._references.wiped(slot)
            self._tell_zygote()
            self._report_readiness()

    async def _serve_trail(self) -> None:
        """Go on with jobs whose lines are on disk or lost."""
        decided = asyncio.Event()
        self._audit.attach(
            decided.set,
            lambda: self._loop.call_soon_threadsafe(decided.set),
            alone=lambda: self._jobs.running + self._jobs.waiting <= 1,
        )
        while True:
            await decided.wait()
            decided.clear()
            self._audit.follow()

    async def _serve_supervisor(self) -> None:
        while True:
            message, fds = await self._supervisor.receive_async()
            match message:
                case HostConditions(report=report):
                    self._host.take(report)
                    self._report_readiness()
                case Silent(processes=processes):
                    self._readiness.zygote_silent = "zygote" in processes
                    self._report_readiness()
                case PreparePolicy():
                    self._supervisor.send(self._reload.prepare(message, fds[0]))
                case CommitPolicy():
                    self._supervisor.send(self._reload.commit(message))
                case EverywhereInForce():
                    self._custody.bundle = None if self._bundle.now is None else self._bundle.now.name
                case AbandonReload():
                    self._reload.abandon(message)
                case Renew():
                    self._custody.renew()
                case RecordDocument():
                    self._supervisor.send(self._record(message))

    def _record(self, message: RecordDocument) -> RecordedDocument:
        """The line with the digest of a document."""
        event = DocumentRecorded(document=message.document, sha384=message.sha384.hex(), uid=message.uid)
        try:
            return RecordedDocument(line=self._audit.append(event).seq)
        except Refusal:
            return RecordedDocument(line=None)

    def _policy_changed(self, before: Policy) -> None:
        """Callers first, then jobs, then what their submitters left here."""
        after = self._policy.now
        self._second.follow(after)
        self._fronts.broadcast(Identities(sha256=after.identities))
        self._jobs.end_unauthorised()
        self._references.end_of_submitters(before.removed_in(after))

    def _report_readiness(self) -> None:
        """Report to fronts and trail; if it changed, to the operator at once, before the next beat."""
        if self._readiness.report():
            self._supervisor.offer(self._report())

    def _report(self) -> KeyholderReport:
        return report(
            readiness=self._readiness,
            host=self._host,
            custody=self._custody,
            cells=self._cells,
            jobs=self._jobs,
            counts=self._effects.tally.counts(),
            policy=self._policy.now,
            bundle=self._bundle.now,
            keys_opened=self._effects.keys_opened,
            audit=self._audit,
            anchor=self._anchor.value,
            delivery=self._delivery,
        )
