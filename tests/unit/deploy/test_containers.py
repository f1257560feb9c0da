"""No image comes in by a name that somebody else can point elsewhere."""

from pathlib import Path

import pytest

from cji_deploy.check.containers import container_problems, containerfiles

DEPLOY = Path(__file__).parents[3] / "deploy"
PIN = f"debian:trixie-slim@sha256:{'a' * 64}"


def problems(folder: Path, text: str) -> list[str]:
    (folder / "Containerfile").write_text(text)
    return container_problems(folder / "Containerfile")


def test_every_containerfile_of_the_tree_is_pinned() -> None:
    found = containerfiles(DEPLOY)
    assert DEPLOY.parent / "simulator" / "Containerfile" in found
    assert {path: container_problems(path) for path in found} == {path: [] for path in found}


@pytest.mark.parametrize(
    "text",
    [
        f"FROM {PIN}",
        f"ARG BASE={PIN}\nFROM ${{BASE}} AS one\nFROM one\nCOPY --from=one /a /b\nCOPY --from=0 /a /b",
        f"from --platform=linux/amd64 {PIN} as one\nRUN --mount=type=bind,from=one,target=/a true",
        "FROM scratch\nCOPY a b",
        f"# syntax=docker.io/docker/dockerfile@sha256:{'b' * 64}\nFROM scratch",
    ],
)
def test_digests_stages_and_nothing_are_accepted(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("FROM debian:trixie-slim", "debian:trixie-slim"),
        ("FROM \\\n  debian", "debian"),
        (f"FROM {PIN[:-1]}", PIN[:-1]),
        (f"FROM debian@sha256:{'A' * 64}", f"debian@sha256:{'A' * 64}"),
        ("ARG BASE=debian:13\nFROM ${BASE}", "debian:13"),
        ("ARG BASE\nFROM $BASE", "$BASE"),
        ("FROM scratch\nCOPY --from=debian:13 /a /b", "debian:13"),
        ("FROM scratch\nRUN --mount=type=bind,from=debian:13,target=/a true", "debian:13"),
        ("# syntax=docker/dockerfile:1\nFROM scratch", "docker/dockerfile:1"),
        (f"FROM one\nFROM {PIN} AS one", "one"),
    ],
)
def test_a_name_without_a_digest_is_a_problem(tmp_path: Path, text: str, image: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith(f"{image}: has no digest")


def test_files_are_found_by_each_name_and_not_in_environments(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    for name in (
        "deploy/Dockerfile",
        "a/b/x.Containerfile",
        "c/dockerfile.dev",
        ".venv/Dockerfile",
        "node_modules/Dockerfile",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = {str(path.relative_to(tmp_path)) for path in containerfiles(tmp_path / "deploy")}
    assert names == {"deploy/Dockerfile", "a/b/x.Containerfile", "c/dockerfile.dev"}


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_bytes(b"\xff")
    assert container_problems(tmp_path / "Containerfile") == ["cannot be read"]
