"""`python -m tools.picture`: docs/result.png, a pair of records on the page of a job with `link`.

A worker of the simulator runs `examples/link`, as a submitter sends it, and Chromium shows `report.html` of the result.
The picture is the first pair of the page: the weakest match, with the evidence for it.
"""

import base64
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from PIL import Image

from cji_core.command import build
from cji_simulator.simulation import Simulation
from cji_simulator.site import open_site
from tests.support.browser import browser
from tools.links import ROOT

__all__ = ["main"]

PICTURE: Final = ROOT / "docs/result.png"
_WIDTH: Final = 800
_MARGIN: Final = 8
_COLOURS: Final = 64
_CARD: Final = (
    "(({x, y, width, height}) => ({x, y, width, height}))(document.querySelector('.card').getBoundingClientRect())"
)


def _report(folder: Path) -> Path:
    """The page of a job on the fictitious persons of `examples/link`."""
    out, example = folder / "linked", ROOT / "examples/link"
    with Simulation(folder / "azure") as azure, open_site(folder / "site", azure) as site:
        arguments = ["job", "run", str(example / "people.csv"), "--spec", str(example / "job.toml")]
        arguments += ["--profile", str(site.files.profile), "--out", str(out)]
        build(azure.trust)(arguments, standalone_mode=False)
    return out / "report.html"


def main() -> int:
    """Write the picture."""
    with TemporaryDirectory() as made, browser(Path(made) / "profile") as chromium:
        chromium.open(_report(Path(made)), width=_WIDTH)
        card = chromium.evaluate(_CARD)
        clip = {"x": card["x"] - _MARGIN, "y": card["y"] - _MARGIN, "scale": 1}
        clip |= {side: card[side] + 2 * _MARGIN for side in ("width", "height")}
        shot = chromium.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
    picture = Image.open(BytesIO(base64.b64decode(shot["data"])))
    picture.quantize(_COLOURS).save(PICTURE, optimize=True)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
