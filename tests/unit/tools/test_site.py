"""The site's navigation: parts by folder, and a page in a folder of no part stops the build with its name."""

import importlib
from typing import Any

import pytest

from tools.links import ROOT, pages
from tools.site import FOLDERS, PAGE_WEIGHTS, PAGES, ROOMS, SiteError, navigation, part_of, weight_of


def placed(entries: list[Any]) -> dict[str, list[str]]:
    return {
        part: [page for entry in found for page in entry.values()] for each in entries for part, found in each.items()
    }


@pytest.mark.parametrize(
    ("page", "part"),
    [
        ("docs/tutorial/first-job.md", "Tutorials"),
        ("docs/how-to/new.md", "How-to guides"),
        ("docs/new.md", "Reference"),
        ("docs/new/deep.md", "Reference"),
        ("docs/explanation/diagrams.md", "Explanation"),
        ("deploy/runbooks/pages/revoke.md", "Runbooks"),
        ("deploy/byok/README.md", "How-to guides"),
        ("docs/operation.md", "How-to guides"),
        ("SECURITY.md", "Project"),
    ],
)
def test_a_folder_decides(page: str, part: str) -> None:
    assert part_of(page) == part


def test_a_search_prefers_how_to_do_something() -> None:
    operation, how_to, reference = (
        weight_of(f"docs/{name}.md") for name in ("operations/link", "how-to/azure-sql", "job")
    )
    assert operation > how_to > reference > weight_of("docs/benchmarks.md")
    assert weight_of("docs/mistakes.md") == how_to
    assert operation > weight_of("docs/operations/link-models.md") > how_to


def test_a_page_in_another_folder_is_an_error() -> None:
    with pytest.raises(SiteError, match=r"sketches/a\.md .* FOLDERS"):
        part_of("sketches/a.md")


def test_every_page_has_one_place() -> None:
    names = [str(page.relative_to(ROOT)) for page in pages()]
    found = placed(navigation({name: name for name in names}, {})[1:])
    del found["Reference"][-1]
    assert sorted(page for part in found.values() for page in part) == sorted(set(names) - {"README.md"})


def test_the_lists_name_what_exists() -> None:
    assert [folder for folder in FOLDERS if folder not in _LATER and not (ROOT / folder).is_dir()] == []
    assert [page for page in PAGES if page not in _LATER and not (ROOT / page).is_file()] == []
    assert [name for name in PAGE_WEIGHTS if not (ROOT / name).exists()] == []
    for room in ROOMS:
        importlib.import_module(room)


_LATER = ("client", "deploy/runbooks", "docs/image.md")
"""Folders and pages that a build of this repository may lack."""
