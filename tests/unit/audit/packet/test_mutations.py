"""Broken controls: each planted fault flips exactly the fragments that depend on it, and nothing else."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_audit.packet.catalog import read_catalog
from cji_audit.packet.controls import controls
from cji_audit.packet.report import checks_of, ranges
from cji_audit.packet.rows import Row, rows
from cji_core.strict import b64url
from cji_core.trail import (
    Attested,
    CryptoModule,
    HostChanged,
    KeyReleased,
    TrailAnchored,
    TrailRefused,
    Transport,
    WitnessesDisagreed,
    WorkerReady,
)
from tests.support.packet_period import (
    CONFIG,
    POLICIES,
    RELEASE_POLICY,
    Job,
    Scene,
    admitted,
    attachments,
    catalog,
    content,
    digest,
    lines_of,
    sound,
)
from tests.support.retention_records import DELETED, DELETION, HOLD, documents

Plant = Callable[[Scene], None]
FAULTS: dict[str, tuple[Plant, str, set[str]]] = {}
"""What is planted, by the name of the fault; the fragments that must flip; the checks that must notice."""


def fault(fragments: str, *checks: str) -> Callable[[Plant], Plant]:
    def register(plant: Plant) -> Plant:
        FAULTS[plant.__name__] = plant, fragments, set(checks)
        return plant

    return register


def evaluated(scene: Scene, folder: Path) -> tuple[Row, ...]:
    made = content(scene, folder)
    return rows(made.material, read_catalog(catalog(), controls()), controls())


@fault("AU-3/317 AU-3/323 AU-3/318-322 AU-5/337 AU-6(1)/341 AU-7/343-344 AU-7(1)/345 AU-9/348 CA-7(4)/444", "chain")
def last_line_changed(scene: Scene) -> None:
    scene.flip = -1


@fault("AU-9/348", "anchors")
def anchor_goes_back(scene: Scene) -> None:
    scene.change(TrailAnchored, 20, counter=3)


@fault(
    "AU-6/338 AU-6(1)/341 AU-9/348 CA-7/436-438 CA-7(4)/444 SI-4/1402-1403 SI-4/1407 SI-4/1411 SI-7(7)/1430",
    "checkpoints",
    "reviews",
)
def checkpoint_of_another_trail(scene: Scene) -> None:
    other = sound()
    other.change(TrailAnchored, 0, counter=0)
    lines, receipts = lines_of(other)
    scene.files["note"] = attachments(other, lines, receipts).of("checkpoints")["note"]


@fault("AU-7/344 AU-8/346-347", "time-stamps")
def clock_goes_back(scene: Scene) -> None:
    place = scene.find(TrailAnchored)[18]
    moment, event = scene.items[place]
    scene.items[place] = moment - timedelta(hours=2), event


@fault("AU-9/349 SI-4(5)/1422", "trail-incidents")
def refused_trail_without_explanation(scene: Scene) -> None:
    scene.at(-1, TrailRefused(compared_with="counter", expected=28, found=29))


@fault("AC-17(1)/179 AU-3/317 AU-3/323 AU-3/318-322 AU-3(1)/324-328 AU-12/352 AU-12/354 CP-10(2)/578", "outcomes")
def job_without_outcome(scene: Scene) -> None:
    place = scene.find(Job)[20]
    scene.at(place, admitted(4711, digest(POLICIES[1])))


@fault("AU-3/317 AU-3/323 AU-3(1)/329-333 IA-0/580-582", "attribution")
def job_without_attribution(scene: Scene) -> None:
    scene.job(15).admitted = {"attribution": None}


@fault("AU-4/335 AU-5/336-337", "audit-failures")
def trail_unwritable_for_hours(scene: Scene) -> None:
    for place in reversed(scene.find(WorkerReady)[1:3]):
        del scene.items[place]


@fault(
    "5.1.1/65 AC-3/143 AC-4/145 AC-6(9)/156 AC-17(1)/179 AC-21/200 CA-7/418-419 CA-7(4)/445 CA-9/446 CA-9/448 "
    "CM-2(2)/466 CM-3/475 CM-5/481 CM-6/485 IA-0/580-582 IA-3/598 IA-5(1)/808-809 IA-8/827 MA-4/1008 "
    "SC-7(24)/1348 SI-7(7)/1430",
    "policy-in-force",
    "changes-recorded",
)
def job_under_another_policy(scene: Scene) -> None:
    scene.job(15).admitted = {"policy_sha384": "ee" * 48}


@fault(
    "AC-6(9)/156 CA-7/418-419 CA-7(4)/445 CM-2(2)/466 CM-3/475 CM-5/481 CM-6/485 MA-4/1008 SI-7(7)/1430",
    "changes-recorded",
)
def receipt_of_another_configuration(scene: Scene) -> None:
    scene.job(15).claims = {"config_sha384": "ee" * 48}


@fault("CM-8(3)/502-503 IA-3/598 IA-7/826 SI-5/1426 SI-7/1427-1428 SI-7(1)/1429", "attested-machines")
def key_released_without_attestation(scene: Scene) -> None:
    scene.change(KeyReleased, 1, evidence_sha384="ee" * 48)


@fault("SI-7/1427", "production")
def simulated_receipt(scene: Scene) -> None:
    scene.job(15).claims = {"simulated": True}


@fault("CA-7(4)/445 CM-5/481 SC-12/1356", "key-releases")
def release_policy_changed(scene: Scene) -> None:
    scene.change(KeyReleased, 1, policy_before="ee" * 32)


@fault("SC-12/1356 SC-28(1)/1375", "released-keys", "key-attributes")
def job_under_a_key_that_was_not_released(scene: Scene) -> None:
    scene.job(15).admitted = scene.job(15).claims = {"kek_id": "https://v.vault.azure.net/keys/cmk/" + "cd" * 16}


@fault("CP-9(8)/576 IA-5(1)/810-812 IA-7/826 SC-8(1)/1353 SC-13/1358-1359 SC-28/1371 SC-28(1)/1375", "fips")
def module_not_approved(scene: Scene) -> None:
    module = CryptoModule(name="OpenSSL", version="4.0.3", certificate="none", mode="not_approved")
    scene.job(15).claims = {"fips": module}


@fault(
    "AC-4/145 AC-17(2)/180 IA-5/608 IA-5(1)/810-812 SC-7/1331 SC-8/1351 SC-8(1)/1353 SC-13/1358 SC-23/1370", "transport"
)
def suite_of_128_bits(scene: Scene) -> None:
    scene.job(15).claims = {"transport": Transport(protocol="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", bits=128)}


@fault("CM-12/516 CM-12/518 CM-12(1)/519", "location")
def machine_abroad(scene: Scene) -> None:
    scene.change(Attested, 1, region="westeurope")


@fault(
    "AC-6/148 AC-6(10)/157 CA-7/432 CA-7/434 CM-6/482-483 CM-7/486-487 SC-4/1328 SI-4(5)/1422 SI-16/1441",
    "host-profile",
)
def job_while_the_host_is_unsound(scene: Scene) -> None:
    del scene.items[scene.find(HostChanged)[1]]


@fault("CA-7/432 CA-7/434 SI-4/1402-1403 SI-4/1407 SI-4/1411 SI-4(2)/1419 SI-4(5)/1422", "witnesses")
def front_and_cell_disagree(scene: Scene) -> None:
    disagreed = WitnessesDisagreed(
        job_id="ab" * 16, header_sha384="ab" * 48, submitter="metro-pd", about=("rows",), correlation_id="c0ffee"
    )
    scene.at(scene.find(Job)[15], disagreed)


@fault("CP-10(2)/578 IA-2(8)/596 IA-5/608 IA-5(1)/810-812", "replays")
def job_completes_twice(scene: Scene) -> None:
    scene.job(15).completes = 2


@fault("AU-12/352 AU-12/354", "receipt-chain")
def receipt_that_continues_nothing(scene: Scene) -> None:
    scene.job(15).claims = {"previous_sha384": "ee" * 48}


@fault("AU-12/352 AU-12/354", "receipt-chain")
def receipt_of_another_job(scene: Scene) -> None:
    scene.job(15).claims = {"job_id": "ee" * 16}


@fault("AU-12/352 AU-12/354", "receipt-chain")
def receipt_for_another_recipient(scene: Scene) -> None:
    scene.job(15).claims = {"recipients": ("B" * 43,)}


@fault("AU-12/352 AU-12/354", "receipt-chain")
def receipt_of_another_worker(scene: Scene) -> None:
    scene.job(15).claims = {"worker": "worker-2"}


@fault("AU-12/352 AU-12/354", "receipt-chain")
def receipts_of_a_key_that_was_not_attested(scene: Scene) -> None:
    scene.change(Attested, 1, receipt_key="Z" * 43)


@fault("AU-6(3)/342", "receipts-held")
def receipt_that_the_trail_lacks(scene: Scene) -> None:
    scene.stray = {}


@fault("AU-6(3)/342 AU-11/351 SI-12/1437", "retention", "receipts-held")
def trail_younger_than_a_receipt(scene: Scene) -> None:
    scene.stray = {"ended": "2026-09-01T10:00:00.00Z"}


@fault("AU-6/338 AU-6(1)/341 CA-7/436-438 CA-7(4)/444 SI-4/1402-1403 SI-4/1407 SI-4/1411 SI-7(7)/1430", "reviews")
def week_without_review(scene: Scene) -> None:
    del scene.weeks[1]


@fault("AU-6/338 AU-6(1)/341 CA-7/436-438 CA-7(4)/444 SI-4/1402-1403 SI-4/1407 SI-4/1411 SI-7(7)/1430", "reviews")
def review_signed_by_somebody_else(scene: Scene) -> None:
    scene.reviewer = ec.derive_private_key(0xBAD, ec.SECP384R1())


@fault(
    "CM-2/460 CM-2(2)/466 CM-5/481 CM-7(2)/490 CM-7(5)/491-492 CM-8/494-498 CM-8(1)/501 CM-8(3)/502 SA-10/1296 "
    "SI-7/1427",
    "code",
)
def another_manifest(scene: Scene) -> None:
    scene.files["manifest.sha256"] += b"1" * 64 + b"  /opt/cji/lib/more.py\n"


@fault("CM-2/460 CM-6/482-483 SC-5/1329 SI-4(2)/1419", "configuration")
def another_configuration(scene: Scene) -> None:
    scene.files["worker.toml"] += b"# edited since the start\n"


@fault("5.1.1/65 AC-3/143 AC-21/200 CA-9/446 CM-2/460 IA-5(1)/808-809 IA-5(2)/820 IA-8/827", "policy-given")
def another_policy(scene: Scene) -> None:
    scene.files["policy.toml"] += b"# edited since the reload\n"


@fault("SC-12/1356", "key-attributes")
def key_that_expired(scene: Scene) -> None:
    key = json.loads(scene.files["key.json"])
    key["attributes"]["expires"] = "2026-10-20T00:00:00+00:00"
    scene.files["key.json"] = json.dumps(key).encode()


def change_key(scene: Scene, of: str, **changes: object) -> None:
    key = json.loads(scene.files["key.json"])
    key[of].update(changes)
    scene.files["key.json"] = json.dumps(key).encode()


@fault("SC-12/1356", "key-attributes")
def key_of_2048_bits_in_ordinary_base64(scene: Scene) -> None:
    change_key(scene, "key", n=b64encode(b"\xff" * 256).decode())


@fault("SC-12/1356", "key-attributes")
def key_of_unknown_size(scene: Scene) -> None:
    change_key(scene, "key", n="?")


@fault("SC-12/1356", "key-attributes")
def key_that_opens_in_the_vault(scene: Scene) -> None:
    change_key(scene, "key", keyOps=["wrapKey", "unwrapKey"])


@fault("SC-12/1356", "key-attributes")
def key_whose_release_policy_can_change(scene: Scene) -> None:
    change_key(scene, "releasePolicy", immutable=False)


@fault("SC-12/1356", "release-policy")
def release_policy_without_secure_boot(scene: Scene) -> None:
    weak = RELEASE_POLICY.replace(b'"secureboot"', b'"x-ms-azurevm-is-windows"')
    assert weak != RELEASE_POLICY
    key = json.loads(scene.files["key.json"])
    key["releasePolicy"]["encodedPolicy"] = b64url(weak)
    scene.files["key.json"] = json.dumps(key).encode()
    for which in (0, 1):
        scene.change(KeyReleased, which, policy_sha256=sha256(weak).hexdigest())


@fault("SI-7/1427", "maa-policy")
def provider_policy_that_permits_all(scene: Scene) -> None:
    scene.files["maa.txt"] = b"version= 1.0;\nauthorizationrules\n{\n    => permit();\n};\nissuancerules\n{\n};\n"


@fault("CM-8/494-498 CM-8(1)/501 RA-5/1219 SA-10/1294-1295 SA-10/1298", "sbom")
def bill_of_materials_of_another_version(scene: Scene) -> None:
    scene.files["sbom.json"] = scene.files["sbom.json"].replace(
        b'"cji-worker", "version": "', b'"cji-worker", "version": "9.'
    )


@fault(
    "AU-6/338 AU-6(1)/341 AU-6(3)/342 AU-9/348 CA-7/436-438 CA-7(4)/444 SI-4/1402-1403 SI-4/1407 SI-4/1411 "
    "SI-5/1426 SI-7/1427 SI-7(7)/1430",
    "evidence",
    "checkpoints",
    "receipts-held",
    "reviews",
)
def refused_evidence(scene: Scene) -> None:
    scene.machine = {"refused": "attestation E04: UNTRUSTED_ROOT at E04"}


@fault("SI-5/1426 SI-7/1427", "evidence")
def unstamped_evidence(scene: Scene) -> None:
    scene.machine = {"stamped": False}


@fault("SI-12(3)/1440", "disposal")
def deletion_under_a_hold(scene: Scene) -> None:
    scene.retention = documents(HOLD, DELETION, msgspec.structs.replace(DELETED, of=1))


@fault("SI-12(3)/1440", "disposal")
def retention_log_without_a_record(scene: Scene) -> None:
    del (scene.retention or [])[1]


@fault("SI-12(3)/1440", "disposal")
def retention_log_of_another_key(scene: Scene) -> None:
    scene.retention = documents(HOLD, key=ec.derive_private_key(0xBAD, ec.SECP384R1()))


@fault("SI-12(3)/1440", "disposal")
def no_retention_log_of_a_pool(scene: Scene) -> None:
    scene.retention = None
    at = "https://cjiexample"
    pool = f'[fleet]\nblob_url = "{at}.blob.core.windows.net"\nqueue_url = "{at}.queue.core.windows.net"\n'
    pool += f'[ledger]\nkind = "pool"\nblob_url = "{at}.blob.core.windows.net"\n'
    scene.runs = scene.files["worker.toml"] = CONFIG + b"\n" + pool.encode()


@fault("IA-5/643 IA-5(2)/821-823 SC-17/1363", "revocation")
def no_revocation_list(scene: Scene) -> None:
    scene.runs = scene.files["worker.toml"] = CONFIG.replace(b'client_crl = "crl.pem"\n', b"")


@fault(
    "AC-3/143 SA-11/1300-1301 SA-11/1303 SA-11/1302 SA-11/1305 SA-11/1304 SA-15/1306-1307 SA-15/1310 "
    "SA-15/1308-1309 SI-2/1387-1388",
    "test-results",
    "tests of AC-3/143",
)
def failed_test(scene: Scene) -> None:
    scene.tests["policy-grants"] = "failed"


@fault("CP-10(2)/578 IA-2(8)/596", "tests of CP-10(2)/578")
def skipped_test(scene: Scene) -> None:
    scene.tests["replay"] = "skipped"


def test_a_sound_period_is_the_best_of_each_fragment(tmp_path: Path) -> None:
    found = evaluated(sound(), tmp_path)
    assert {name: each.why for name, each in checks_of(found).items() if each.status != "holds"} == {}
    for row in found:
        best = row.by if row.by != "product" else "partial" if row.missing else "met"
        assert row.status == best, row.id


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_control_flips_exactly_its_rows(tmp_path: Path, name: str) -> None:
    plant, fragments, checks = FAULTS[name]
    scene = sound()
    plant(scene)
    found = evaluated(scene, tmp_path)
    assert {name for name, each in checks_of(found).items() if each.status != "holds"} == checks
    assert " ".join(ranges([row.id for row in found if row.status in {"not met", "gap"}])) == fragments


def test_at_least_twenty_controls_are_broken() -> None:
    assert len(FAULTS) >= 20
