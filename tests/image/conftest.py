"""One image for all boots of a run: CJI_IMAGE is the folder of a build and its keys; `make image-boot` makes both."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.image.boot_events import BootPrediction, predict
from deploy.image.secure_boot import SecureBoot
from tests.support.machine.host import missing_tools
from tests.support.machine.parts import Key, enrolled


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


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = os.environ.get("CJI_IMAGE", "")
    if not folder:
        pytest.skip("CJI_IMAGE names no build; make image-boot makes one and boots it")
    if reason := missing_tools():
        pytest.skip(f"no image can be booted: {reason}")
    image, key = Path(folder, "image"), Key(folder=Path(folder, "keys"))
    own = tmp_path_factory.mktemp("firmware")
    variables = enrolled(key, own)
    return Built(
        raw=image / "cji-worker.raw",
        uki=image / "cji-worker.efi",
        key=key,
        variables=variables,
        lists=own / "secure-boot",
    )
