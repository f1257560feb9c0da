"""A build of the image, as `make image-boot` leaves it, and firmware that starts it."""

from dataclasses import dataclass
from pathlib import Path

from cji_deploy.image.boot_events import BootPrediction, predict
from cji_deploy.image.secure_boot import SecureBoot
from tests.support.machine.parts import Key, enrolled

__all__ = ["Built"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A build, the key that signed it, and firmware variables of a machine that knows this key."""

    raw: Path
    uki: Path
    key: Key
    variables: Path
    lists: Path

    def predicted(self, uki: Path) -> BootPrediction:
        """What this machine measures when it boots an image."""
        return predict(uki.read_bytes(), SecureBoot.read(self.lists, self.key.der))

    @classmethod
    def of(cls, folder: Path, own: Path) -> "Built":
        """Of the folder of a build and its keys; the variables are made in `own`."""
        image, key = folder / "image", Key(folder=folder / "keys")
        return cls(
            raw=image / "cji-worker.raw",
            uki=image / "cji-worker.efi",
            key=key,
            variables=enrolled(key, own),
            lists=own / "secure-boot",
        )
