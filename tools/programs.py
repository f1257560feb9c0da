"""`python -m tools.programs`: run the programs of examples/ with the conformance kit, and write what they read of it.

It builds examples/java and examples/go in build/, and ends with status 1 if a program answers a case otherwise than the
kit. The table is in docs/how-to/other-languages.md; `--check` compares, and writes nothing.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs/how-to/other-languages.md"
KIT: Final = ROOT / "docs/vectors/kit"
_LINE: Final = re.compile(r"([a-z-]+): ([0-9]+) passed, ([0-9]+) failed, ([0-9]+) not supported(?:: (.+))?")
_TABLE: Final = re.compile(r"(?<=<!-- programs -->\n).*?(?=<!-- /programs -->)", re.DOTALL)


class Answer(NamedTuple):
    """The line of a program about a group: numbers of cases, and why it does not read the others."""

    passed: int
    failed: int
    others: int
    lacks: str


def java(folder: Path) -> list[str]:
    """Compile examples/java; the command that a name of its classes, `cji.Job` or `cji.Kit`, completes."""
    sources = sorted(map(str, (ROOT / "examples/java").glob("*.java")))
    subprocess.run(["javac", "-Xlint:all", "-Werror", "-d", folder, *sources], check=True)
    # the second compiler would cost more than it saves
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", str(folder)]


def go(folder: Path) -> list[str]:
    """Build examples/go; the command that `run` or `kit` completes."""
    subprocess.run([ROOT / "tools/go-example", folder], check=True)
    return [str(folder / "job")]


def kits(folder: Path) -> dict[str, list[str]]:
    """The command of each program that runs the kit, without the folder of the kit."""
    return {
        "Node": ["node", str(ROOT / "examples/node/kit.mjs")],
        "Java": [*java(folder / "java"), "cji.Kit"],
        "Go": [*go(folder / "go"), "kit"],
    }


def run(command: Sequence[str], kit: Path = KIT) -> tuple[int, str]:
    """The status of a program that runs the kit, and what it prints."""
    done = subprocess.run([*command, kit], stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout


def answers(printed: str) -> dict[str, Answer]:
    """The lines that a program prints, by group."""
    return {
        found[1]: Answer(int(found[2]), int(found[3]), int(found[4]), found[5] or "")
        for found in _LINE.finditer(printed)
    }


def groups() -> dict[str, int]:
    """The groups of the kit, and how many cases they have."""
    files = (path for path in sorted(KIT.glob("*.json")) if path.stem not in {"keys", "schema"})
    return {path.stem: len(json.loads(path.read_text())["cases"]) for path in files}


def table(found: Mapping[str, Mapping[str, Answer]]) -> Iterator[str]:
    """The lines of the page: how much of each group each program reads, and what each leaves out."""
    counts = groups().values()
    yield f"The kit has {sum(counts)} cases in {len(counts)} groups."
    yield ""
    yield f"| group | worker and client | {' | '.join(found)} |"
    yield "|---|---" + "|---" * len(found) + "|"
    for name in groups():
        yield f"| {name} | all | {' | '.join(_much(each[name]) for each in found.values())} |"
    yield ""
    for program, by_group in found.items():
        lacking: dict[str, list[str]] = {}
        for name, answer in by_group.items():
            if answer.lacks:
                lacking.setdefault(answer.lacks, []).append(name)
        yield f"* {program} leaves out:"
        for lacks, names in lacking.items():
            yield f"    * {', '.join(names)}: {lacks}"


def _much(answer: Answer) -> str:
    if not answer.passed:
        return "–"
    return "part" if answer.others else "all"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare the table; 1 if a program is wrong, or the page differs."""
    parser = argparse.ArgumentParser(prog="python -m tools.programs", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args(arguments)
    printed = {program: run(command) for program, command in kits(ROOT / "build").items()}
    for program, (status, said) in printed.items():
        if status:
            print(f"{program} does not agree with the kit:\n{said}", file=sys.stderr)
            return 1
    new = written(PAGE.read_text("utf-8"), {program: answers(said) for program, (_, said) in printed.items()})
    same = new == PAGE.read_text("utf-8")
    if not options.check:
        PAGE.write_text(new, "utf-8")
    elif not same:
        print(f"{PAGE} differs; run `python -m tools.programs`", file=sys.stderr)
    return int(options.check and not same)


def written(page: str, found: Mapping[str, Mapping[str, Answer]]) -> str:
    """The page with this table."""
    return _TABLE.sub("\n".join((*table(found), "")), page)


if __name__ == "__main__":
    sys.exit(main())
