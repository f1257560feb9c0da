"""A build of the image, as `make image-boot` leaves it, the key that signed it, and firmware that starts it."""

from dataclasses import dataclass
from pathlib import Path

from cji_deploy.image.boot_events import BootPrediction
from cji_simulator.machine.built import Build, Firmware
from cji_simulator.machine.firmware import Key

__all__ = ["Built"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A build, its key, and a machine that knows this key."""

    build: Build
    key: Key
    firmware: Firmware

    @property
    def raw(self) -> Path:
        """The disk."""
        return self.build.raw

    @property
    def uki(self) -> Path:
        """The signed unified kernel image."""
        return self.build.uki

    @property
    def variables(self) -> Path:
        """Of the firmware."""
        return self.firmware.variables

    def predicted(self, uki: Path) -> BootPrediction:
        """What this machine measures when it boots an image that the key signed."""
        return self.firmware.predicted(uki, self.key.certificate)

    @classmethod
    def of(cls, folder: Path, own: Path) -> "Built":
        """Of the folder of a build and its keys; the variables are made in `own`."""
        key = Key(folder=folder / "keys")
        return cls(build=Build.of(folder), key=key, firmware=Firmware.of([key.certificate], own))
