"""The configuration of nginx, which this file alone makes. Pure text, but for the cores that `fronts = "auto"` counts.

Two servers in one program: the outer one counts connections and passes their bytes on, with the caller's address
(PROXY protocol); the inner one, on a socket that only the door's user can reach, ends TLS and speaks HTTP/2. Where the
kernel counts (`by_firewall`), the outer one is left out: it copies every byte twice, and is a third of the door's cost.

A third server, where worker.toml names `engine_roots`, takes tasks of jobs in parts from an engine on another machine:
it ends TLS and passes the bytes on to `tasks_socket`, which takes names and gives sizes. Its authority is the engine's,
so no certificate of a submitter opens it, and none of the engine opens the submitters' server.

Contract and invariants
* TLS 1.3 with TLS_AES_256_GCM_SHA384 and nothing else (CJISSECPOL SC-13: 256-bit keys in transit), without resumption.
  A group is a hybrid with ML-KEM where OpenSSL has it, else a NIST curve: never X25519 alone, which FIPS modules lack.
* A caller without a certificate does not complete the handshake; one whose certificate leads to no root does, because
  nginx looks at the outcome with the first request, and gets UNAUTHENTICATED. Revocation is the front's, at every call,
  on open connections too, so that there is one list, and a Reason.
* The names of `report` are set by the door, whatever a caller sends under them. HTTP/1 gets no answer.
* Bodies pass as they come: `grpc_pass` streams, so nothing is written to a file. A call has a connection to the front
  of its own, so one that does not read holds up nobody else's.
* What a caller can make it hold is bounded: connections together and for each address, time for a handshake and
  without a call, streams, header bytes, memory for a body. Where connections run out, nginx closes those that wait
  longest for a handshake or a call, so a crowd of silent ones shuts nobody out.
* As many workers as there are fronts. A call goes to the front that has the fewest, counted over all workers; one that
  no connection was made for goes to the next, and never one that was sent. Limits are shared by the workers, but for
  the places of connections: each worker has twice its part of them, since the kernel divides connections unevenly.
* The log has faults of the door and its fronts, never a refused caller: nobody can fill it.

Sources: nginx 1.26 documentation; SSL_CONF_cmd(3) for `ssl_conf_command`; figures in docs/benchmarks.md.
"""

import os
from dataclasses import dataclass
from typing import Final

import msgspec

from cji_core.errors import StartupError
from cji_core.format.configuration.door_files import listen_address, socket_path
from cji_core.format.configuration.fleet import ENGINE_PORT, FleetSection
from cji_core.format.configuration.worker import Config
from cji_worker.door.report import CERTIFICATE_HEADER, CIPHER, MAX_CALLS, PROTOCOL, SOURCE_HEADER, TLS_HEADER
from cji_worker.fronts import front_count, socket_of

MAX_CONNECTIONS: Final = 1024
"""Of all addresses together, beside as many calls; then the longest silent ones are closed for new ones."""
HANDSHAKE_S: Final = 10
IDLE_S: Final = 30 * 60
"""CJISSECPOL SC-10: a session ends within an hour of inactivity."""
GRACE_S: Final = 60
_STREAMS: Final = 256
_MAX_TASKS: Final = 64
"""Connections of the engine, as many as the fleet process serves; half as many handshakes again find a place."""

_TEMPLATE: Final = """\
# Written by `cji door config`. Change worker.toml and write it again.
{load_stream}daemon off;
pid {folder}/pid;
error_log stderr crit;
worker_processes {workers};
worker_rlimit_nofile {files};
worker_shutdown_timeout {stream_s}s;

events {{
    worker_connections {places};
}}

{stream}http {{
    access_log off;
    server_tokens off;
    http2_recv_buffer_size 1m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;

    upstream front {{
{balance}        keepalive 32;
    }}

    server {{
        listen {tls};
        http2 on;
{tls_files}        ssl_client_certificate {client_roots};
        error_page 495 496 = /refused;
        error_page 400 494 497 =444 /ended;

        client_header_timeout {handshake_s}s;
        keepalive_timeout {idle_s}s;
        keepalive_time 1h;
        keepalive_requests 10000;
        client_body_timeout {stream_s}s;
        send_timeout {send_s}s;
        large_client_header_buffers 2 20k;
        http2_max_concurrent_streams {streams};
        http2_body_preread_size 256k;
        http2_chunk_size 1m;
        client_body_buffer_size 256k;
        client_max_body_size 0;

        if ($server_protocol != HTTP/2.0) {{
            return 444;
        }}
        # answers in headers alone, as gRPC has them: the body of a page of nginx's would end a call as INTERNAL
        default_type application/grpc;
        if ($is_args) {{
            rewrite ^ /unknown last;
        }}
        location / {{
            add_header grpc-status 12;
            return 204;
        }}
        location = /ended {{
            internal;
            return 444;
        }}
        location = /refused {{
            internal;
            add_header grpc-status 16;
            return 204;
        }}
        location ~ "^/(cji[.]worker[.]v1[.]CjiWorker|grpc[.]health[.]v1[.]Health)/[A-Za-z]{{1,32}}$" {{
            grpc_pass grpc://front;
            grpc_set_header {certificate_header} $ssl_client_escaped_cert;
            grpc_set_header {source_header} {source};
            grpc_set_header {tls_header} "$ssl_protocol $ssl_cipher $ssl_client_verify";
            grpc_buffer_size 1m;
            grpc_connect_timeout 5s;
            grpc_send_timeout {stream_s}s;
            grpc_read_timeout {stream_s}s;
            grpc_next_upstream {next};
        }}
    }}
}}
"""

_TLS: Final = """\
        ssl_certificate {certificate};
        ssl_certificate_key {private_key};
        ssl_protocols {protocol};
        ssl_conf_command Ciphersuites {cipher};
        ssl_ecdh_curve {groups};
        ssl_verify_client on;
        ssl_verify_depth 4;
        ssl_conf_command VerifyMode Require;
        ssl_session_cache off;
        ssl_session_tickets off;
"""
"""Of each server that ends TLS, but for its authorities."""

_COUNTING: Final = """\
    # an address of IPv6 counts with its /64; one that shortens its first half, with what it shows of that
    map $remote_addr $share {{
        "~^::ffff:([0-9.]+)$" $1;
        "~^((?:[0-9a-f]+:){{4}})" $1;
        "~^((?:[0-9a-f]+:)*):" $1:;
        default $remote_addr;
    }}
    limit_conn_zone $share zone=address:1m;
    limit_conn_log_level info;

    server {{
        listen {listener};
        limit_conn address {per_address};
        proxy_pass unix:{folder}/tls;
        proxy_protocol on;
        proxy_connect_timeout 5s;
        proxy_timeout {stream_s}s;
        proxy_buffer_size 64k;
    }}
"""
"""The outer server, where the door counts."""

_TASKS: Final = """\
    limit_conn_zone $server_port zone=tasks:64k;

    server {{
        listen {listener};
        limit_conn tasks {connections};
{tls_files}        ssl_client_certificate {roots};
        ssl_handshake_timeout {handshake_s}s;
        proxy_pass unix:{socket};
        proxy_connect_timeout 5s;
        proxy_timeout {stream_s}s;
    }}
"""
"""The server for an engine on another machine."""


@dataclass(frozen=True, slots=True)
class Build:
    """A build of nginx: its version, that of OpenSSL, the file of the stream module, or None if that is built in."""

    version: tuple[int, ...]
    openssl: tuple[int, ...]
    stream_module: str | None

    @property
    def groups(self) -> str:
        """Key exchange: the hybrid where OpenSSL and its modules have it, then curves of NIST's."""
        return f"{'?X25519MLKEM768:' if self.openssl >= (3, 5) else ''}P-384:P-256"


def private_folder(config: Config) -> str:
    """The folder that only the door's user may enter, beside the front's socket."""
    return f"{os.path.dirname(config.listen.socket)}/door"


def by_firewall(config: Config) -> bool:
    """Whether the kernel counts the connections of an address (`firewall`), and not the door."""
    return config.limits.connections_counted_by == "firewall"


def for_engine(config: Config) -> FleetSection | None:
    """The section of a worker whose door takes tasks from an engine on another machine, else None."""
    fleet = config.fleet
    return None if fleet is None or fleet.engine_roots is None else fleet


def door_config(config: Config, build: Build) -> str:
    """The configuration of the door of this worker. Raises StartupError for a path that nginx could misread."""
    listen, limits, fronts = config.listen, config.limits, front_count(config.worker.fronts)
    folder, places = socket_path(private_folder(config)), _places(config, fronts)
    if by_firewall(config):
        tls, source = _listener(config, listen.port, " ssl"), "[$remote_addr]:$remote_port"
    else:
        tls, source = f"unix:{folder}/tls ssl proxy_protocol", "[$proxy_protocol_addr]:$proxy_protocol_port"
    tls_files = _TLS.format(
        certificate=_path(listen.certificate),
        private_key=_path(listen.private_key),
        protocol=PROTOCOL,
        cipher=CIPHER,
        groups=build.groups,
    )
    stream = _stream(config, tls_files)
    module = build.stream_module if stream else None
    return _TEMPLATE.format(
        load_stream="" if module is None else f"load_module {_path(module)};\n",
        stream=stream,
        tls=tls,
        source=source,
        folder=folder,
        workers=fronts,
        balance=_balance(listen.socket, fronts),
        next="error" if fronts > 1 else "off",
        places=places,
        files=places + 64,
        stream_s=_stream_s(config),
        tls_files=tls_files,
        client_roots=_path(listen.client_roots),
        handshake_s=HANDSHAKE_S,
        idle_s=IDLE_S,
        send_s=limits.idle_seconds + GRACE_S,
        streams=_STREAMS,
        certificate_header=CERTIFICATE_HEADER,
        source_header=SOURCE_HEADER,
        tls_header=TLS_HEADER,
    )


def _stream_s(config: Config) -> int:
    """Longest silence of a call or task."""
    return config.limits.max_job_seconds + GRACE_S


def _listener(config: Config, port: int, more: str = "") -> str:
    """The value of `listen`, for the address of the door and this port."""
    address = listen_address(msgspec.structs.replace(config.listen, port=port))
    both = " ipv6only=off" if address.startswith("[") else ""
    return f"{address}{more} backlog=1024 so_keepalive=60:20:3{both}"


def _stream(config: Config, tls_files: str) -> str:
    """The servers that pass bytes on, or nothing."""
    servers, engine = [], for_engine(config)
    if not by_firewall(config):
        servers.append(
            _COUNTING.format(
                listener=_listener(config, config.listen.port),
                folder=socket_path(private_folder(config)),
                per_address=config.limits.connections_per_address,
                stream_s=_stream_s(config),
            )
        )
    if engine is not None:
        servers.append(
            _TASKS.format(
                listener=_listener(config, engine.engine_port, " ssl"),
                connections=_MAX_TASKS * 3 // 2,
                tls_files=tls_files,
                roots=_path(engine.engine_roots or ""),
                handshake_s=HANDSHAKE_S,
                socket=socket_path(engine.tasks_socket or ""),
                stream_s=_stream_s(config),
            )
        )
    return f"stream {{\n{''.join(servers)}}}\n\n" if servers else ""


def _balance(socket: str, fronts: int) -> str:
    """The fronts of the upstream: a call goes to the one with the fewest, as all workers of the door count together."""
    first = "" if fronts == 1 else "        zone fronts 64k;\n        least_conn;\n"
    servers = (
        f"        server unix:{socket_path(socket_of(socket, number))} max_conns={MAX_CALLS // fronts} max_fails=0;\n"
        for number in range(fronts)
    )
    return first + "".join(servers)


def _places(config: Config, fronts: int) -> int:
    """Of one worker: one for each call and each connection, two more for one that the door counts, two for a task.

    nginx begins to close silent connections when a sixteenth is left.
    """
    tasks = 0 if for_engine(config) is None else 3 * _MAX_TASKS
    connections = (1 if by_firewall(config) else 3) * MAX_CONNECTIONS + tasks
    places = (connections + MAX_CALLS) * 16 // 15
    return places if fronts == 1 else places * 2 // fronts


def socket_unit(config: Config) -> str:
    """The drop-in of cji-door.socket: the sockets that the door inherits. Raises StartupError for a host's name.

    The door closes one for which it has no server: the unit names all three, so that it never changes.
    """
    inner = socket_path(f"{private_folder(config)}/tls").replace("%", "%%")
    outer = listen_address(config.listen)
    port = ENGINE_PORT if config.fleet is None else config.fleet.engine_port
    tasks = listen_address(msgspec.structs.replace(config.listen, port=port))
    streams = "".join(f"ListenStream={each}\n" for each in ("", outer, inner, tasks))
    return f"# Written by `cji door socket`.\n[Socket]\n{streams}"


def _path(text: str) -> str:
    """In quotes, so that nginx takes every character as it is."""
    if not text.isprintable() or any(character in text for character in "\"'\\$"):
        raise StartupError(
            f"{text!a} cannot be written into the door's configuration", "Use a path without quotes, $ and backslash."
        )
    return f'"{text}"'
