"""`python -m tools.gallery`: the pictures of docs/gallery.md, the reports of the samples with made-up rows.

Chromium shows the page that `cji_client.report` makes of each sample whose operation has one, and its top is kept.
"""

import base64
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from PIL import Image

from cji_client.report import report
from tests.support.browser import browser
from tools.links import ROOT
from tools.samples import SAMPLES, job

__all__ = ["main"]

FOLDER: Final = ROOT / "docs/gallery"
_WIDTH: Final = 760
_MOST_HEIGHT: Final = 900
_COLOURS: Final = 32


def main() -> int:
    """Write the pictures."""
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as made, browser(Path(made) / "profile") as chromium:
        for name in SAMPLES:
            if (pieces := report(job(name))) is None:
                continue
            page = Path(made) / f"{name}.html"
            page.write_text("".join(pieces), encoding="utf-8")
            chromium.open(page, width=_WIDTH)
            height = min(chromium.evaluate("document.documentElement.scrollHeight"), _MOST_HEIGHT)
            clip = {"x": 0, "y": 0, "width": _WIDTH, "height": height, "scale": 1}
            shot = chromium.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
            picture = Image.open(BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
            file = FOLDER / f"{name}.png"
            picture.quantize(_COLOURS).save(file, optimize=True)
            print(f"{file.relative_to(ROOT)}: {file.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
