"""The keys of logs and witnesses, for `cji log` and `cji witness`: made, and shown as vkeys."""

from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_core.command.common import FILE, Failure
from cji_core.command.json_output import member, print_answer
from cji_core.tlog.keys import COSIGNED_ML_DSA_44, NoteSigner, new_signers, write_signers
from cji_core.trail.checkpoint import CheckpointError

OUT: Final = click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The new key file."
)
KEY_FILE: Final = click.argument("key_file", type=FILE)
PKCS11: Final = click.option(
    "--pkcs11", "pkcs11_file", type=FILE, help="Ed25519 in a token; the file has pkcs11, token, label and pin_file."
)
EXISTING: Final = click.option(
    "--existing", is_flag=True, help="With --pkcs11: use the pair of this label, which you made with another tool."
)


class NoteKeys(msgspec.Struct, frozen=True, kw_only=True):
    """`cji log key`, `cji witness key` and both `vkeys`: a key file, and with --pkcs11 a key in a token."""

    file: Annotated[str, member("the key file")]
    name: Annotated[str, member("the name of the keys")]
    vkeys: Annotated[tuple[str, ...], member("the public keys, for policies and witnesses")]


def make_keys(
    name: str, out: Path, pkcs11_file: Path | None, *, kinds: tuple[int, ...], existing: bool, as_json: bool
) -> None:
    """Make keys of these types under one name, write them and print their vkeys."""
    from cji_core.tlog.token_keys import new_in_token  # noqa: PLC0415 - for these verbs alone

    if existing and pkcs11_file is None:
        raise Failure("--existing is for a key in a token", remedy="Name the token with --pkcs11.", status=2)
    try:
        if pkcs11_file is None:
            signers = new_signers(name, kinds)
            write_signers(out, signers)
            return _print(signers, out, as_json=as_json)
        in_file = new_signers(name, (COSIGNED_ML_DSA_44,))
        write_signers(out, in_file)  # first: what cannot be written leaves no key in the token
        try:
            with new_in_token(pkcs11_file, name, kinds=kinds, existing=existing) as in_token:
                _print((in_token, *in_file), out, as_json=as_json)
        except BaseException:
            out.unlink()
            raise
    except CheckpointError as error:
        remedy = "Use printable characters without blanks and plus signs, such as log.pd.example/trails."
        raise Failure(f"{name!a} cannot be the name of a key", remedy=remedy, status=2) from error
    except OSError as error:
        raise Failure(f"{out} cannot be written ({error.strerror})", remedy="Name a new file.", status=2) from error


def show_keys(key_file: Path, pkcs11_file: Path | None, *, kinds: tuple[int, ...], as_json: bool) -> None:
    """Print the vkeys of the keys that a server would use."""
    from cji_core.tlog.token_keys import signers_of  # noqa: PLC0415 - for these verbs alone

    with signers_of(key_file, pkcs11_file, kinds=kinds) as signers:
        _print(signers, key_file, as_json=as_json)


def _print(signers: tuple[NoteSigner, ...], file: Path, *, as_json: bool) -> None:
    vkeys = tuple(each.key.vkey for each in signers)
    print_answer(NoteKeys(file=str(file), name=signers[0].key.name, vkeys=vkeys), "\n".join(vkeys), as_json=as_json)
