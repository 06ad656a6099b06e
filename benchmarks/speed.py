"""How long does a question take, and how much memory? Fresh processes, medians of several runs.

    cold        `gifqa ask` from the start of the process to its end, with an empty cache
    warm        in one process with the model loaded: the first question about a GIF, and the second
    original    from file to keyframes, the original's way beside gifqa's with the same encoder: the
                original decoded all frames, resized each to 512x512, embedded every second one by itself
    start       `import gifqa`, and `gifqa --help` from the start of the process to its end

    python benchmarks/speed.py [--runs 5] [--gif FILE] [--model lite|FOLDER] [--only cold warm original start]
        [--json OUT] [--markdown OUT]

Without --gif a GIF of 40 frames of 400x300 is drawn, a pan over coloured noise. The files of model and
packages are in the system's file cache after the first run; a run after a reboot takes longer. Linux and
macOS only. Close what else uses the processor.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reporting import Table, Target, add_output_flags, run, target_table, write_report

from gifqa.errors import ConfigError

WORKER = Path(__file__).with_name("speed_worker.py")
PARTS = ("cold", "warm", "original", "start")
QUESTIONS = ("What is the cat doing?", "What color is the cat?")
MEGABYTE = 10**6
IMPORT = "import time; began = time.perf_counter(); import gifqa; print(time.perf_counter() - began)"
WARM_UP_FRAMES = 8


@dataclass(frozen=True)
class Finished:
    """A process that ended well."""

    seconds: float
    peak_bytes: int
    stdout: str


@dataclass
class Measure:
    """One figure, measured several times; what counts is the median."""

    name: str
    unit: str
    wanted: float | None = None
    at_least: bool = False
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the runs."""
        return statistics.median(self.values)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the JSON."""
        return {"name": self.name, "unit": self.unit, "median": self.median, "runs": self.values}


def main() -> None:
    """Draw, measure, print, write."""
    args = parse_arguments()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        gifs = (args.gif or Path(folder) / "gif.gif", Path(folder) / "warm-up.gif")
        if set(args.only) - {"start"}:
            if args.gif is None:
                work("draw", gifs[0])
            work("draw", gifs[1], "--frames", WARM_UP_FRAMES, "--seed", 1)
        measures: list[Measure] = []
        details: dict[str, Any] = {}
        for part in args.only:
            found, detail = MEASURED[part](args, gifs)
            measures += found
            details[part] = detail
    aims = [
        Target(measure.name, measure.wanted, measure.median, measure.at_least, f" {measure.unit}")
        for measure in measures
        if measure.wanted is not None
    ]
    figures = {
        "measures": [measure.to_dict() for measure in measures],
        "details": details,
        "targets": [target.to_dict() for target in aims],
    }
    write_report("speed", args, figures, [table(measures, args.runs), target_table(aims)], began)


def measure_cold(args: argparse.Namespace, gifs: tuple[Path, Path]) -> tuple[list[Measure], Any]:
    """`gifqa ask` as a user runs it, each time with an empty cache."""
    seconds = Measure("cold process to answer", "s", wanted=3.0)
    memory = Measure("cold process, peak memory", "MB", wanted=900.0)
    answers = []
    for _ in range(args.runs):
        command = ("-m", "gifqa", "ask", gifs[0], QUESTIONS[0], "--json", "--model", args.model)
        finished = run_python(*command)
        seconds.values.append(finished.seconds)
        memory.values.append(finished.peak_bytes / MEGABYTE)
        answers.append(json.loads(finished.stdout)["answer"])
    return [seconds, memory], {"answers": answers}


def measure_warm(args: argparse.Namespace, gifs: tuple[Path, Path]) -> tuple[list[Measure], Any]:
    """Two questions in a process that has answered one about another GIF."""
    first = Measure("warm, first question", "s", wanted=1.2)
    second = Measure("warm, second question about the same GIF", "s", wanted=0.5)
    memory = Measure("warm process, peak memory", "MB", wanted=900.0)
    results = []
    words = [word for question in QUESTIONS for word in ("--question", question)]
    for _ in range(args.runs):
        result = work("warm", gifs[0], "--warm-up", gifs[1], "--model", args.model, *words)
        first.values.append(result["first_seconds"])
        second.values.append(result["second_seconds"])
        memory.values.append(result["peak_bytes"] / MEGABYTE)
        results.append(result)
    return [first, second, memory], results


def measure_original(args: argparse.Namespace, gifs: tuple[Path, Path]) -> tuple[list[Measure], Any]:
    """Both ways to keyframes in one process, in turns."""
    words = ("--model", args.model, "--question", QUESTIONS[1], "--runs", args.runs)
    result = work("side-by-side", gifs[0], *words)
    original = Measure("file to keyframes, the original's way", "s", values=result["original"]["seconds"])
    ours = Measure("file to keyframes, gifqa", "s", values=result["gifqa"]["seconds"])
    ratios = [before / after for before, after in zip(original.values, ours.values, strict=True)]
    ratio = Measure("times as fast as the original's way", "x", wanted=4.0, at_least=True, values=ratios)
    return [original, ours, ratio], result


def measure_start(args: argparse.Namespace, gifs: tuple[Path, Path]) -> tuple[list[Measure], Any]:
    """What every use pays before anything is done."""
    importing = Measure("import gifqa", "ms", wanted=150.0)
    helping = Measure("gifqa --help", "ms", wanted=300.0)
    for _ in range(args.runs):
        importing.values.append(1000 * float(run_python("-c", IMPORT).stdout))
        helping.values.append(1000 * run_python("-m", "gifqa", "--help").seconds)
    return [importing, helping], None


MEASURED = {"cold": measure_cold, "warm": measure_warm, "original": measure_original, "start": measure_start}


def work(*words: Any) -> dict[str, Any]:
    """What a command of `speed_worker.py` prints, from a process of its own."""
    result: dict[str, Any] = json.loads(run_python(WORKER, *words).stdout)
    return result


def run_python(*words: Any) -> Finished:
    """Run this Python with these words and an empty cache folder.

    Raises:
        ConfigError: if it fails; the message has the last line it wrote on stderr.
    """
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile() as errors:
        environment = {**os.environ, "GIFQA_CACHE_DIR": cache}
        command = [sys.executable, *map(str, words)]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment) as process:
            output = process.stdout.read().decode() if process.stdout else ""
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
    if process.returncode:
        raise ConfigError(
            f"{' '.join(map(str, words[:3]))} ended with exit code {process.returncode}: "
            f"{lines[-1] if lines else 'no message'}. Run it by itself to see why."
        )
    return Finished(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), output)


def table(measures: Sequence[Measure], num_runs: int) -> Table:
    """The median of each figure, the lowest and the highest run."""
    lines = []
    for measure in measures:
        digits = {"s": 2, "x": 1}.get(measure.unit, 0)
        low, median, high = (
            f"{value:.{digits}f}" for value in (min(measure.values), measure.median, max(measure.values))
        )
        lines.append((measure.name, f"{median} {measure.unit}", f"{low} to {high}"))
    title = f"Time and memory, median of {num_runs} run{'s' * (num_runs != 1)}"
    return Table(title, ("measured", "median", "runs"), tuple(lines))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=positive, default=5)
    parser.add_argument("--gif", type=Path, help="ask about this one instead of the drawn one")
    parser.add_argument("--model", default="lite", help="lite, or a bundle's folder")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure these parts")
    add_output_flags(parser)
    return parser.parse_args()


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs; give 1 or more")
    return int(text)


if __name__ == "__main__":
    run(main)
