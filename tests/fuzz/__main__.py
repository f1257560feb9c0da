"""`python -m tests.fuzz`: mutated inputs into every reader of foreign bytes.

Ends with 1 if a foreign exception, a wrong acceptance or the end of a process was seen. Each such input is written to
`build/fuzz`, with the command that makes it again.
"""

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.engine import Result, Target, make_input, outcome, run
from tests.fuzz.targets import TARGETS

FOLDER = Path("build/fuzz")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the targets asked for and print what came out of each."""
    options = _options().parse_args(arguments)
    targets = [one for one in TARGETS if options.target is None or one.name in options.target]
    if options.number is not None or options.file is not None:
        return _again(targets, options)
    done, results = 0, []
    began = time.monotonic()
    until = None if options.seconds is None else began + options.seconds
    for target in targets:
        target.corpus()
    print(f"{len(targets)} targets, corpora ready after {time.monotonic() - began:.1f} s", flush=True)
    for target in targets:
        inputs = share(target, targets, options.inputs)

        def progress(now: Result, before: int = done) -> None:
            rate = now.inputs / now.seconds if now.seconds else 0.0
            text = f"{before + now.inputs:>9} of {options.inputs}  {now.target}  {rate:,.0f}/s"
            if sys.stderr.isatty():
                print(f"\r{text:<79}", end="", file=sys.stderr, flush=True)

        result = run(target, seed=options.seed, inputs=inputs, until=until, report=progress)
        done += result.inputs
        results.append(result)
        _print(result)
        _keep(target, result, seed=options.seed)
    seconds, failures = time.monotonic() - began, sum(len(one.failures) for one in results)
    accepted, refused = sum(one.accepted for one in results), sum(one.refused.total() for one in results)
    print(
        f"\n{done:,} inputs, seed {options.seed}: {refused:,} refused, {accepted:,} accepted as what they are, "
        f"{failures} failures\n{seconds:.0f} s, of processor time {_processor():.0f} s"
    )
    return 1 if failures else 0


def share(target: Target, targets: Sequence[Target], inputs: int) -> int:
    """How many of `inputs` the target gets, by its weight among `targets`."""
    return max(1, inputs * target.weight // sum(one.weight for one in targets))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="over all targets, by their weights")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", choices=[one.name for one in TARGETS], help="may be repeated")
    parser.add_argument("--seconds", type=float, help="stop after this time")
    parser.add_argument("--number", type=int, help="make only this input of the one target, in this process")
    parser.add_argument("--file", type=Path, help="read only this file with the one target, in this process")
    return parser


def _print(result: Result) -> None:
    rate = result.inputs / result.seconds if result.seconds else 0.0
    end = "\r" if sys.stderr.isatty() else ""
    print(
        f"{end}{result.target:<18}{result.inputs:>9} inputs {result.accepted:>8} accepted "
        f"{result.refused.total():>9} refused {len(result.failures):>4} failed {rate:>9,.0f}/s",
        flush=True,
    )
    found = [f"{name} {count}" for name, count in result.refused.most_common()]
    for start in range(0, len(found), 6):
        print(f"    {' · '.join(found[start : start + 6])}")


def _processor() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _keep(target: Target, result: Result, *, seed: int) -> None:
    for failure in result.failures:
        print(f"  FAILED {failure.what}")
        if failure.number >= 0:
            FOLDER.mkdir(parents=True, exist_ok=True)
            path = FOLDER / f"{target.name}-{seed}-{failure.number}"
            path.write_bytes(make_input(target, seed=seed, number=failure.number))
            command = f"python -m tests.fuzz --target {target.name}"
            print(f"    {command} --seed {seed} --number {failure.number}   or   --file {path}")


def _again(targets: list[Target], options: argparse.Namespace) -> int:
    if len(targets) != 1:
        sys.exit("--number and --file need exactly one --target")
    target = targets[0]
    data = options.file.read_bytes() if options.file else make_input(target, seed=options.seed, number=options.number)
    kind, detail = outcome(target, data)
    print(f"{target.name}: {len(data)} bytes {kind} {detail}")
    if kind == "failed":
        target.read(data)  # for its traceback
    return 1 if kind == "failed" else 0


if __name__ == "__main__":
    sys.exit(main())
