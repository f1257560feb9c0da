"""The CPU of a sealed job by process, as a picture: `python -m benchmarks.flame FILE.svg`, as root, with perf.

`deidentify` jobs of 64 MB run one after the other while perf samples every process of the worker. Libraries keep no
frame pointers and Python has no perf map, so rows of the picture are not calls: below the job are its processes, below
each the call of the kernel or the library in which a sample was, and below that the function, where it has a name.
"""

import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Final

import click

from benchmarks.corpus import people, rows_of
from benchmarks.pipeline import DEIDENTIFY
from benchmarks.processes import require_root
from benchmarks.stand import Stand, open_stand
from cji_simulator.processes import children

__all__ = ["draw", "stacks"]

Stack = tuple[str, ...]

_BYTES: Final = 64_000_000
_JOBS: Final = 8
_HERTZ: Final = 997
_KERNEL: Final = "[kernel.kallsyms]"
_FRAME: Final = re.compile(r"^\s+[0-9a-f]+ (.+) \((.+)\)$")
_CALL: Final = re.compile(r"^__(?:x64|arm64)_sys_(\w+)$")
_WIDTH, _HEIGHT, _LEAST = 1000, 22, 2.0
_LETTERS, _SHORTEST = 7.4, 4
"""Units of a wide letter, and the fewest letters that are shown of a name."""
_COLOURS: Final = {"front": "#d98a4b", "door": "#7fa65a", "cell": "#5b8fc7", "keyholder": "#b77bb4"}
_OTHER: Final = "#a8a29a"


def stacks(script: Iterable[str], names: Mapping[int, str]) -> Counter[Stack]:
    """Samples of `perf script -F pid,ip,sym,dso` by process, place and function; a process without a name is a cell."""
    found, pid, frames = Counter[Stack](), None, list[tuple[str, str]]()
    for line in (*script, ""):
        if frame := _FRAME.match(line):
            frames.append((frame[1], frame[2]))
        elif line.strip():
            pid = int(line.split()[0])
        elif pid is not None:
            if frames:
                found[names.get(pid, "cell"), *_place(frames)] += 1
            pid, frames = None, []
    return found


def _place(frames: list[tuple[str, str]]) -> tuple[str, str]:
    function, library = frames[0]
    function = function.partition("+0x")[0]
    if library != _KERNEL:
        return Path(library).name, "(no name)" if function == "[unknown]" else function
    calls = (call[1] for name, _ in frames if (call := _CALL.match(name.partition("+0x")[0])))
    return f"kernel: {next(calls, 'other')}", function


def draw(found: Counter[Stack], title: str) -> str:
    """The picture: a row for each level, widths are shares of all samples. What is too narrow is left out."""
    total, rows = sum(found.values()), list[str]()
    for x, depth, name, count in _boxes(found, 0, 0.0):
        width = count / total * _WIDTH
        if width < _LEAST and depth:
            continue
        share = f"{name}: {100 * count / total:.1f} %"
        colour = _COLOURS.get(x[1], _OTHER) if depth else _OTHER
        fits = int((width - 8) / _LETTERS)
        text = escape(name if len(name) <= fits else name[:fits] if fits >= _SHORTEST else "")
        at, top = x[0] / total * _WIDTH, 30 + depth * (_HEIGHT + 1)
        rows.append(
            f'<g><title>{escape(share)}</title><rect x="{at:.1f}" y="{top}" width="{max(width - 0.5, 0.5):.1f}" '
            f'height="{_HEIGHT}" fill="{colour}" fill-opacity="{1 - 0.22 * max(depth - 1, 0):.2f}"/>'
            + (f'<text x="{at + 4:.1f}" y="{top + 15}">{text}</text></g>' if text else "</g>")
        )
    height = 30 + 4 * (_HEIGHT + 1) + 6
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="11">\n<rect width="100%" height="100%" fill="#fff"/>\n<text x="3" y="18">{escape(title)}</text>\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )


def _boxes(
    found: Mapping[Stack, int], depth: int, at: float, process: str = ""
) -> Iterator[tuple[tuple[float, str], int, str, int]]:
    """((samples on the left, process), depth, name, samples), the largest first."""
    if not depth:
        yield (0.0, ""), 0, "all processes of the worker", sum(found.values())
        depth = 1
    groups: dict[str, dict[Stack, int]] = {}
    for stack, count in found.items():
        if len(stack) >= depth:
            groups.setdefault(stack[depth - 1], {})[stack] = count
    for name, below in sorted(groups.items(), key=lambda each: -sum(each[1].values())):
        count, owner = sum(below.values()), process or name
        yield (at, owner), depth, name, count
        if depth < 3:
            yield from _boxes(below, depth + 1, at, owner)
        at += count


def _sampled(stand: Stand, file: Path) -> dict[int, str]:
    """Run the jobs under perf, which writes `file`; names by process id."""
    worker, table = stand.site.worker, people(rows_of(_BYTES))
    stand.job(stand.prepare(table, DEIDENTIFY))
    names = {pid: name for name, pid in worker.pids.items()}
    names |= dict.fromkeys(children(worker.door.process.pid), "door")
    pids = ",".join(map(str, [*names, *children(worker.pids["zygote"])]))
    command = ["perf", "record", "-q", "-F", str(_HERTZ), "-g", "-p", pids, "-o", str(file)]
    jobs = [stand.prepare(table, DEIDENTIFY) for _ in range(_JOBS)]
    with subprocess.Popen(command) as perf:
        time.sleep(1)  # until it is attached
        for job in jobs:
            stand.job(job)
        perf.terminate()
    return names


@click.command()
@click.argument("target", metavar="FILE.svg", type=click.Path(dir_okay=False, path_type=Path))
def main(target: Path) -> None:
    """Draw the CPU of sealed jobs by process, place and function into FILE.svg. Run as root; needs perf."""
    require_root()
    if shutil.which("perf") is None:
        raise click.UsageError("perf is not on the path: apt-get install linux-perf")
    with tempfile.TemporaryDirectory(prefix="cji-flame-") as folder, open_stand(room=_BYTES * 3 // 2) as stand:
        file = Path(folder, "perf.data")
        names = _sampled(stand, file)
        script = ["perf", "script", "-i", str(file), "-F", "pid,ip,sym,dso"]
        done = subprocess.run(script, capture_output=True, text=True, check=True)
    found = stacks(done.stdout.splitlines(), names)
    megabytes = _JOBS * _BYTES // 1_000_000
    target.write_text(draw(found, f"deidentify, {megabytes} MB in jobs of 64 MB: {sum(found.values())} samples"))


if __name__ == "__main__":
    main()
