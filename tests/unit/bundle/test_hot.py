"""Hot updates: which bundle a running worker may take, and how bundles of one pool compare."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation.bundle.errors import BundleRefused
from cji_attestation.bundle.head import Head, read_head
from cji_attestation.bundle.hot import changed_files
from cji_attestation.bundle.names import HOT
from cji_attestation.bundle.signatures import Accepted, FileSigner, Rank, accepted_in, rank, sign
from tests.support.bundles import KEY, accepted, files, keys_folder, made

NEW = ec.generate_private_key(ec.SECP384R1())
CRL = {"tls/client-crl.pem": b"1", "policy.toml.signatures": b"1"}


def of(changed: Mapping[str, bytes | None], serial: int = 7, pool: str = "pool-7") -> Head:
    return made(files(changed={**CRL, **changed}), serial=serial, pool=pool)


def refused(after: Head) -> str:
    with pytest.raises(BundleRefused) as caught:
        changed_files(of({}), after)
    return caught.value.what


@pytest.mark.parametrize("name", sorted(HOT))
def test_each_of_four_files_may_differ(name: str) -> None:
    assert changed_files(of({}), of({name: b"2"}, serial=8)) == {name}


def test_files_of_reference_values_may_differ() -> None:
    """Those that the running worker's values name, and no other file of this kind."""
    before = of({"reference/Genoa.crl": b"1", "reference/other.crl": b"1"})
    named, other = (
        of({"reference/Genoa.crl": a, "reference/other.crl": b}, serial=8) for a, b in ((b"2", b"1"), (b"2", b"2"))
    )
    assert changed_files(before, named, ["reference/Genoa.crl"]) == {"reference/Genoa.crl"}
    for after, values in ((named, []), (other, ["reference/Genoa.crl"]), (of({}, serial=8), ["reference/Genoa.crl"])):
        with pytest.raises(BundleRefused, match="needs a restart"):
            changed_files(before, after, values)


def test_nothing_may_differ_and_the_same_bundle_is_no_change() -> None:
    assert changed_files(of({}), of({}, serial=8)) == frozenset()
    assert changed_files(of({}), of({})) == frozenset()


@pytest.mark.parametrize(
    "changed",
    [
        {"worker.toml": b"x"}, {"audit.toml": b"x"}, {"console.toml": None}, {"tls/est-roots.pem": b"x"},
        {"tls/client-crl.pem": None}, {"policy.toml": b"x", "worker.toml": b"x"},
    ],
)  # fmt: skip
def test_any_other_difference_needs_a_restart(changed: dict[str, bytes | None]) -> None:
    assert "needs a restart" in refused(of(changed, serial=8))


def test_an_earlier_bundle_is_refused() -> None:
    for serial in (6, 7):
        assert f"serial number {serial}" in refused(of({"policy.toml": b"2"}, serial=serial))


def test_a_bundle_of_another_pool_is_refused() -> None:
    assert "pool-8" in refused(of({}, serial=8, pool="pool-8"))


def test_a_later_epoch_outranks_every_serial_number(tmp_path: Path) -> None:
    """The holder of a stolen key can choose a number, and not the epoch."""
    folder = keys_folder(tmp_path / "keys", KEY, NEW)
    (folder / "1.epoch").write_text("2\n")
    image = accepted_in(folder)
    stolen, recovered = made(serial=2**53 - 1), made(serial=1, by=NEW)
    assert rank(stolen, image) == Rank(1, 2**53 - 1) < rank(recovered, image) == Rank(2, 1)
    assert rank(sign(stolen, FileSigner(NEW)), image).epoch == 2
    both = Accepted(keys=image.keys, epochs=image.epochs, signatures=2)
    assert rank(sign(stolen, FileSigner(NEW)), both).epoch == 1
    (folder / "1.epoch").write_text("two")
    with pytest.raises(BundleRefused, match="not a number"):
        accepted_in(folder)


def test_an_unsigned_head_has_no_rank() -> None:
    with pytest.raises(BundleRefused, match="0 of 1 signatures"):
        rank(made(by=None), accepted())


def test_a_head_is_read_alone_and_has_one_form() -> None:
    bundle = made()
    data = bundle.to_head()
    assert (read_head(data).sha384, read_head(data).signatures) == (bundle.sha384, bundle.signatures)
    for other in (bundle.to_bytes(), data + b"\0", data[:-1], b""):
        with pytest.raises(BundleRefused):
            read_head(other)
