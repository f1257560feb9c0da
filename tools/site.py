"""`python tools/site.py`: build the documentation as a site into build/site, with every broken link fatal.

The pages stay where they are in the repository. They are copied below build/pages under the same paths, so that their
links are those that a reader of the repository follows, with the files that they link to. A page's folder decides in
which part of the site it stands; a page in a folder that belongs to no part is an error. Reference pages for Python are
written from the docstrings of the rooms in `ROOMS`. Runs in .docs, which `make docs` makes; needs no network.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.paths import DISTRIBUTIONS
from tools.links import ROOT, links, pages

__all__ = ["ROOMS", "SiteError", "main", "navigation", "part_of", "weight_of"]

TUTORIALS: Final = "Tutorials"
HOW_TO: Final = "How-to guides"
REFERENCE: Final = "Reference"
EXPLANATION: Final = "Explanation"
RUNBOOKS: Final = "Runbooks"
PROJECT: Final = "Project"
PARTS: Final = (TUTORIALS, HOW_TO, RUNBOOKS, REFERENCE, EXPLANATION, PROJECT)
"""The parts of the site, in the order of its navigation."""

FOLDERS: Final = {
    "": PROJECT,
    "attestation": REFERENCE,
    "audit": REFERENCE,
    "benchmarks": REFERENCE,
    "client": REFERENCE,
    "core": REFERENCE,
    "deploy": HOW_TO,
    "deploy/runbooks": RUNBOOKS,
    "docs": REFERENCE,
    "docs/explanation": EXPLANATION,
    "docs/how-to": HOW_TO,
    "docs/tutorial": TUTORIALS,
    "engine": REFERENCE,
    "examples": TUTORIALS,
    "operations": REFERENCE,
    "simulator": HOW_TO,
    "tests": PROJECT,
    "worker": REFERENCE,
}
"""The part of the pages in a folder and below it; the deepest entry decides."""

PAGES: Final = {
    "LIMITATIONS.md": EXPLANATION,
    "docs/audit-packet.md": HOW_TO,
    "docs/first-day.md": HOW_TO,
    "docs/benchmarks.md": EXPLANATION,
    "docs/bundle.md": HOW_TO,
    "docs/entra.md": HOW_TO,
    "docs/image.md": HOW_TO,
    "docs/operation.md": HOW_TO,
    "docs/review.md": HOW_TO,
    "docs/witnesses.md": HOW_TO,
}
"""Pages that are of another kind than the others in their folder."""

ROOMS: Final = {
    "cji_client": "client",
    "cji_client.operations": "parameters of operations",
    "cji_client.keys": "keys",
    "cji_client.errors": "errors of the client",
    "cji_client.trusts": "clouds",
    "cji_client.transport": "calls below connect",
    "cji_client.spec": "job specs",
    "cji_client.verify": "verification",
    "cji_core.format.records": "records",
    "cji_attestation": "trust",
    "cji_attestation.appraisal": "appraisal",
    "cji_attestation.release": "key release",
    "cji_simulator": "simulator",
    "cji_simulator.site": "simulator, a worker for tests",
}
"""Python modules with a reference page, and its title."""

WEIGHTS: Final = {
    HOW_TO: 4.0,
    TUTORIALS: 2.0,
    RUNBOOKS: 1.0,
    REFERENCE: 1.0,
    EXPLANATION: 0.5,
    PROJECT: 0.25,
}
"""The weight of a hit in each part of the site: how to do something goes before how it was made."""
PAGE_WEIGHTS: Final = {
    "docs/operations": 8.0,
    "docs/mistakes.md": 4.0,
    "docs/benchmarks.md": 0.1,
    "benchmarks": 0.1,
}
"""The same for pages, and for the pages of folders, that count otherwise than their part."""
_OF_A_PART: Final = 0.75
"""By this less counts a page about a part of what another one is about, as `link-models.md` beside `link.md`."""

_PALETTES: Final = (
    # first, so that a browser follows the system until its reader chooses: Material keeps the choice for later visits
    ("(prefers-color-scheme)", "default", "brightness-auto", "light"),
    ("(prefers-color-scheme: light)", "default", "weather-sunny", "dark"),
    ("(prefers-color-scheme: dark)", "slate", "weather-night", "the system's choice"),
)
_HOME: Final = "README.md"
_ADDED: Final = {"tools/site.css": "style.css", "tools/iframe-worker.js": "iframe-worker.js"}
"""Files of the site that belong to no page."""
_SLUGS: Final = "!!python/object/apply:pymdownx.slugs.slugify {kwds: {case: lower}}"


class SiteError(Exception):
    """The site cannot be built; the text names the page and the remedy."""


def part_of(page: str) -> str:
    """The part of the site in which a page stands, by its path in the repository."""
    if page in PAGES:
        return PAGES[page]
    folders = [parent.as_posix() for parent in Path(page).parents]
    for folder in folders[:-1]:
        if folder in FOLDERS:
            return FOLDERS[folder]
    if len(folders) == 1:
        return FOLDERS[""]
    raise SiteError(f"{page} is in a folder that belongs to no part of the site: add it to FOLDERS in tools/site.py")


def weight_of(page: str) -> float:
    """The weight of a hit in a page, by its path in the repository."""
    folders = (parent.as_posix() for parent in (Path(page), *Path(page).parents))
    weight = next((PAGE_WEIGHTS[name] for name in folders if name in PAGE_WEIGHTS), WEIGHTS[part_of(page)])
    whole, hyphen, _ = Path(page).stem.partition("-")
    return weight * _OF_A_PART if hyphen and (ROOT / page).with_stem(whole).exists() else weight


def navigation(titles: dict[str, str], python: dict[str, str]) -> list[Any]:
    """The navigation for these pages (path to title) and these pages about Python modules."""
    parts: dict[str, list[Any]] = {part: [] for part in PARTS}
    for page in sorted(titles):
        if page != _HOME:
            parts[part_of(page)].append({titles[page]: page})
    parts[REFERENCE].append({"Python": [{title: page} for page, title in python.items()]})
    return [{"Home": _HOME}, *({part: entries} for part, entries in parts.items() if entries)]


def _title(page: Path) -> str:
    """The first heading, without marks."""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            return re.sub(r"[`*]", "", line[2:]).strip()
    raise SiteError(f"{page.relative_to(ROOT)} has no heading: begin it with a line `# Title`")


def _linked(page: Path) -> Iterator[Path]:
    """Files of the repository, other than pages, that a page links to."""
    for link in links(page.read_text(encoding="utf-8")):
        path = link.target.partition("#")[0]
        found = (page.parent / path).resolve()
        if path and found.suffix != ".md" and found.is_file() and found.is_relative_to(ROOT):
            yield found


def _stage(target: Path) -> list[Any]:
    """Copy pages and the files they link to below `target`, write those about Python; returns the navigation."""
    shutil.rmtree(target, ignore_errors=True)
    found = pages()
    for source in {*found, *(file for page in found for file in _linked(page))}:
        copy = target / source.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            weight = weight_of(str(source.relative_to(ROOT)))
            text = source.read_text(encoding="utf-8")
            copy.write_text(f"---\nsearch:\n  boost: {weight}\n---\n\n{text}", encoding="utf-8")
        else:
            shutil.copyfile(source, copy)
    python = {f"python/{room}.md": f"{room}: {title}" for room, title in ROOMS.items()}
    (target / "python").mkdir(exist_ok=True)
    for room in ROOMS:
        (target / f"python/{room}.md").write_text(f"# `{room}`\n\n::: {room}\n", encoding="utf-8")
    for added, name in _ADDED.items():
        shutil.copyfile(ROOT / added, target / name)
    return navigation({str(page.relative_to(ROOT)): _title(page) for page in found}, python)


def _settings(navigation: list[Any], folder: Path, site: Path) -> dict[str, Any]:
    """The configuration of mkdocs; JSON is YAML."""
    palette = [
        {
            "media": media,
            "scheme": scheme,
            "primary": "indigo",
            "accent": "indigo",
            "toggle": {"icon": f"material/{icon}", "name": f"Switch to {following}"},
        }
        for media, scheme, icon, following in _PALETTES
    ]
    python = {
        "paths": [str(ROOT), *(str(ROOT / name) for name in DISTRIBUTIONS)],
        "options": {
            "docstring_style": "google",
            "filters": "public",
            "preload_modules": [f"cji_{name}" for name in DISTRIBUTIONS],
            "heading_level": 2,
            "separate_signature": True,
            "show_root_heading": False,
            "show_root_toc_entry": False,
            "show_source": False,
            "show_if_no_docstring": False,
            "show_signature_annotations": True,
            "show_symbol_type_heading": True,
            "show_submodules": False,
        },
    }
    return {
        "site_name": "cji-worker",
        "docs_dir": str(folder),
        "site_dir": str(site),
        "use_directory_urls": False,
        "strict": True,
        "nav": navigation,
        "theme": {
            "name": "material",
            "font": False,
            "palette": palette,
            "features": ["navigation.tabs", "navigation.top", "content.code.copy", "toc.follow"],
        },
        # the plugin `offline` makes the search work without a server; our script replaces one that it would load
        "extra": {"generator": False, "polyfills": ["iframe-worker.js"]},
        "extra_css": ["style.css"],
        "plugins": ["search", "offline", {"mkdocstrings": {"handlers": {"python": python}}}],
        "markdown_extensions": [
            "tables",
            "sane_lists",
            "pymdownx.superfences",
            {"toc": {"permalink": True, "slugify": "SLUGIFY"}},
        ],
        "validation": {
            "nav": {"omitted_files": "warn", "not_found": "warn", "absolute_links": "warn"},
            "links": {"not_found": "warn", "anchors": "warn", "absolute_links": "warn", "unrecognized_links": "warn"},
        },
    }


def main() -> int:
    """Build the site; the exit status is that of mkdocs, or 1 with a reason."""
    build = ROOT / "build"
    try:
        found = _settings(_stage(build / "pages"), build / "pages", build / "site")
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    # the anchors of GitHub, which readers of the repository follow
    text = json.dumps(found, indent=1).replace('"SLUGIFY"', _SLUGS)
    settings = build / "mkdocs.yml"
    settings.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--clean", "--config-file", str(settings)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    status = subprocess.run(command, check=False, env=environment).returncode
    return status or _mend_search(build / "site")


def _mend_search(site: Path) -> int:
    """Let the search find words by their beginnings, whatever numbers the pages have; 1 if its script is another one.

    lunr joins the states of its automaton of words by a key of letters and numbers of states in a row, in which digits
    of words and of states are confused (lunr issue 503). Then a beginning of words, such as `a`, finds nothing at all.
    Numbers with a fraction make the key unambiguous.
    """
    first, mended = "TokenSet._nextId=1", "TokenSet._nextId=.5"
    found = list(site.glob("assets/javascripts/workers/search.*.js"))
    texts = [path.read_text(encoding="utf-8") for path in found]
    if [text.count(first) for text in texts] != [1]:
        print(f"The search of this theme is another one: no single {first}.", file=sys.stderr)
        return 1
    found[0].write_text(texts[0].replace(first, mended), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
