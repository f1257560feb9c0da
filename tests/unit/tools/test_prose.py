"""The check of the prose: every pattern finds its phrase, at its line, and ordinary text passes."""

from pathlib import Path

import pytest

from tools import prose

SAMPLES = (
    '"""What a worker does."""',
    "wrap the key anew",
    "the job is done or at work",
    "its time is over",
    "out of its time nothing is accepted",
    "the token is of now",
    "so many at once",
    "kept for so long",
    "for machines",
    "wanted all the same",
    "the values, whatever there is",
    "six operations are there",
    "the key is no RSA key",
    "each column is judged",
    "the worker tells the caller",
    "the table says which column",
    "the key was let go",
    "find out who answers",
    "holds the machine for a good one",
    "the worker started anew",
    "nobody knows the key",
    "not as it was",
    "the name as people write it",
    "that is the business of aztypes",
    "whoever holds the key",
    "segments one behind the other",
    "a document with what has structure",
    "a shelf of references",
    "hold_s = 5",
    "held_reference",
    "nursery",
    "Unfit",
    "Tell",
    "Wires",
    "RunningJob",
    "frequency_of",
    "certain_recall",
    "clerical = 0.5",
    "SocialRule",
    "judge_snp",
    "_let_go",
)


@pytest.mark.parametrize("pattern", [*prose.PHRASES, *prose.NAMES])
def test_each_pattern_finds_a_sample(pattern: str) -> None:
    suggestion = (prose.PHRASES | prose.NAMES)[pattern]
    hits = [hit for sample in SAMPLES for hit in prose.search(sample, python=False)]
    assert suggestion in {hit.suggestion for hit in hits}


@pytest.mark.parametrize("sample", SAMPLES)
def test_each_sample_is_found_at_its_line(sample: str) -> None:
    hits = prose.search(f"An ordinary line.\n{sample}\n", python=False)
    assert {hit.line for hit in hits} == {2}


@pytest.mark.parametrize(
    "text",
    [
        "A key that is no longer valid is dropped; there is no other way.",
        "Pairs above clerical_review_threshold are listed for clerical review.",
        "# What is a cell?",
    ],
)
def test_ordinary_text_passes(text: str) -> None:
    assert prose.search(text, python=False) == []


def test_python_is_searched_in_comments_and_strings_only() -> None:
    code = 'judged = told["tells"]  # a name is free\nprint(f"{judged.anew}")\n'
    assert prose.search(code, python=True) == []
    hits = prose.search(code + '\n# wrapped anew\nraise ValueError(\n    "it is judged"\n)\nhold_s = 1\n', python=True)
    assert [(hit.line, hit.found) for hit in hits] == [(4, "anew"), (6, "judged"), (8, "hold_s")]


def test_a_hit_is_printed_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "worker").mkdir()
    (tmp_path / "README.md").write_text("Short and direct.\n")
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    assert prose.main() == 0
    (tmp_path / "worker" / "new.py").write_text('"""Sound."""\n\n# wrapped anew\n')
    assert prose.main() == 1
    assert capsys.readouterr().out == "worker/new.py:3: anew: again, or a verb with re-\n"
