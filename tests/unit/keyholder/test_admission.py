"""Admission: ten checks in a fixed order; the first that fails decides, and no key is opened before all passed."""

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cji_attestation import AZURE_US
from cji_core.errors import Denied, DeniedBy, Reason, Refusal, RetryLater, Stage
from cji_core.format.envelope import (
    ATTRIBUTION,
    UnwrappingKey,
    keywrap,
    new_dek,
    seal_box,
    sign_header,
    wrap_dek,
    wrap_project_key,
)
from cji_core.format.job import Attribution, InputPart, Policy, Recipient, new_header, new_job_id, parse
from cji_core.jose import key_id, public_jwk, thumbprint
from cji_core.operations.registry import OPERATIONS
from cji_core.operations.registry import plan as planned
from cji_core.operations.screen import Screen
from cji_core.operations.stages.streams import TaskStreams
from cji_core.pairs import DecryptionPair, SigningPair
from cji_core.suites import Suite
from cji_core.trail import Attributed, Event, JobAdmitted, TrailResumed
from cji_core.wire.v1 import worker_pb2 as pb
from cji_worker.ipc.messages import Admit, FinishOrder, TaskOrder
from cji_worker.keyholder.admission import AdmissionControl, check_opened, open_keys
from cji_worker.keyholder.admissions import Admissions
from cji_worker.keyholder.admitted_job import Admission, Opened, Proven
from cji_worker.keyholder.entra import KeySets, SecondIdentity, TokenRefused
from cji_worker.keyholder.events import job_cut_short
from cji_worker.keyholder.holdings import HeldKey, Holdings
from cji_worker.keyholder.policy import PolicyInForce
from cji_worker.trail.file import AuditFile
from tests.support.admissions import RECEIPT_KEY, proof
from tests.support.audit_events import task_admitted
from tests.support.connections import TRANSPORT
from tests.support.contexts import TABLES
from tests.support.policies import AGREEMENT, ALL_CLASSES, agency, policy_file, purpose, rule, submitter
from tests.support.refusals import refused
from tests.support.rsa_keys import rsa_key
from tests.support.task_statements import plan_of
from tests.support.trails import attested

CMK = rsa_key(0, 3072)
RECIPIENT = rsa_key(1, 3072).public_key()
SIGNING = ec.generate_private_key(ec.SECP384R1())
KEK = "https://vault.example/keys/cji/" + "a" * 32
OTHER = KEK[:-1] + "b"
SAN = "spiffe://example/agency"
SECOND = SecondIdentity(audience=None, keys=KeySets(AZURE_US))
ADMISSIONS = Admissions(RECEIPT_KEY)
BOX_CIPHER = keywrap._box_cipher
DEK, PROJECT_KEY = os.urandom(32), os.urandom(32)
NOW = datetime.now(UTC).replace(microsecond=0)
RULE = rule(
    [key_id(RECIPIENT)],
    data_classes=["biographic", "control number"],
    secondary_recipients=["Board"],
    limits={"rows": 50, "bytes": 1 << 20},
)
AGENCY = agency("GA0600000", purpose("C", RULE), jobs_per_day=3)
POLICY = Policy.load(policy_file(submitter("agency", SIGNING.public_key(), AGENCY, san=SAN)))


def held(private: Any = CMK, *, seconds: float = 3600) -> HeldKey:
    nothing: Any = SimpleNamespace()
    key = UnwrappingKey(private)
    return HeldKey(released=nothing, private=key, attestation=nothing, until=time.monotonic() + seconds)


HELD = held()


class Unopened:
    """A private key that must not be asked for anything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} of the private key was used")


BY = Attribution(operator_id="op", requestor="r", reason="test")


def header(*, keyed: bool = True, dek: bytes = DEK, project_key: bytes = PROJECT_KEY, **changes: Any) -> bytes:
    """A job whose boxes are sealed under `dek`."""
    token = pb.ColumnRule(column="SOC", hmac_token=pb.HmacToken(domain="soc", bits=128))
    kept = pb.ColumnRule(column="SOC", keep=pb.Keep())
    wrapped = wrap_project_key(dek, "p1", project_key) if keyed else b""
    values: dict[str, Any] = {
        "job_id": new_job_id(),
        "audience": "pool",
        "originating_ori": "GA0600000",
        "requesting_ori": "GA0600000",
        "sealed_attribution": seal_box(dek, ATTRIBUTION, BY.encode()),
        "submitter": thumbprint(SIGNING.public_key()),
        "purpose_code": "C",
        "inputs": [InputPart(name="records", schema="person/1")],
        "operations": [
            pb.Operation(
                deidentify=pb.Deidentify(
                    project="p1" if keyed else "", wrapped_project_key=wrapped, columns=[token if keyed else kept]
                )
            )
        ],
        "kek_id": KEK,
        "wrapped_dek": wrap_dek(CMK.public_key(), dek),
        "recipients": [Recipient(key_id=key_id(RECIPIENT), jwk=public_jwk(RECIPIENT))],
        "created": NOW,
        "not_after": NOW + timedelta(hours=1),
        **changes,
    }
    return new_header(**values)


def admit(
    data: bytes,
    *,
    signature: bytes | None = None,
    san: str = SAN,
    holdings: Holdings | None = None,
    earlier: Sequence[Event] = (),
    clocks: Sequence[datetime] = (),
    disk_fails: bool = False,
    task: TaskOrder | None = None,
    finish: FinishOrder | None = None,
    key: SigningPair | None = None,
    attempt: int = 1,
    proven: bool = True,
    now: datetime = NOW,
    policy: Policy | None = None,
    known: Proven | None = None,
) -> Admission:
    """The checks; `earlier` is in the audit trail, at the times of `clocks` as far as there are any."""
    request = Admit(
        call=1,
        submitter=san,
        source="127.0.0.1:5000",
        transport=TRANSPORT,
        correlation_id="c",
        header=data,
        signature=sign_header(SIGNING, data) if signature is None else signature,
        task=task,
        finish=finish,
        attempt=None if task is None and finish is None else bytes(16),
        admission=proof(
            ADMISSIONS,
            data,
            SIGNING if key is None else key,
            suite=Suite.CLASSICAL_1 if key is None else HYBRID,
            attempt=attempt,
        )
        if proven
        else None,
    )
    times = iter((*clocks, *[NOW] * len(earlier)))
    clock = partial(next, times, NOW)
    with TemporaryDirectory() as folder, AuditFile(Path(folder) / "audit", worker="w", clock=clock) as audit:
        for event in earlier:
            audit.append(event)
        control = AdmissionControl(
            audience="pool",
            policy=PolicyInForce(policy or POLICY),
            audit=audit,
            tables=TABLES,
            second=SECOND,
            admissions=ADMISSIONS,
        )
        if disk_fails:
            audit.close()
        held = holdings or Holdings(keys={KEK: HELD})
        return control.check(request, control.parse(request), holdings=held, now=now, proven=known)


def refusal(data: bytes, **options: Any) -> Reason:
    with refused(stage=Stage.ADMIT) as caught:
        admit(data, **options)
    return caught.value.reason


def test_a_sound_job_is_admitted_with_the_keys_that_were_wrapped() -> None:
    assert open_keys(admit(header())) == Opened(keys=[DEK, PROJECT_KEY], attribution=BY)


def test_no_project_key_is_opened_where_none_is_needed() -> None:
    assert open_keys(admit(header(keyed=False))) == Opened(keys=[DEK], attribution=BY)


def admitted_before(job_id: bytes) -> JobAdmitted:
    """An earlier job with this id and another header."""
    return JobAdmitted(
        job_id=job_id.hex(),
        header_sha384="00" * 48,
        not_after="2026-11-24T15:00:00.00Z",
        submitter="agency",
        source="127.0.0.1:5000",
        originating_ori="GA0600000",
        requesting_ori="GA0600000",
        attribution=Attributed(operator_id="op", requestor="r", secondary_recipient=""),
        suite=Suite.CLASSICAL_1,
        purpose_code="C",
        operations=("deidentify",),
        recipients=(key_id(RECIPIENT),),
        kek_id=KEK,
        policy_sha384="00" * 48,
    )


def test_another_attempt_takes_no_job_of_the_day() -> None:
    data = header()
    mine = msgspec.structs.replace(admitted_before(parse(data).job_id), header_sha384=parse(data).sha384.hex())
    earlier = [*(admitted_before(new_job_id()) for _ in range(2)), mine, job_cut_short(mine)]
    assert refusal(header(), earlier=earlier) is Reason.POLICY_DENIED
    assert admit(data, earlier=earlier, attempt=2, now=NOW + timedelta(seconds=1))
    assert refusal(data, earlier=earlier, attempt=1) is Reason.ADMISSION_ATTEMPT


def test_an_admission_is_required_of_a_connection() -> None:
    assert refusal(header(), attempt=2) is Reason.ADMISSION_ATTEMPT
    assert refusal(header(), proven=False) is Reason.ADMISSION_SIGNATURE


def test_what_was_proven_counts_until_the_policy_is_loaded_again() -> None:
    """A request that waited is not verified a second time; every other check looks at the present."""
    data, nobody = header(), bytes(96)
    known = admit(data).proven
    assert admit(data, signature=nobody, known=known).plan is known.plan if known else None
    again = Policy.load(policy_file(submitter("agency", SIGNING.public_key(), AGENCY, san=SAN)))
    assert refusal(data, signature=nobody, known=known, policy=again) is Reason.HEADER_SIGNATURE_INVALID
    assert refusal(data, known=known, now=NOW + timedelta(hours=2)) is Reason.EXPIRED
    assert refusal(data, known=known, attempt=2) is Reason.ADMISSION_ATTEMPT


def test_the_first_check_that_fails_decides() -> None:
    """One job that is wrong in everything, put right one thing after the other."""
    bad: dict[str, Any] = {
        "audience": "another",
        "created": NOW - timedelta(days=2),
        "not_after": NOW - timedelta(days=1),
        "purpose_code": "F",
        "operations": [pb.Operation(deidentify=pb.Deidentify())],
        "inputs": [InputPart(name="records", schema="x/1")],
        "kek_id": KEK[:-1] + "b",
    }
    job_id = new_job_id()
    wrong: dict[str, Any] = {
        "signature": bytes(96),
        "san": "spiffe://example/nobody",
        "holdings": Holdings(),
        "disk_fails": True,
        "earlier": [admitted_before(job_id)],
    }
    order: list[tuple[list[str], Reason]] = [
        ([], Reason.AUDIENCE_MISMATCH),
        (["audience"], Reason.EXPIRED),
        (["created", "not_after"], Reason.POLICY_DENIED),  # nobody has no signing key
        (["san"], Reason.HEADER_SIGNATURE_INVALID),
        (["signature"], Reason.SCHEMA_MISMATCH),  # the policy cannot decide about data of an unknown class
        (["inputs"], Reason.POLICY_DENIED),
        (["purpose_code"], Reason.BAD_PARAMETERS),
        (["operations"], Reason.NOT_READY),
        (["holdings"], Reason.UNKNOWN_KEY),
        (["kek_id"], Reason.AUDIT_UNAVAILABLE),
        (["disk_fails"], Reason.REPLAYED),
    ]
    for fixed, reason in order:
        for name in fixed:
            bad.pop(name, None)
            wrong.pop(name, None)
        assert refusal(header(job_id=job_id, **bad), **wrong) is reason
    admit(header(**bad), **wrong)


@pytest.mark.parametrize("count", [2, 16])
def test_several_inputs_are_refused(count: int) -> None:
    parts = [InputPart(name=f"p{i}", schema="person/1") for i in range(count)]
    assert refusal(header(inputs=parts)) is Reason.BAD_PARAMETERS


def test_a_header_of_another_submitter_is_refused() -> None:
    """Captured bytes that another authorised submitter signs are no job of theirs."""
    captured = header(submitter=thumbprint(PAIR.public_key()))
    with refused(Reason.SUBMITTER_MISMATCH, stage=Stage.ADMIT):
        admit(captured)


def test_checking_touches_no_private_key() -> None:
    admitted = admit(header(), holdings=Holdings(keys={KEK: held(Unopened())}))
    with pytest.raises(AssertionError, match="private key was used"):
        open_keys(admitted)


def test_f05_freshness_is_looked_at_when_the_key_is_used() -> None:
    """Holdings that were fresh when they came are not for ever."""
    assert admit(header(), holdings=Holdings(keys={KEK: HELD}))
    assert refusal(header(), holdings=Holdings(keys={KEK: held(seconds=0)})) is Reason.NOT_READY
    other = {OTHER: HELD, KEK: held(seconds=0)}
    assert refusal(header(), holdings=Holdings(keys=other)) is Reason.NOT_READY


def test_nothing_is_usable_until_the_machine_is_confirmed() -> None:
    attestation: Any = SimpleNamespace()
    facts: dict[str, Any] = {"attestation": attestation, "keys": {KEK: HELD}, "reason": Reason.ATTESTATION_REJECTED}
    now = time.monotonic()
    for confirmed, until, fresh in ((True, now + 60, True), (True, now - 1, False), (False, now + 60, False)):
        holdings = Holdings(**facts, confirmed=confirmed, until=until)
        assert holdings.evidence() is (attestation if fresh else None)
        assert holdings.why() is (Reason.NOT_READY if fresh else Reason.ATTESTATION_REJECTED)
        assert dict(holdings.usable()) == ({KEK: HELD} if confirmed else {})
    assert refusal(header(), holdings=Holdings(**facts, confirmed=False)) is Reason.ATTESTATION_REJECTED


def test_only_the_key_that_is_not_held_is_refused() -> None:
    denied = {KEK: Reason.KEY_RELEASE_DENIED}
    holdings = Holdings(keys={OTHER: HELD}, missing=denied)
    assert refusal(header(), holdings=holdings) is Reason.KEY_RELEASE_DENIED
    assert admit(header(kek_id=OTHER), holdings=holdings)
    assert refusal(header(kek_id=KEK[:-1] + "2"), holdings=holdings) is Reason.UNKNOWN_KEY


def test_a_verdict_against_the_machine_is_what_jobs_are_told() -> None:
    assert refusal(header(), holdings=Holdings(reason=Reason.KEY_RELEASE_DENIED)) is Reason.KEY_RELEASE_DENIED


@pytest.mark.parametrize(
    "change",
    [
        {"wrapped_dek": os.urandom(384)},
        {"wrapped_dek": wrap_dek(RECIPIENT, DEK)},
        {"wrapped_dek": wrap_dek(CMK.public_key(), PROJECT_KEY)},
        {"sealed_attribution": os.urandom(284)},
        {"sealed_attribution": seal_box(PROJECT_KEY, ATTRIBUTION, BY.encode())},
        {"sealed_attribution": seal_box(DEK, b"another", BY.encode())},
    ],
    ids=["noise", "to another key", "another key", "noise in the box", "box of another job", "box of another purpose"],
)
def test_k07_a_data_key_that_does_not_open(change: dict[str, Any]) -> None:
    with refused(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT):
        open_keys(admit(header(**change)))


class Counting:
    """A private key that counts the operations in which it had a number below its modulus to work on."""

    def __init__(self) -> None:
        self.operations = 0

    def decrypt(self, wrapped: bytes, scheme: Any) -> bytes:
        assert len(wrapped) == 384
        assert int.from_bytes(wrapped, "big") < CMK.public_key().public_numbers().n
        self.operations += 1
        return CMK.decrypt(wrapped, scheme)

    def __getattr__(self, name: str) -> Any:
        return getattr(CMK, name)


@pytest.mark.parametrize(
    "wrapped",
    [os.urandom(256), os.urandom(383), os.urandom(1024), b"\xff" * 384, bytes(384), wrap_dek(RECIPIENT, DEK)],
    ids=["short", "a byte short", "long", "above the modulus", "zero", "to another key"],
)
def test_every_unwrap_that_fails_costs_the_same(wrapped: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many private operations and opened boxes as for the keys of a sound job, whichever of them is wrong."""
    for data in (header(wrapped_dek=wrapped), header(), header(wrapped_dek=wrap_dek(CMK.public_key(), PROJECT_KEY))):
        key, boxes = Counting(), list[bytes]()

        def counted(*given: bytes, boxes: list[bytes] = boxes) -> AESGCM:
            boxes.append(given[1])
            return BOX_CIPHER(*given)

        monkeypatch.setattr(keywrap, "_box_cipher", counted)
        with contextlib.suppress(Refusal):
            open_keys(admit(data, holdings=Holdings(keys={KEK: held(key)})))
        assert (key.operations, len(boxes)) == (1, 2)


def test_failed_unwraps_of_a_submitter_are_limited() -> None:
    now = 0.0
    request = Admit(
        call=1,
        submitter=SAN,
        source="s",
        transport=TRANSPORT,
        correlation_id="c",
        header=(data := header()),
        signature=sign_header(SIGNING, data),
        admission=proof(ADMISSIONS, data, SIGNING),
    )
    holdings = Holdings(keys={KEK: HELD})
    with TemporaryDirectory() as folder, AuditFile(Path(folder) / "audit", worker="w", clock=lambda: NOW) as audit:
        control = AdmissionControl(
            audience="pool",
            policy=PolicyInForce(POLICY),
            audit=audit,
            tables=TABLES,
            second=SECOND,
            admissions=ADMISSIONS,
            clock=lambda: now,
        )
        for _ in range(10):
            control.check(request, control.parse(request), holdings=holdings, now=NOW)
            control.unwrap_failed("agency")
        with refused(Reason.OVERLOADED, stage=Stage.ADMIT) as caught:
            control.check(request, control.parse(request), holdings=holdings, now=NOW)
        assert isinstance(caught.value, RetryLater)
        now += caught.value.after_ms / 1000
        control.check(request, control.parse(request), holdings=holdings, now=NOW)


def test_a_project_key_that_does_not_open_is_refused() -> None:
    token = pb.ColumnRule(column="SOC", hmac_token=pb.HmacToken(domain="soc", bits=128))
    for wrapped in (wrap_project_key(PROJECT_KEY, "p1", PROJECT_KEY), wrap_project_key(DEK, "p2", PROJECT_KEY)):
        rules = pb.Deidentify(project="p1", wrapped_project_key=wrapped, columns=[token])
        with refused(Reason.DEK_UNWRAP_FAILED, stage=Stage.ADMIT):
            open_keys(admit(header(operations=[pb.Operation(deidentify=rules)])))


def test_a_header_from_before_a_resumption_is_refused() -> None:
    """Ids of jobs in the lines that are missing are not known."""
    resumed = TrailResumed(operator_id="jdoe", explanation="VM replaced")
    assert refusal(header(), earlier=[resumed, attested("A" * 43)]) is Reason.EXPIRED


def test_a_resumption_counts_from_the_next_attestation() -> None:
    """The operator's clock was an hour slow, so a header that was used before could be taken for a new one."""
    resumed, slow = TrailResumed(operator_id="jdoe", explanation="VM replaced"), NOW - timedelta(hours=1)
    assert refusal(header(), earlier=[resumed], clocks=[slow]) is Reason.NOT_READY
    assert refusal(header(), earlier=[resumed, attested("A" * 43)], clocks=[slow, NOW]) is Reason.EXPIRED


def test_no_job_is_admitted_while_the_trail_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_worker.trail.file.RESERVE_BYTES", 1 << 62)
    assert refusal(header()) is Reason.AUDIT_UNAVAILABLE


HYBRID = Suite.HYBRID_1
PAIR = SigningPair.generate()


def hybrid_job(key: UnwrappingKey) -> tuple[bytes, bytes]:
    """A job in hybrid-1 for this key, and its signature."""
    dek, wrapped = new_dek(key.public_key(), HYBRID)
    pair = DecryptionPair.generate().public_key()
    data = header(
        suite=HYBRID,
        submitter=thumbprint(PAIR.public_key()),
        wrapped_dek=wrapped,
        dek=dek,
        recipients=[Recipient(key_id=key_id(pair), jwk=public_jwk(pair))],
    )
    return data, sign_header(PAIR, data, HYBRID)


@pytest.mark.parametrize(
    ("suites", "has_half", "reason"),
    [
        (["classical-1"], True, Reason.SUITE_NOT_ACCEPTED),
        (["hybrid-1"], False, Reason.SUITE_NOT_ACCEPTED),
        (["hybrid-1"], True, None),
    ],
)
def test_a_suite_is_that_of_the_submitter_and_of_the_key(
    suites: list[str], has_half: bool, reason: Reason | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = UnwrappingKey(CMK, mlkem.MLKEM1024PrivateKey.generate())
    data, signature = hybrid_job(full)
    named = {"signing_key": public_jwk(PAIR.public_key()), "suites": suites}
    rules = {**RULE, "recipients": [each.key_id for each in parse(data).recipients]}
    theirs = submitter("agency", SIGNING.public_key(), agency("GA0600000", purpose("C", rules)), san=SAN, **named)
    monkeypatch.setitem(globals(), "POLICY", Policy.load(policy_file(theirs)))
    holdings = Holdings(keys={KEK: replace(HELD, private=full if has_half else UnwrappingKey(CMK))})
    if reason is None:
        assert admit(data, signature=signature, holdings=holdings, key=PAIR).header.suite is HYBRID
    else:
        assert refusal(data, signature=signature, holdings=holdings, key=PAIR) is reason


def test_the_first_task_of_a_job_counts_and_no_other() -> None:
    first = TaskOrder(plan=b"", stage="plan", task=0, streams=0)
    data, others = header(), [admitted_before(new_job_id()) for _ in range(2)]
    this = parse(data)
    task = msgspec.structs.replace(
        task_admitted(this.job_id, this.sha384, not_after=f"{NOW + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}.00Z"),
        submitter="agency",
        requesting_ori="GA0600000",
    )
    assert admit(data, earlier=[*others, task], task=first).task is not None
    streams = TaskStreams.of(planned(this.operations, this.input_schemas, TABLES), ["records"], shards=1)
    end = FinishOrder(plan=plan_of(this, streams.under({})).data)
    assert admit(data, earlier=[*others, task], finish=end).finish is not None
    whole = msgspec.structs.replace(
        admitted_before(this.job_id), header_sha384=this.sha384.hex(), not_after=task.not_after
    )
    failed = [whole, job_cut_short(whole)]
    assert admit(data, earlier=[*others, *failed], task=first).task is not None
    assert admit(data, earlier=[*others, *failed], finish=end).finish is not None
    assert admit(data, earlier=[*others, task]).task is None
    for job, order in ((header(), first), (header(), None)):
        assert denied_by(job, earlier=[*others, task], task=order) is DeniedBy.JOBS_PER_DAY
    assert denied_by(data, earlier=[*others, admitted_before(new_job_id())], task=first) is DeniedBy.JOBS_PER_DAY


def test_a_job_needs_the_token_of_the_policy_now_in_force() -> None:
    """It passed the checks while its submitter needed none."""
    entra = {"tenant": "a" * 8 + "-aaaa-4aaa-8aaa-" + "a" * 12, "client": "b" * 8 + "-bbbb-4bbb-8bbb-" + "b" * 12}
    theirs = submitter("agency", SIGNING.public_key(), AGENCY, san=SAN, entra={**entra, "roles": ["Run"]})
    admission = admit(header())
    authorise_again(admission, POLICY)
    with pytest.raises(TokenRefused) as caught:
        authorise_again(admission, Policy.load(policy_file(theirs)))
    assert caught.value.check == "missing"


def authorise_again(admission: Admission, policy: Policy) -> None:
    """Look once more at an admitted job, under a policy that came into force since."""
    data = admission.header.data
    request = Admit(
        call=1,
        submitter=SAN,
        source="s",
        transport=TRANSPORT,
        correlation_id="c",
        header=data,
        signature=sign_header(SIGNING, data),
    )
    with TemporaryDirectory() as folder, AuditFile(Path(folder) / "audit", worker="w", clock=lambda: NOW) as audit:
        control = AdmissionControl(
            audience="pool",
            policy=PolicyInForce(policy),
            audit=audit,
            tables=TABLES,
            second=SECOND,
            admissions=ADMISSIONS,
        )
        control.authorise_again(request, admission.header, admission.plan, None, now=NOW)


def test_e12_a_project_key_that_is_the_data_key_is_refused() -> None:
    with refused(Reason.DEK_UNWRAP_FAILED):
        open_keys(admit(header(project_key=DEK)))


def test_an_attribution_that_is_none_is_malformed() -> None:
    """Only who made the data key can send it, so the answer tells nobody anything."""
    with refused(Reason.MALFORMED_HEADER, stage=Stage.ADMIT):
        open_keys(admit(header(sealed_attribution=seal_box(DEK, ATTRIBUTION, bytes(256)))))


def test_held_keys_are_not_in_reprs() -> None:
    assert "RSAPrivateKey" not in repr(HELD)
    assert "RSAPrivateKey" not in repr(admit(header()))


# ------------------------------------------------------------------ the policy


def denied_by(data: bytes, **options: Any) -> DeniedBy:
    with pytest.raises(Denied) as caught:
        admit(data, holdings=UNTOUCHED, **options)
    assert caught.value.stage is Stage.ADMIT
    return caught.value.by


UNTOUCHED = Holdings(keys={KEK: held(Unopened())})
SCREENED = [OPERATIONS["screen"].message(Screen(preset="ncic_qw", resident_reference="00" * 32))]


def test_what_the_policy_denies_touches_no_key() -> None:
    other = rsa.generate_private_key(65537, 3072).public_key()
    hotfile = [InputPart(name="records", schema="hotfile/1")]
    for change, by in (
        ({"requesting_ori": "GA0330000"}, DeniedBy.REQUESTING_AGENCY),
        ({"originating_ori": "GA0330000"}, DeniedBy.ORIGINATING_AGENCY),
        ({"purpose_code": "F"}, DeniedBy.PURPOSE),
        ({"operations": SCREENED}, DeniedBy.OPERATION),
        ({"inputs": hotfile}, DeniedBy.DATA_CLASS),
        ({"recipients": [Recipient(key_id=key_id(other), jwk=public_jwk(other))]}, DeniedBy.RECIPIENT),
        ({"inputs": [InputPart(name="records", schema="person/1", rows_declared=51)]}, DeniedBy.ROWS),
    ):
        assert denied_by(header(**change)) is by
    admit(header(inputs=[InputPart(name="records", schema="person/1", rows_declared=50)]))


def test_an_agreement_that_has_ended_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = {**AGREEMENT, "until": NOW.date() - timedelta(days=1)}
    theirs = submitter("agency", SIGNING.public_key(), {**AGENCY, "agreement": ended}, san=SAN)
    monkeypatch.setitem(globals(), "POLICY", Policy.load(policy_file(theirs)))
    assert denied_by(header()) is DeniedBy.AGREEMENT


def test_a_resident_reference_counts_as_data_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records came with an earlier job, but it is they that the results are about."""
    persons = InputPart(name="records", schema="person/1")
    for classes, by in ((["biographic", "control number"], DeniedBy.DATA_CLASS), (ALL_CLASSES, None)):
        rules = rule([key_id(RECIPIENT)], "screen", data_classes=classes)
        theirs = submitter("agency", SIGNING.public_key(), agency("GA0600000", purpose("C", rules)), san=SAN)
        monkeypatch.setitem(globals(), "POLICY", Policy.load(policy_file(theirs)))
        job = header(operations=SCREENED, inputs=[persons])
        assert (None if by is None else denied_by(job)) is by
    admission, fewer = admit(job), rule([key_id(RECIPIENT)], "screen", data_classes=["biographic", "control number"])
    assert admission.plan.reference is not None
    authorise_again(admission, POLICY)
    theirs = submitter("agency", SIGNING.public_key(), agency("GA0600000", purpose("C", fewer)), san=SAN)
    with pytest.raises(Denied) as caught:
        authorise_again(admission, Policy.load(policy_file(theirs)))
    assert caught.value.by is DeniedBy.DATA_CLASS


def test_jobs_of_a_day_are_counted_whether_they_completed_or_not() -> None:
    admissions = [admitted_before(new_job_id()) for _ in range(3)]
    earlier = [event for each in admissions for event in (each, job_cut_short(each))]
    admit(header(), earlier=earlier[:4])
    assert denied_by(header(), earlier=earlier) is DeniedBy.JOBS_PER_DAY
    others = [msgspec.structs.replace(e, requesting_ori="GA0330000") for e in admissions]
    admit(header(), earlier=others)


def test_the_secondary_recipient_is_checked_on_what_was_opened() -> None:
    for name, granted in (("", True), ("Board", True), ("board", False), ("Boar", False)):
        by = Attribution(operator_id="op", requestor="r", reason="test", secondary_recipient=name)
        admission = admit(header(sealed_attribution=seal_box(DEK, ATTRIBUTION, by.encode())))
        opened = open_keys(admission)
        if granted:
            check_opened(admission, opened)
            continue
        with pytest.raises(Denied) as caught:
            check_opened(admission, opened)
        assert caught.value.by is DeniedBy.SECONDARY_RECIPIENT
