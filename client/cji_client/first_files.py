"""The first files of a submitter: client.toml, the keys that are missing, job.toml and a sample of made-up records.

All or none: nothing is overwritten, and what was written goes again if the whole cannot be read back as a profile and a
job spec. What the worker's operator handed out stays where it is: client.toml names it as `pool`.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cji_client.errors import SpecError
from cji_client.new_keys import NewFiles, make_recipient_key, make_signing_key
from cji_client.profile import load_profile, read_pool
from cji_client.samples import SAMPLES
from cji_client.spec import load_spec
from cji_core.format.keys import new_signing_key, save_private_key
from cji_core.suites import Suite

PROFILE: Final = "client.toml"
SPEC: Final = "job.toml"
RECORDS: Final = "sample.csv"
REQUEST: Final = "client.csr"
_CERTIFICATE, _TLS_KEY = "client.pem", "client.key"
_SIGNING, _RECIPIENT = "signing.key", "recipient.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The answers. Without a certificate, that of `pool` is used, else a request for one is made."""

    pool: Path
    ori: str
    operator: str
    operation: str
    purpose: str
    certificate: Path | None = None
    private_key: Path | None = None
    signing_key: Path | None = None
    recipient_key: Path | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A file, what it is, and whether it is for the worker's operator."""

    path: Path
    what: str
    hand_out: bool = False


@dataclass(slots=True)
class _Folder:
    """New files of a folder, removed again unless `keep` is called."""

    path: Path
    written: list[Written] = field(default_factory=list)
    undo: ExitStack = field(default_factory=ExitStack)

    def add(self, name: str, what: str, write: Callable[[Path], object], *, hand_out: bool = False) -> None:
        path = self.path / name
        write(path)
        self.undo.callback(path.unlink, missing_ok=True)
        self.written.append(Written(path, what, hand_out))

    def key(self, name: str, what: str, make: Callable[[Path], NewFiles]) -> NewFiles:
        """A new key; the second file is its public half."""
        made = make(self.path / name)
        for path in (made.private, made.public):
            self.undo.callback(path.unlink, missing_ok=True)
        self.written += [Written(made.private, what), Written(made.public, "its public half", hand_out=True)]
        return made

    def text(self, name: str, what: str, text: str) -> None:
        def write(path: Path) -> None:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)

        self.add(name, what, write)


def write_first_files(folder: Path, choices: Choices) -> list[Written]:
    """Write all files into `folder`, which may exist. SpecError names what is there already, or cannot be used."""
    pool = read_pool(choices.pool)
    if present := [name for name in _names(pool, choices) if (folder / name).exists()]:
        remedy = "Name another folder, or move these files away: none is ever overwritten."
        raise SpecError(f"{folder} has {', '.join(present)} already", remedy=remedy)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = _Folder(folder)
        with made.undo:
            _write(made, pool, choices)
            profile = load_profile(folder / PROFILE)
            load_spec(folder / SPEC, defaults=profile.job)
            if choices.certificate is not None:
                profile.tls()
            made.undo.pop_all()
    except OSError as error:
        raise SpecError(f"{error.filename or folder} cannot be written ({error.strerror})") from None
    return made.written


def default_ori(pool: dict[str, Any]) -> str:
    """The agency that the operator's file names, "" if it names none."""
    job = pool.get("job")
    found = job.get("originating_ori") if isinstance(job, dict) else None
    return found if isinstance(found, str) else ""


def _names(pool: dict[str, Any], choices: Choices) -> Iterator[str]:
    yield from (PROFILE, SPEC, RECORDS)
    if _needs_certificate(pool, choices):
        yield from (REQUEST, _TLS_KEY, _CERTIFICATE)
    if _needs(pool, choices.signing_key, "signing_key", "signer"):
        yield from (_SIGNING, f"{_SIGNING}.pub")
    if _needs(pool, choices.recipient_key, "recipient_key", "decrypter"):
        yield from (_RECIPIENT, f"{_RECIPIENT}.jwk")


def _needs_certificate(pool: dict[str, Any], choices: Choices) -> bool:
    return choices.certificate is None and "certificate" not in pool


def _needs(pool: dict[str, Any], chosen: Path | None, *names: str) -> bool:
    return chosen is None and not any(pool.get(name) for name in names)


def _write(made: _Folder, pool: dict[str, Any], choices: Choices) -> None:
    job = pool.get("job")
    hybrid = isinstance(job, dict) and job.get("suite") == Suite.HYBRID_1
    head = {"pool": str(choices.pool.resolve())}
    if _needs_certificate(pool, choices):
        key = new_signing_key()
        made.add(
            _TLS_KEY, "your key for the connection, secret", lambda path: save_private_key(key, path, passphrase=None)
        )
        made.add(
            REQUEST,
            "request for your certificate",
            lambda path: path.write_bytes(_request(key, choices.ori)),
            hand_out=True,
        )
        head |= {"certificate": _CERTIFICATE, "private_key": _TLS_KEY}
    elif choices.certificate is not None:
        key_file = choices.private_key or choices.certificate.with_suffix(".key")
        head |= {"certificate": str(choices.certificate.resolve()), "private_key": str(key_file.resolve())}
    recipients = None
    if _needs(pool, choices.signing_key, "signing_key", "signer"):
        made.key(_SIGNING, "signs your jobs, secret", partial(make_signing_key, hybrid=hybrid))
        head["signing_key"] = _SIGNING
    elif choices.signing_key is not None:
        head["signing_key"] = str(choices.signing_key.resolve())
    if _needs(pool, choices.recipient_key, "recipient_key", "decrypter"):
        new = made.key(_RECIPIENT, "opens your results, secret", partial(make_recipient_key, hybrid=hybrid))
        head["recipient_key"], recipients = _RECIPIENT, new.public.name
    elif choices.recipient_key is not None:
        head["recipient_key"] = str(choices.recipient_key.resolve())
        recipients = f"{choices.recipient_key.resolve()}.jwk"
    made.text(PROFILE, "the worker, your keys, and defaults of your jobs", _profile(head, choices, recipients))
    made.text(SPEC, f"a first job: {SAMPLES[choices.operation].does}", _spec(choices))
    made.text(RECORDS, "made-up persons for it", SAMPLES[choices.operation].records)


def _request(key: ec.EllipticCurvePrivateKey, ori: str) -> bytes:
    """A request (PKCS#10) in the agency's name; the authority adds the URI by which the worker's policy knows it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ori)])
    request = x509.CertificateSigningRequestBuilder(name).sign(key, hashes.SHA384())
    return request.public_bytes(Encoding.PEM)


_EXPLAINED: Final = {
    "pool": "from the worker's operator: address, authorities, the worker's key, what its machine must be",
    "certificate": "identifies you to the worker",
    "private_key": "of the certificate",
    "signing_key": "signs your jobs",
    "recipient_key": "opens your results",
}


def _profile(head: dict[str, str], choices: Choices, recipients: str | None) -> str:
    lines = [
        f"# A submitter's profile, made by `cji init` on {datetime.now(UTC):%Y-%m-%d}; docs/job.md explains each line.",
        "# Names of files are relative to this folder. What stands here comes before what the file of `pool` has.",
        "",
        *(f"{name} = {_text(value)}   # {_EXPLAINED[name]}" for name, value in head.items()),
        "",
        "[job]   # defaults of every job.toml",
        f"originating_ori = {_text(choices.ori)}   # the agency that the records come from",
        f"requesting_ori = {_text(choices.ori)}   # the agency that asks; the worker's policy applies to it",
        f"operator_id = {_text(choices.operator)}   # the person at the keyboard; sealed, and in the worker's trail",
        f"requestor = {_text(choices.operator)}   # the person who needs the result",
    ]
    if recipients is not None:
        lines.append(f"recipients = [{_text(recipients)}]   # public keys that may open results")
    return "\n".join([*lines, ""])


def _spec(choices: Choices) -> str:
    return f"""\
# One job, made by `cji init`; docs/job.md has every field. Run it, from this folder, with
#   cji job run {RECORDS} --spec {SPEC} --profile {PROFILE} --out result

reason = "Sample of made-up records"  # why; sealed in the job
purpose_code = {_text(choices.purpose)}                    # C is criminal justice; docs/policy.md lists the codes
# case_number = "2026-000123"

[input]
schema = "person/1"                   # what columns may be called: cji schema show person/1
# rename = {{ surname = "last" }}       # from names in your file
# drop = ["remarks"]                  # columns that are not sent

{SAMPLES[choices.operation].body}"""


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    return json.dumps(value, ensure_ascii=False)
