"""The initrd that systemd-stub gives to the kernel: the image's own, then archives of what the stub passes on.

The stub puts the sections .pcrsig, .pcrpkey, .osrel and .profile as files into the folder /.extra of the initrd.
Source: systemd 257, src/boot/stub.c (generate_embedded_initrds, combine_initrds) and src/boot/cpio.c.
"""

from typing import Final

from cji_deploy.image.cpio import Entry, newc
from cji_deploy.image.pe import PeImage

__all__ = ["passed_initrd"]

_PASSED: Final = {
    ".pcrsig": "tpm2-pcr-signature.json",
    ".pcrpkey": "tpm2-pcr-public-key.pem",
    ".osrel": "os-release",
    ".profile": "profile",
}
_FOLDER: Final = ".extra"


def passed_initrd(image: PeImage) -> bytes:
    """The bytes that the kernel measures as initrd; each archive begins at a multiple of four bytes."""
    found = {one.name: one.data for one in image.sections}
    parts = [found[".initrd"]] if ".initrd" in found else []
    parts += [_archive(name, found[section]) for section, name in _PASSED.items() if section in found]
    return b"".join(part + bytes(-len(part) % 4) for part in parts)


def _archive(name: str, data: bytes) -> bytes:
    return newc(
        (
            Entry(path=_FOLDER, mode=0o555, inode=1),
            Entry(path=f"{_FOLDER}/{name}", mode=0o444, inode=2, data=data),
        )
    )
