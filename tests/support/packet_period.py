"""A sound period of one worker, as its auditor gets it: trail, receipts, reviews, and the files around it.

A test changes one thing of it and writes it to a folder; `packet` makes the content of a packet from that.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from hashlib import sha384
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

import click
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation import AZURE_US
from cji_attestation.provider_policy import build as build_maa_policy
from cji_attestation.release.policy import build as build_release_policy
from cji_audit.packet.attachments import Attachments, Kind, Tools
from cji_audit.packet.controls import controls
from cji_audit.packet.folder import Content
from cji_audit.packet.make import make
from cji_audit.packet.material import File, Machine, Period
from cji_audit.review import Context, Settings, Week, render
from cji_audit.review import encode as encode_report
from cji_audit.review import review as make_report
from cji_audit.review.signed import FIRST_PREVIOUS, Statement
from cji_audit.review.signed import read as read_signed
from cji_audit.verbs.packet_tools import tools_for
from cji_core.errors import Reason, Stage
from cji_core.format.configuration.worker import load
from cji_core.jose import VerifyingKey, es384_sign, join_compact, key_id, public_jwk
from cji_core.jose import sign as jose_sign
from cji_core.manifest import VERSION
from cji_core.pairs import SigningPair
from cji_core.strict import b64url
from cji_core.suites import Suite
from cji_core.trail import (
    GENESIS,
    WITNESSES,
    Attested,
    Attributed,
    Claims,
    CryptoModule,
    DocumentRecorded,
    Event,
    FileDigests,
    FilesReloaded,
    HostChanged,
    JobAdmitted,
    JobCompleted,
    JobRefused,
    KeyDropped,
    KeyReleased,
    PartDigest,
    TailRecovered,
    TpmClock,
    TrailAnchored,
    Transport,
    Volumes,
    WorkerNotReady,
    WorkerReady,
    WorkerStarted,
    append_record,
    receipt_sha384,
    sign,
    utc_hundredths,
)
from cji_core.trail.checkpoint import origin_of, sign_checkpoint
from cji_core.trail.merkle import Frontier, leaf_hash
from cji_core.trail.packets import SIGNATURE, PacketClaims, sign_packet
from cji_core.trail.short_receipts import Stated, shorten
from tests.support.deployed import as_file, good
from tests.support.retention_records import DELETED, DELETION, HOLD, documents
from tests.support.retention_records import KEY as RETENTION_KEY
from tests.support.worker_configs import WORKER_CONFIG

__all__ = [
    "PERIOD",
    "Job",
    "Scene",
    "agency",
    "attachments",
    "catalog",
    "content",
    "real_tools",
    "signed",
    "sound",
    "tools",
]

PERIOD: Final = Period(first=date(2026, 10, 5), last=date(2026, 10, 25))
KEY: Final = ec.derive_private_key(0xA0D17, ec.SECP384R1())
REVIEWER: Final = ec.derive_private_key(0x2E71E, ec.SECP384R1())
WORKER: Final = "worker-1"
KEK: Final = "https://v.vault.azure.net/keys/cmk/" + "ab" * 16
AUTHORITY: Final = "https://cji.eus.attest.azure.net"
RELEASE_POLICY: Final = build_release_policy(AUTHORITY, hardware=("snp",))
EVIDENCE: Final = "07" * 48
MANIFEST: Final = b"0" * 64 + b"  /opt/cji/lib/worker.py\n"
POLICIES: Final = (b"# the policy until the reload\n", b"# the policy in force\n")
CONFIG: Final = (
    "require_fips = true\n"
    + WORKER_CONFIG.replace('client_roots = "roots.pem"', 'client_roots = "roots.pem"\nclient_crl = "crl.pem"')
).encode()
_TPM: Final = TpmClock(clock=1, reset_count=1, restart_count=0)
_FILES: Final = {name: sha384(name.encode()).hexdigest() for name in ("client_roots", "client_crl")}
VOLUMES: Final = Volumes(rows_in=10, rows_out=10, bytes_in=1000, bytes_out=900, chri_rows_out=0, subjects_out=10)


def digest(data: bytes) -> str:
    return sha384(data).hexdigest()


@dataclass(kw_only=True)
class Job:
    """A completed job; `claims` replace those of its receipt."""

    number: int
    duration: timedelta = timedelta(seconds=2)
    admitted: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    completes: int = 1


@dataclass(kw_only=True)
class Reviewing:
    """The review of a week is signed, and a worker records it ten minutes later, or after `delay`."""

    week: str
    delay: timedelta = timedelta(minutes=10)


_IN_ORDER: Final = {2: "2028-03-02T00:00:00.00Z"}


@dataclass(kw_only=True)
class Scene:
    """What happened, in order, and the files around it. `items` are events, jobs and reviews with their times."""

    items: list[tuple[datetime, Event | Job | Reviewing]]
    files: dict[str, bytes]
    weeks: list[str]
    """Those that are reviewed."""
    reviewer: ec.EllipticCurvePrivateKey = REVIEWER
    named: ec.EllipticCurvePrivateKey = REVIEWER
    """The key that the reviews name."""
    stated: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By week: what replaces members of its statement."""
    unrecorded: set[str] = field(default_factory=set)
    """Weeks whose review no worker records."""
    reviews: dict[str, bytes] = field(default_factory=dict)
    """Their files, once `lines_of` has made them."""
    previous: str = ""
    kept: list[int] = field(default_factory=lambda: [0, 1])
    checkpoint_at: int = -1
    """Lines under the checkpoint that was kept; all but the last one by default."""
    tests: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    stray: dict[str, Any] | None = None
    """Claims of a kept receipt that the trail does not have."""
    runs: bytes = CONFIG
    """The configuration that runs."""
    retention: list[str] | None = field(default_factory=lambda: documents(DELETION, DELETED, HOLD, times=_IN_ORDER))
    """Records of the retention log."""
    flip: int | None = None
    """A line with an anchor, counted from 0, whose counter is changed after it was written."""

    def at(self, index: int, event: Event | Job | Reviewing, *, after: timedelta = timedelta(minutes=1)) -> None:
        """Insert an event after item `index`."""
        moment = self.items[index][0] + after
        self.items.insert(index % len(self.items) + 1, (moment, event))

    def find(self, kind: type) -> list[int]:
        """Places of the items of a type."""
        return [i for i, (_, item) in enumerate(self.items) if isinstance(item, kind)]

    def change(self, kind: type, which: int, **changes: Any) -> None:
        """Replace members of an event."""
        place = self.find(kind)[which]
        moment, event = self.items[place]
        assert not isinstance(event, Job | Reviewing)
        self.items[place] = moment, msgspec.structs.replace(event, **changes)

    def job(self, which: int) -> Job:
        item = self.items[self.find(Job)[which]][1]
        assert isinstance(item, Job)
        return item


def started(**changes: Any) -> WorkerStarted:
    values: dict[str, Any] = {
        "version": VERSION,
        "code_sha384": digest(MANIFEST),
        "config_sha384": digest(CONFIG),
        "policy_sha384": digest(POLICIES[0]),
        "simulated": False,
        "host_profile": "cji-host-1",
    }
    return WorkerStarted(**values | changes)


def attested(**changes: Any) -> Attested:
    values: dict[str, Any] = {
        "evidence_sha384": EVIDENCE,
        "maa_token_sha384": "08" * 48,
        "issuer": AUTHORITY,
        "tee": "snp",
        "accepted_advisories": ("AMD-SB-3024",),
        "chip": "0f" * 64,
        "region": "eastus",
        "expires": "2026-10-05T01:00:00.00Z",
        "tpm": _TPM,
        "receipt_key": key_id(KEY.public_key()),
    }
    return Attested(**values | changes)


def released(**changes: Any) -> KeyReleased:
    values: dict[str, Any] = {
        "kek_id": KEK,
        "request_id": "f3b1c2d4-5e6f-4a1b-8c2d-0123456789ab",
        "evidence_sha384": EVIDENCE,
        "statement_sha384": "0c" * 48,
        "policy_sha256": File.of("", RELEASE_POLICY).sha256,
        "policy_immutable": True,
        "policy_accepted": (),
        "policy_warnings": ("RP17",),
    }
    return KeyReleased(**values | changes)


def admitted(number: int, policy: str, **changes: Any) -> JobAdmitted:
    values: dict[str, Any] = {
        "job_id": f"{number:032x}",
        "header_sha384": f"{number:096x}",
        "not_after": "2026-11-24T16:00:00.00Z",
        "submitter": "metro-pd",
        "source": "ipv4:127.0.0.1:50000",
        "originating_ori": "WI0130000",
        "requesting_ori": "WI0130000",
        "attribution": Attributed(operator_id="op-17", requestor="Det. Muñoz", secondary_recipient=""),
        "suite": Suite.CLASSICAL_1,
        "purpose_code": "C",
        "operations": ("deidentify",),
        "recipients": ("A" * 43,),
        "kek_id": KEK,
        "policy_sha384": policy,
    }
    return JobAdmitted(**values | changes)


def receipt(number: int, sequence: int, previous: str, policy: str, changes: dict[str, Any]) -> str:
    values: dict[str, Any] = {
        "version": 1,
        "worker": WORKER,
        "sequence": sequence,
        "previous_sha384": previous,
        "job_id": f"{number:032x}",
        "header_sha384": f"{number:096x}",
        "result_header_sha384": "03" * 48,
        "inputs": (PartDigest(name="people", sha256="04" * 32, bytes=1000),),
        "outputs": (PartDigest(name="result", sha256="05" * 32, bytes=900),),
        "witnesses": WITNESSES,
        "submitter": "metro-pd",
        "submitter_key": "S" * 43,
        "originating_ori": "WI0130000",
        "requesting_ori": "WI0130000",
        "suite": Suite.CLASSICAL_1,
        "purpose_code": "C",
        "operations": ("deidentify",),
        "recipients": ("A" * 43,),
        "kek_id": KEK,
        "volumes": VOLUMES,
        "started": "2026-10-06T10:00:00.00Z",
        "ended": "2026-10-06T10:00:02.00Z",
        "region": "eastus",
        "tee": "snp",
        "tcb": {"bootloader": 3},
        "accepted_advisories": ("AMD-SB-3024",),
        "evidence_sha384": EVIDENCE,
        "maa_token_sha384": "08" * 48,
        "policy_sha384": policy,
        "config_sha384": digest(CONFIG),
        "code_sha384": digest(MANIFEST),
        "tables_sha256": "0e" * 32,
        "fips": CryptoModule(name="OpenSSL FIPS Provider", version="3.1.2", certificate="4985", mode="approved"),
        "transport": Transport(protocol="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", bits=256),
        "host_profile": "cji-host-1",
        "simulated": False,
        "tpm": _TPM,
        "trail": "0d" * 48,
        "audit_anchor": 0,
    }
    return sign(Claims(**values | changes), KEY)


@cache
def _sound() -> Scene:
    """The worker starts a week before the period and runs through it."""
    begin = datetime(2026, 9, 28, 8, 0, tzinfo=UTC)
    first: list[Event] = [started(), attested(), released(), WorkerReady(kek_ids=(KEK,))]
    items: list[tuple[datetime, Event | Job | Reviewing]] = [
        (begin + timedelta(seconds=n), each) for n, each in enumerate(first)
    ]
    old, new = (FileDigests(policy_file=digest(policy), **_FILES) for policy in POLICIES)
    extra: dict[int, Sequence[Event]] = {
        8: [
            WorkerNotReady(reason=Reason.AUDIT_UNAVAILABLE, condition="trail"),
            TailRecovered(cut_bytes=3, cut_sha384="00" * 48),
        ],
        9: [WorkerReady(kek_ids=(KEK,))],
        10: [HostChanged(unmet=("bpf",)), HostChanged(unmet=())],
        12: [FilesReloaded(by="command", uid=0, before=old, after=new)],
        14: [
            JobRefused(
                source="ipv4:127.0.0.1:50000",
                stage=Stage.ADMIT,
                reason=Reason.POLICY_DENIED,
                correlation_id="c0ffee",
            )
        ],
        16: [KeyDropped(kek_id=KEK, cause="expired"), started(policy_sha384=digest(POLICIES[1]))],
        17: [attested(), released(), WorkerReady(kek_ids=(KEK,))],
    }
    for day in range(1, 29):
        noon = begin + timedelta(days=day, hours=4)
        events = extra.get(day, [])
        items += [(noon + timedelta(minutes=10 * n), event) for n, event in enumerate(events)]
        if day not in {8, 16}:
            items.append((noon + timedelta(hours=1), Job(number=day)))
        items.append((noon + timedelta(hours=2), TrailAnchored(counter=day)))
    # the day 8 without a trail: it returns within the hour
    place = next(i for i, (_, item) in enumerate(items) if isinstance(item, TailRecovered))
    items.insert(place + 1, (items[place][0] + timedelta(minutes=5), WorkerReady(kek_ids=(KEK,))))
    for week in PERIOD.weeks:
        monday = datetime.combine(Week.parse(week).shifted(1).monday(), time(9), UTC)
        items.insert(next(i for i, (moment, _) in enumerate(items) if moment > monday), (monday, Reviewing(week=week)))
    return Scene(items=items, files=_files(), weeks=list(PERIOD.weeks))


def sound() -> Scene:
    """The period, for a test to change."""
    return copy.deepcopy(_sound())


def _files() -> dict[str, bytes]:
    key = {
        "attributes": {"enabled": True, "exportable": True, "created": "2026-01-05T10:00:00+00:00", "expires": None},
        "key": {"kid": KEK, "kty": "RSA-HSM", "n": b64url(b"\xff" * 384), "keyOps": ["wrapKey"]},
        "releasePolicy": {"encodedPolicy": b64url(RELEASE_POLICY), "immutable": True},
    }
    sbom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"component": {"name": "cji-worker", "version": VERSION}},
        "components": [{"name": "cryptography", "version": "50.0.2"}, {"name": "numpy", "version": "2.3.4"}],
    }
    return {
        "worker.toml": CONFIG,
        "policy.toml": POLICIES[1],
        "manifest.sha256": MANIFEST,
        "key.json": json.dumps(key).encode(),
        "maa.txt": build_maa_policy(),
        "sbom.json": json.dumps(sbom).encode(),
    }


def lines_of(scene: Scene) -> tuple[list[bytes], list[str]]:
    """The lines of the trail, and the receipts in them; the reviews are among the scene's then."""
    scene.reviews, scene.previous = {}, ""
    head, policy = GENESIS, ""
    lines: list[bytes] = []
    receipts: list[str] = []
    previous = "0" * 96
    base: Stated | None = None

    def append(moment: datetime, event: Event) -> None:
        nonlocal head
        head, line = append_record(event, head=head, time=utc_hundredths(moment), worker=WORKER)
        lines.append(line)

    for moment, item in scene.items:
        if isinstance(item, WorkerStarted):
            policy = item.policy_sha384
            append(moment, msgspec.structs.replace(item, config_sha384=digest(scene.runs)))
            continue
        if isinstance(item, FilesReloaded):
            policy = item.after.policy_file
        if isinstance(item, Reviewing):
            if item.week in scene.weeks:
                found = reviewed(scene, item.week, moment, lines)
                if item.week not in scene.unrecorded:
                    append(moment + item.delay, DocumentRecorded(document="review", sha384=found, uid=1000))
            continue
        if not isinstance(item, Job):
            append(moment, item)
            continue
        job = admitted(item.number, policy, **item.admitted)
        append(moment, job)
        for again in range(item.completes):
            claims = {"config_sha384": digest(scene.runs)} | item.claims
            text = receipt(item.number, len(receipts) + 1, previous, policy, claims)
            previous = receipt_sha384(text)
            receipts.append(text)
            if again:
                append(moment + item.duration, admitted(item.number, policy, **item.admitted))
            event = JobCompleted(
                job_id=f"{item.number:032x}",
                header_sha384=f"{item.number:096x}",
                submitter="metro-pd",
                requesting_ori="WI0130000",
                purpose_code="C",
                duration_ms=2000,
                volumes=VOLUMES,
                receipt=text,
            )
            short = shorten(text, event, job, base)
            base = Stated.of(short) if isinstance(short, str) else base
            append(moment + item.duration, msgspec.structs.replace(event, receipt=short))
    if scene.flip is not None:
        line = lines[scene.flip]
        lines[scene.flip] = line.replace(b'"counter":', b'"counter":1', 1)
    return lines, receipts


def review(statement: Statement, key: ec.EllipticCurvePrivateKey, kid: ec.EllipticCurvePublicKey) -> bytes:
    """A signed review as `cji audit review sign` writes it, by a key that may be another than the one it names."""
    header = {"alg": "ES384", "kid": key_id(kid), "typ": "cji-review+jws"}
    encode = msgspec.json.encode
    compact = join_compact(encode(header), encode(statement), lambda signed: es384_sign(key, signed))
    protected, payload, signature = compact.split(".")
    return encode({"payload": payload, "protected": protected, "signature": signature}) + b"\n"


def reviewed(scene: Scene, week: str, moment: datetime, lines: Sequence[bytes]) -> str:
    """Put the review of a week, made of the lines so far, among the scene's; return its digest."""
    with NamedTemporaryFile() as trail:
        trail.write(b"".join(lines))
        trail.flush()
        context = Context(week=Week.parse(week), settings=Settings(), software="cji 1", complete=True)
        report = make_report([Path(trail.name)], context)
    data, page = encode_report(report), render(report)
    values: dict[str, Any] = {
        "version": 1,
        "week": week,
        "report_sha384": digest(data),
        "page_sha384": digest(page),
        "reviewer": "A. Auditor",
        "time": utc_hundredths(moment),
        "comment": "Nothing to add.",
        "findings": {each.id: "Explained." for each in report.findings if each.severity == "alert"},
        "previous_sha384": scene.previous or FIRST_PREVIOUS,
    }
    signed = review(Statement(**values | scene.stated.get(week, {})), scene.reviewer, scene.named.public_key())
    stem = f"{week}-review"
    scene.reviews |= {f"{stem}.signed.json": signed, f"{stem}.json": data, f"{stem}.html": page}
    scene.previous = read_signed(signed).digest
    return scene.previous


def junit(outcomes: dict[str, str]) -> bytes:
    """Results of all named tests; passed unless `outcomes` has another one by the name in controls.toml."""
    cases = []
    for name, each in controls().tests.items():
        module, _, function = each.test.partition(".py::")
        inner = {"failed": "<failure/>", "skipped": "<skipped/>"}.get(outcomes.get(name, ""), "")
        if outcomes.get(name) != "absent":
            cases.append(f'<testcase classname="{module.replace("/", ".")}" name="{function}[1]">{inner}</testcase>')
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>".encode()


def attachments(scene: Scene, lines: Sequence[bytes], receipts: Sequence[str]) -> Attachments:
    """The files that the packet passes on."""
    frontier = Frontier()
    for line in lines[: scene.checkpoint_at]:
        frontier.append(leaf_hash(line))
    note = sign_checkpoint(frontier, origin=origin_of(WORKER), key=KEY)
    files: dict[Kind, dict[str, bytes]] = {
        "keys": {"key.json": scene.files["key.json"]},
        "maa_policy": {"maa.txt": scene.files["maa.txt"]},
        "sbom": {"sbom.json": scene.files["sbom.json"]},
        "tests": {"tests.xml": junit(scene.tests)},
        "receipts": {f"{n}.jws": receipts[n].encode() for n in scene.kept},
        "reviews": dict(scene.reviews),
        "checkpoints": {"note": scene.files.get("note", note)},
        "machines": {"evidence.json": json.dumps(scene.machine).encode()},
        "reviewer_keys": {"reviewer.jwk": public_jwk(REVIEWER.public_key()).encode()},
        "deployment": {"export.json": as_file(good())},
    }
    if scene.retention is not None:
        files["retention"] = {"retention.jws": "\n".join(scene.retention).encode()}
        files["retention_keys"] = {"retention.jwk": public_jwk(RETENTION_KEY.public_key()).encode()}
    if scene.stray is not None:
        files["receipts"]["stray.jws"] = receipt(99, 99, "ee" * 48, digest(POLICIES[0]), scene.stray).encode()
    return Attachments(files=files)


def tools() -> Tools:
    """Both linters, and a stand-in for the appraisal: no evidence of a machine of production is at hand."""
    real = real_tools()

    def appraise(name: str, data: bytes) -> tuple[Machine, VerifyingKey | None]:
        machine = Machine(
            file=File.of(name, data),
            refused="",
            cloud="azure-us",
            simulated=False,
            tee="snp",
            product="Genoa",
            measurement="f8" * 48,
            pcrs=tuple(f"{n:064x}" for n in range(8)),
            evidence_sha384=EVIDENCE,
            line=0,
            receipt_key=key_id(KEY.public_key()),
            appraised_at="2026-10-06T10:00:00+00:00",
            time_by="a timestamp",
            checks=58,
            unchecked=("E11",),
            stamped=True,
        )
        changed = msgspec.structs.replace(machine, **json.loads(data))
        return changed, None if changed.refused else KEY.public_key()

    return Tools(
        lint_release_policy=real.lint_release_policy,
        lint_maa_policy=real.lint_maa_policy,
        maa_policy_hash=real.maa_policy_hash,
        appraise=appraise,
    )


@cache
def real_tools() -> Tools:
    """The tools of the command, with production's roots."""
    return tools_for(click.Context(click.Command("cji"), obj={AZURE_US.name: AZURE_US}), cloud="azure-us", profile=None)


@cache
def catalog() -> bytes:
    """A catalog with texts of the tests' own, in the shape that the statements were written for."""
    units = [
        {
            "id": control.id,
            "title": f"Title of {control.id}",
            "family": f"{control.id[:2].rstrip('.')}: family",
            "fragments": [
                {"row": n, "kind": "fragment", "text": f"Text {n}", "priority": "P1", "sanction": None, "iaas": "Both"}
                for n in control.numbers
            ],
        }
        for control in controls().controls
    ]
    return json.dumps({"version": controls().version, "published": "2026-06-25", "units": units}).encode()


@cache
def agency() -> SigningPair:
    """The pair that signs the agency's packets."""
    return SigningPair.generate()


def signed(files: dict[str, bytes], pair: SigningPair | None = None, **claims: Any) -> dict[str, bytes]:
    """The packet with a signature, of the agency unless another pair is given."""
    pair = pair or agency()
    values: dict[str, Any] = {"packet_sha384": digest(files["packet.json"]), "signed": "2026-10-28T09:00:00.00Z"}
    text = sign_packet(
        PacketClaims(**values | claims), pair.public_key(), lambda message: jose_sign(pair, message, Suite.HYBRID_1)
    )
    return files | {SIGNATURE: text.encode() + b"\n"}


def write_trail(scene: Scene, folder: Path) -> tuple[Path, Attachments]:
    """The trail in the folder, and what is given with it."""
    lines, receipts = lines_of(scene)
    trail = folder / "audit.log"
    trail.write_bytes(b"".join(lines))
    return trail, attachments(scene, lines, receipts)


def content(scene: Scene, folder: Path) -> Content:
    """The content of the period's packet."""
    trail, files = write_trail(scene, folder)
    config = folder / "worker.toml"
    config.write_bytes(scene.files["worker.toml"])
    return make(
        period=PERIOD,
        trails=[trail],
        catalog=("catalog.json", catalog()),
        attachments=files,
        tools=tools(),
        configuration=("worker.toml", scene.files["worker.toml"], load(config)),
        policy=("policy.toml", scene.files["policy.toml"]),
        manifest=("manifest.sha256", scene.files["manifest.sha256"]),
    )
