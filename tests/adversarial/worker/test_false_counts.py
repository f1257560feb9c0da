"""A compromised cell states wrong numbers of rows, which its receipt then has: whoever opens the result finds out.

Red before: SDK and command accepted such results; only the rows of `row_status` were compared.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from cji_client.errors import Unverified
from cji_client.result import Result, read_output
from cji_client.spec import InputSpec
from cji_core.command import build
from cji_core.format.keys import load_signing_key, new_signing_key, save_private_key
from cji_core.jose import key_id, public_jwk
from cji_core.operations.deidentify import Deidentify
from cji_core.operations.disseminate import Disseminate
from cji_core.trail import Volumes
from cji_simulator.simulation import Simulation
from cji_simulator.site import Site, people
from tests.adversarial.peers import false_witness
from tests.adversarial.peers.hostile import hostile_site
from tests.support.policies import toml
from tests.support.simulations import simulated
from tests.support.task_driver import nodes, sharded

ROWS = 102
DAY = timedelta(days=1)
KEPT = Deidentify(columns={"last": "keep", "first": "drop", "SOC": "drop"})
LYING = ("-m", "tests.adversarial.peers.hostile", "zygote=tests.adversarial.peers.false_witness")


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with simulated(tmp_path_factory.mktemp("counts") / "azure", release_limit=1000) as simulation:
        yield simulation


@pytest.fixture(scope="module")
def site(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with hostile_site(tmp_path_factory.mktemp("cell"), simulation, zygote="false_witness") as site:
        yield site


def histories(rows: int) -> pa.Table:
    """Two events of each subject, all of which may be released."""
    never = pa.array([False] * rows)
    return pa.table(
        {
            "subject": [f"S{i // 2:05d}" for i in range(rows)],
            "event": ["arrest"] * rows,
            "date": ["20250801"] * rows,
            "disposition": ["convicted"] * rows,
            **dict.fromkeys(("sealed", "expunged", "juvenile", "non_conviction"), never),
        }
    )


def released(site: Site, lie: str) -> Result:
    """A job with a dissemination ledger; its receipt has verified."""
    operation = Disseminate(recipient_class="criminal_justice")
    spec = site.spec(operation, input=InputSpec(schema="chri_event/1"), case_number=lie)
    return site.run(histories(ROWS), spec)


def counts(volumes: Volumes) -> tuple[int, int, int]:
    return volumes.rows_out, volumes.chri_rows_out, volumes.subjects_out


def test_honest_counts_are_those_of_the_outputs(site: Site) -> None:
    with released(site, "none") as result:
        tables = site.open(result)
        assert counts(result.receipt.claims.volumes) == (ROWS, ROWS, ROWS // 2)
        assert (tables["result"].num_rows, tables["ledger"].num_rows) == (ROWS, ROWS // 2)


@pytest.mark.parametrize(
    ("lie", "output", "stated", "what"),
    [
        ("a result less", "result", (101, 101, 51), "rows_out is 101, counted 102, chri_rows_out is 101, counted 102"),
        ("a result more", "result", (103, 103, 51), "rows_out is 103, counted 102"),
        ("a subject less", "ledger", (102, 102, 50), "subjects_out is 50, counted 51"),
        ("a subject more", "ledger", (102, 102, 52), "subjects_out is 52, counted 51"),
    ],
)
def test_a_count_that_a_cell_invented_is_refused(
    site: Site, lie: str, output: str, stated: tuple[int, int, int], what: str
) -> None:
    with released(site, lie) as result:
        assert counts(result.receipt.claims.volumes) == stated
        for name in {"result", "ledger"} - {output}:
            list(read_output(result, site.recipient, name))
        with pytest.raises(Unverified, match=what) as refused:
            list(read_output(result, site.recipient, output))
        assert refused.value.check == "volumes"
        with pytest.raises(Unverified):
            result.opened_by(site.recipient).table(output)


def test_the_command_writes_no_result_with_other_counts(site: Site, tmp_path: Path) -> None:
    """One row in 102 that a receipt does not have; without a ledger it is one subject, too."""
    sealed, out = tmp_path / "sealed", tmp_path / "out"
    with site.run(people(ROWS), site.spec(KEPT, case_number="a result less")) as result:
        assert counts(result.receipt.claims.volumes) == (101, 0, 101)
        result.save(sealed)
    command = build(site.simulation.trust)
    arguments = ["result", "open", str(sealed), "--profile", str(site.files.profile), "--out", str(out)]
    found = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert found.exit_code == 3
    assert "rows_out is 101, counted 102, subjects_out is 101, counted 102" in found.stderr
    assert "Do not use this result." in found.stderr
    assert list(tmp_path.iterdir()) == [sealed]


def test_a_shard_with_a_false_count_is_refused(simulation: Simulation, tmp_path: Path) -> None:
    """A job in parts: the cell of one shard lies, and the receipt has the sum."""
    folder = tmp_path / "parts"
    folder.mkdir()
    with nodes(folder, simulation, count=2, programs=[LYING]) as (liar, honest):
        job = sharded(honest, {"records": people(ROWS)}, KEPT, shards=2)
        job.run_stage(job.stage("plan"), honest)
        apply = job.stage("apply")
        for shard, node in enumerate((liar, honest)):
            job.keep(apply, shard, job.attempt(node, apply, shard))
        with job.result(honest, job.finish(honest)) as result:
            assert counts(result.receipt.claims.volumes) == (101, 0, 101)
            with pytest.raises(Unverified, match="rows_out is 101, counted 102") as refused:
                honest.site.open(result)
        assert refused.value.check == "volumes"


@pytest.fixture(scope="module")
def confirm_key(site: Site) -> Path:
    """A key that the policy in force names beside the recipient."""
    file, key = site.files.folder / "confirm.key", new_signing_key()
    save_private_key(key, file, passphrase=None)
    recipient, today = key_id(site.recipient.public_key()), datetime.now(UTC).date()
    named = {"recipient": recipient, "key": public_jwk(key.public_key()), "from": today, "until": today + DAY}
    text = site.files.policy.read_text()
    limits = "\nlimits = {"
    assert limits in text
    site.files.policy.write_text(text.replace(limits, f"\nconfirmations = [{toml(named)}]{limits}"))
    status, output = cji(site, "reload", "--config", site.files.config)
    assert status == 0, output
    return file


def cji(site: Site, *arguments: object) -> tuple[int, str]:
    command = build(site.simulation.trust)
    found = CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)
    return found.exit_code, found.output


@pytest.mark.parametrize("lie", ["none", "a subject less"])
def test_a_recipient_confirms_what_it_counted(site: Site, confirm_key: Path, tmp_path: Path, lie: str) -> None:
    """A receipt with false counts is confirmed as it was counted, and so refused by everyone who reads both."""
    folder, out = tmp_path / "sealed", tmp_path / "confirmation.jws"
    with released(site, lie) as result:
        result.save(folder)
    profile = ("--profile", site.files.profile)
    status, text = cji(site, "receipt", "confirm", folder, "--key", confirm_key, *profile, "--out", out)
    honest = lie == "none"
    assert status == (0 if honest else 3)
    assert f"{ROWS} of result, {ROWS} of row_status, 51 of ledger" in text
    assert "withheld" not in text
    receipt = (folder / "receipt.jws", "--evidence", folder / "evidence.json", *profile)
    both = ("--confirmation", out, "--policy", site.files.policy)
    status, text = cji(site, "receipt", "verify", *receipt, *both)
    key = key_id(load_signing_key(confirm_key).public_key())
    if honest:
        assert (status, f"confirmed by {key} on {datetime.now(UTC).date()}" in text) == (0, True)
        assert "stated by the cell" not in text
    else:
        assert (status, f"counted otherwise by {key}" in text) == (3, True)
        assert "subjects_out is 50, counted 51" in text
    status, text = cji(site, "receipt", "verify", *receipt)
    assert (status, "stated by the cell" in text) == (0, True)


def test_a_confirmation_stands_beside_its_own_receipt_alone(site: Site, confirm_key: Path, tmp_path: Path) -> None:
    folder, other, out = tmp_path / "sealed", tmp_path / "other", tmp_path / "confirmation.jws"
    for place in (folder, other):
        with released(site, "none") as result:
            result.save(place)
    profile = ("--profile", site.files.profile)
    assert cji(site, "receipt", "confirm", folder, "--key", confirm_key, *profile, "--out", out)[0] == 0
    policy = ("--policy", site.files.policy)

    def verified(place: Path, *arguments: object) -> tuple[int, str]:
        evidence = ("--evidence", place / "evidence.json")
        return cji(site, "receipt", "verify", place / "receipt.jws", *evidence, *profile, *arguments)

    assert verified(folder, "--confirmation", out, *policy)[0] == 0
    status, text = verified(other, "--confirmation", out, *policy)
    assert (status, "confirmation.receipt" in text) == (3, True)
    another = tmp_path / "policy.toml"
    another.write_text(site.files.policy.read_text() + "\n")
    status, text = verified(folder, "--confirmation", out, "--policy", another)
    assert (status, "confirmation.policy" in text) == (3, True)
    stranger = tmp_path / "stranger.key"
    save_private_key(new_signing_key(), stranger, passphrase=None)
    out.unlink()
    assert cji(site, "receipt", "confirm", folder, "--key", stranger, *profile, "--out", out)[0] == 0
    status, text = verified(folder, "--confirmation", out, *policy)
    assert (status, "confirmation.key" in text) == (3, True)
    assert verified(folder, "--confirmation", out)[0] == 2


def test_every_lie_about_rows_has_a_test() -> None:
    assert set(false_witness.COUNTS) == {"a result less", "a result more", "a subject less", "a subject more"}
