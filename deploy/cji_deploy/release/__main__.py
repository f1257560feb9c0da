"""The last step of `tools/release`: what goes with the packages, and with the image if there is one.

| file | contents |
|---|---|
| *.whl, cji-worker-VERSION.tar.gz | packages; the source as git has it |
| image/ | the results of `make image` |
| requirements.lock | each package of others, with the digests of its files |
| sbom.cdx.json, provenance.intoto.json | contents of the packages; their inputs, as a signed statement |
| SHA256SUMS, SHA256SUMS.sig, cosign.pub | digests of all of these; their signature, and its key |
"""

import argparse
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from cji_core.certs import load_private_key
from cji_deploy.image.provenance import enveloped, provenance
from cji_deploy.image.sbom import dependencies, sbom, wheels
from cji_deploy.image.signature import SignatureError, digest_of, file_digest, sign, sums, verify
from cji_deploy.release.folder import (
    IMAGE,
    LOCK,
    PROVENANCE,
    PUBLIC,
    SBOM,
    SIGNATURE,
    SUMS,
    ReleaseFolderError,
    require_image,
)


def main() -> int:
    """Write everything into the folder with the packages and print the digests."""
    parser = argparse.ArgumentParser(prog="python -m cji_deploy.release")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cosign-key", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--epoch", type=int, required=True)
    given = parser.parse_args()
    folder: Path = given.folder
    public = _public(given.cosign_key)
    if (folder / IMAGE).is_dir():
        try:
            require_image(folder / IMAGE, public, commit=given.commit)
        except (ReleaseFolderError, SignatureError, OSError) as error:
            print(f"not a release: {error}", file=sys.stderr)
            return 1
    packages = sorted(one for one in folder.iterdir() if one.suffix in {".whl", ".gz", ".deb", ".zip"})
    subjects = {one.name: file_digest(one).hex() for one in packages}
    lock = (folder / LOCK).read_text()
    components = [*wheels(one for one in packages if one.suffix == ".whl"), *dependencies(lock)]
    digest = digest_of("".join(sorted(subjects.values())).encode()).hex()
    (folder / SBOM).write_bytes(
        sbom(components, version=given.version, digest=digest, created=given.epoch, of="release")
    )
    statement = provenance(
        subjects,
        builder="tools/release",
        commit=given.commit,
        modified=False,
        external={"version": given.version},
        internal={"sourceDateEpoch": given.epoch},
        materials=[(f"file:{LOCK}", digest_of(lock.encode()).hex())],
        tools={"hatchling": version("hatchling"), "python": platform.python_version()},
    )
    (folder / PROVENANCE).write_bytes(enveloped(statement, given.cosign_key))
    lines = sums(folder)
    (folder / SUMS).write_bytes(lines)
    signature = sign(folder / SUMS, given.cosign_key)
    verify(folder / SUMS, signature, public)
    (folder / PUBLIC).write_bytes(public)
    (folder / SIGNATURE).write_text(f"{signature}\n")
    print(lines.decode(), end="")
    return 0


def _public(key_file: Path) -> bytes:
    public = load_private_key(key_file.read_bytes()).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


if __name__ == "__main__":
    sys.exit(main())
