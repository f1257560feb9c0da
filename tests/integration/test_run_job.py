"""The whole path: sealed rows in, sealed rows and a receipt out."""

from cji_simulator.site import Site, people


def test_rows_come_back_deidentified(site: Site) -> None:
    table = people(1000)
    out = site.open(site.run(table))
    assert out["result"].column_names == ["last", "SOC"]
    assert out["result"]["last"] == table["last"]
    assert not set(out["result"]["SOC"].to_pylist()) & set(table["SOC"].to_pylist())
    assert out["row_status"]["status"].to_pylist() == [0] * 1000


def test_no_rows_is_a_valid_job(site: Site) -> None:
    out = site.open(site.run(people(0)))
    assert out["result"].num_rows == out["row_status"].num_rows == 0
    assert out["result"].column_names == ["last", "SOC"]


def test_many_segments(site: Site) -> None:
    table = people(200_000)
    result = site.run(table)
    out = site.open(result)
    assert out["result"]["last"] == table["last"]
    assert out["row_status"]["row"].to_pylist() == list(range(200_000))
    volumes = result.receipt.claims.volumes
    assert (volumes.rows_in, volumes.rows_out) == (200_000, 200_000)


def test_padded_outputs_have_power_of_two_plaintext(site: Site) -> None:
    result = site.run(people(1000), site.spec(size_class="power_of_two"))
    for part in result.receipt.claims.outputs:
        segments = -(-(part.bytes - 74) // (1 << 20))
        plain = part.bytes - 74 - 32 * segments
        assert plain & (plain - 1) == 0
    assert site.open(result)["result"].num_rows == 1000
