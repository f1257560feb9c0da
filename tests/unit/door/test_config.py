"""The configuration of the door: what nginx reads, and that no value of worker.toml adds a line to it."""

import re
import shutil
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from cji_core.command import build
from cji_core.errors import StartupError
from cji_core.format.configuration.fleet import FleetSection, PoolLedgerSection
from cji_core.format.configuration.worker import Config, load
from cji_simulator.certificates import authority, leaf, pem, private_pem
from cji_worker.door.config import Build, door_config, socket_unit
from cji_worker.door.program import installed, refusal
from cji_worker.fronts import socket_of
from tests.support import json_answers
from tests.support.fips import configured
from tests.support.worker_configs import WORKER_CONFIG

FILES = ("certificate", "private_key", "client_roots")
PATHS = (*FILES, "socket")
BUILD = Build((1, 26), (3, 5), None)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """With TLS files that nginx can load."""
    folder = tmp_path_factory.mktemp("door")
    ca = authority("CA", ec.generate_private_key(ec.SECP256R1()))
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "server.pem").write_bytes(pem(leaf("worker", key, ca, hosts=["localhost"]).certificate))
    (folder / "server.key").write_bytes(private_pem(key))
    (folder / "roots.pem").write_bytes(pem(ca.certificate))
    (folder / "worker.toml").write_text(WORKER_CONFIG)
    return load(folder / "worker.toml")


def changed(config: Config, **changes: Any) -> Config:
    return msgspec.structs.replace(config, listen=msgspec.structs.replace(config.listen, **changes))


def test_nginx_accepts_it(config: Config) -> None:
    for fronts in (1, 2, 16):
        assert refusal(with_fronts(config, fronts), installed()) == ""


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_nginx_accepts_an_address_of_ipv6(config: Config) -> None:
    assert refusal(changed(config, host="::"), installed()) == ""


def share(address: str) -> str:
    """The key under which nginx counts this address: the first expression of the map that matches."""
    lines = door_config(msgspec.toml.decode(WORKER_CONFIG, type=Config), BUILD).partition("map $remote_addr")[2]
    for expression, value in re.findall(r'"~(.*)" (.*);', lines.partition("}\n")[0]):
        if found := re.search(expression, address):
            return str(value).replace("$1", found[1])
    return address


@given(st.ip_addresses(v=6), st.sets(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_a_network_of_ipv6_has_few_shares(network: IPv6Address, hosts: set[int]) -> None:
    """An owner of a /64 has at most two: its addresses are written with the zeros of its first half, or without."""
    head = int(network) >> 64 << 64
    if head:  # ::/64 has no hosts
        assert len({share(str(IPv6Address(head + host))) for host in hosts}) <= 2


@given(st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_networks_of_ipv6_do_not_share(one: IPv6Address, other: IPv6Address) -> None:
    heads = [str(each).split(":")[:4] for each in (one, other)]
    if heads[0] != heads[1] and "" not in (*heads[0], *heads[1]):
        assert share(str(one)) != share(str(other))


@given(st.ip_addresses(v=4))
def test_an_address_of_ipv4_has_one_share(address: IPv4Address) -> None:
    assert share(str(address)) == share(f"::ffff:{address}") == str(address)


@pytest.mark.parametrize("name", ["a space", "a#hash", "a%[src]", "ä", "a;b", "{X}", "a:b"])
def test_nginx_reads_every_path_as_it_is(config: Config, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    files = {each: getattr(config.listen, each) for each in FILES}
    moved = {each: str(folder / Path(path).name) for each, path in files.items()}
    for each, path in files.items():
        shutil.copy(path, moved[each])
    assert refusal(changed(config, **moved), installed()) == ""
    for each in FILES:
        assert refusal(changed(config, **{**moved, each: str(folder / "absent")}), installed()) != ""


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("bad", ["a'b", 'a"b', "a$b", "a\\b", "a\nb", "a\x00b", "a\x7fb", "a\u2028b"])
def test_a_path_that_could_be_misread_is_refused(config: Config, path: str, bad: str) -> None:
    with pytest.raises(StartupError, match="door's configuration"):
        door_config(changed(config, **{path: f"/{bad}/file"}), BUILD)


@pytest.mark.parametrize("bad", ["a b", "a;b", "a:b", "a{b", "a}b", "a#b", "ä"])
def test_a_socket_of_other_characters_is_refused(config: Config, bad: str) -> None:
    for make in (lambda found: door_config(found, BUILD), socket_unit):
        with pytest.raises(StartupError, match=r"socket of \[listen\]"):
            make(changed(config, socket=f"/run/{bad}/front.sock"))


@given(path=st.sampled_from(PATHS), text=st.text(min_size=1, max_size=60))
def test_no_path_adds_a_line(path: str, text: str) -> None:
    base = msgspec.toml.decode(WORKER_CONFIG, type=Config)
    try:
        found = door_config(changed(base, **{path: text}), BUILD)
    except StartupError:
        return
    assert len(found.splitlines()) == len(door_config(base, BUILD).splitlines())
    assert found.replace(text, "") != found


def test_values_of_the_configuration_arrive(config: Config) -> None:
    limits = msgspec.structs.replace(config.limits, connections_per_address=7, max_job_seconds=100, idle_seconds=11)
    text = door_config(msgspec.structs.replace(config, limits=limits), BUILD)
    assert "limit_conn address 7;" in text
    assert text.count("160s") == 5  # a stream may last as long as the longest job, and a minute
    assert "send_timeout 71s;" in text
    assert "load_module" not in text
    assert 'load_module "/m.so";' in door_config(config, Build((1, 26), (3, 0), "/m.so"))
    assert "ssl_ecdh_curve P-384:P-256;" in door_config(config, Build((1, 26), (3, 0), None))


def test_an_idle_connection_ends_within_an_hour(config: Config) -> None:
    """SC-10: half an hour without a call, whatever worker.toml says."""
    text = door_config(config, BUILD)
    assert re.findall(r"^ *keepalive_timeout (\d+)s;$", text, re.MULTILINE) == ["1800"] * text.count("listen 0.0.0.0")


def test_the_door_has_one_server_where_the_kernel_counts(config: Config) -> None:
    limits = msgspec.structs.replace(config.limits, connections_counted_by="firewall")
    found = msgspec.structs.replace(config, limits=limits)
    text = door_config(found, Build((1, 26), (3, 0), "/m.so"))
    assert refusal(found, installed()) == ""
    assert not re.search("stream \\{|limit_conn|proxy_protocol|load_module|/tls ", text)
    assert text.count("listen 0.0.0.0:8443 ssl ") == text.count("listen ") == 1
    assert "[$remote_addr]:$remote_port;" in text


def test_the_door_loads_in_a_fips_module(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in configured(tmp_path / "fips").items():
        monkeypatch.setenv(name, value)
    assert refusal(config, installed()) == ""
    monkeypatch.setenv("OPENSSL_MODULES", str(tmp_path))
    assert refusal(config, installed()) != ""


@pytest.mark.parametrize(
    ("host", "stream"),
    [("0.0.0.0", "0.0.0.0:8443"), ("::", "[::]:8443"), ("[::1]", "[::1]:8443"), ("10.0.0.4", "10.0.0.4:8443")],
)
def test_socket_unit_has_all_sockets(config: Config, host: str, stream: str) -> None:
    found = changed(config, host=host, socket="/run/cji-door/front.sock")
    assert socket_unit(found).splitlines()[1:] == [
        "[Socket]",
        "ListenStream=",
        f"ListenStream={stream}",
        "ListenStream=/run/cji-door/door/tls",
        f"ListenStream={stream.replace('8443', '8444')}",
    ]
    assert f"listen {stream} " in door_config(found, BUILD)
    assert ("ipv6only=off" in door_config(found, BUILD)) is (":" in host)


@pytest.mark.parametrize("host", ["localhost", "1.2.3.4\nExecStartPre=/bin/sh", "%h"])
def test_an_address_is_needed(config: Config, host: str) -> None:
    for make in (lambda found: door_config(found, BUILD), socket_unit):
        with pytest.raises(StartupError, match=r"listen\.host"):
            make(changed(config, host=host))


def test_the_command_prints_both(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "worker.toml"
    path.write_text(WORKER_CONFIG)
    for verb, expected in (("config", door_config(load(path), installed())), ("socket", socket_unit(load(path)))):
        assert CliRunner().invoke(build(), ["door", verb, "--config", str(path)]).stdout == expected


def test_the_command_explains_what_is_wrong(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "worker.toml"
    path.write_text(WORKER_CONFIG)
    result = CliRunner().invoke(build(), ["door", "check", "--config", str(path)])
    assert result.exit_code == 1
    assert "certificate: it does not exist" in result.output
    told = json_answers.refusal(CliRunner().invoke(build(), ["door", "check", "--config", str(path), "--json"]))
    assert (told.reason, told.message in result.output) == ("REFUSED", True)


def test_one_front_is_one_worker_of_the_door(config: Config) -> None:
    text = door_config(with_fronts(config, 1), BUILD)
    assert "worker_processes 1;" in text
    assert text.count("max_conns=1024") == 1
    assert "grpc_next_upstream off;" in text
    assert "least_conn" not in text


@pytest.mark.parametrize("fronts", [2, 4, 16])
def test_the_door_divides_calls_over_the_fronts(config: Config, fronts: int) -> None:
    """Counted by all its workers together; a call that no front took, because none listens there, goes to the next."""
    text = door_config(with_fronts(config, fronts), BUILD)
    servers = re.findall(r"server unix:(\S+) max_conns=(\d+) max_fails=0;", text)
    assert servers == [(socket_of(config.listen.socket, n), str(1024 // fronts)) for n in range(fronts)]
    assert f"worker_processes {fronts};" in text
    assert re.search(r"zone \w+ 64k;\s+least_conn;\s+server unix:", text)
    assert "grpc_next_upstream error;" in text
    places = re.search(r"worker_connections (\d+);", text)
    assert places
    assert int(places[1]) == 2 * 4369 // fronts


def with_engine(config: Config, folder: Path, **changes: Any) -> Config:
    fleet = FleetSection(
        blob_url="https://b.example",
        queue_url="https://q.example",
        **{"tasks_socket": str(folder / "tasks.sock"), "engine_roots": config.listen.client_roots, **changes},
    )
    ledger = PoolLedgerSection(kind="pool", blob_url="https://b.example")
    return msgspec.structs.replace(config, fleet=fleet, ledger=ledger)


@pytest.mark.parametrize("counted_by", ["door", "firewall"])
def test_a_third_server_takes_tasks(config: Config, tmp_path: Path, counted_by: str) -> None:
    """With TLS as the other one has it, authorities of its own, and the socket for tasks behind it."""
    limits = msgspec.structs.replace(config.limits, connections_counted_by=counted_by)
    text = door_config(found := msgspec.structs.replace(with_engine(config, tmp_path), limits=limits), BUILD)
    assert refusal(found, installed()) == ""
    assert "listen 0.0.0.0:8444 ssl " in text
    assert f"proxy_pass unix:{tmp_path}/tasks.sock;" in text
    for once_each in ("ssl_verify_client on;", "Ciphersuites", "VerifyMode Require;", "ssl_session_tickets off;"):
        assert text.count(once_each) == 2, once_each
    assert "8444" not in door_config(config, BUILD)
    assert "8444" not in door_config(with_engine(config, tmp_path, engine_roots=None), BUILD)


def test_tasks_need_a_socket_behind_the_door(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="engine_roots needs tasks_socket"):
        with_engine(config, tmp_path, tasks_socket=None)


def with_fronts(config: Config, fronts: int) -> Config:
    return msgspec.structs.replace(config, worker=msgspec.structs.replace(config.worker, fronts=fronts))
