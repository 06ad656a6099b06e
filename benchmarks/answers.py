"""How often are the answers right? On what people asked, and on what was made of captions, each by itself.

Beside the model stand, on the same samples, the most frequent answer to questions with the same first two
words (counted on the train split), and any model whose predictions are given: the language model without
pictures under the name "blind" is what the targets are measured by.

    python benchmarks/answers.py --photos DIR --photo-annotations captions.jsonl --clips DIR
        --clip-annotations clips.jsonl --pairs pairs.jsonl --output runs/answers
        [--predictions blind=blind.jsonl] [--json OUT] [--markdown OUT]

`--write-samples FILE` writes the samples and ends; it needs no model. A line has id, picture, medium, origin,
task, kind, question, answers, options and media (the path); predictions on it are lines {"id", "answer",
"confidence"?, "options_scores"?}. All human questions are asked, all about clips, and of those made of photo
captions an even draw of each kind. A run that stopped goes on with the same command.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from answer_samples import Annotations, Sample, draw, read_samples, write_samples
from answer_scores import MOST_FREQUENT, Predictions, most_frequent, read_predictions, score, tables, targets
from predicting import ITEMS, add_model_flag, load_qa, predict
from reporting import add_output_flags, run, target_table, write_report

from gifqa.errors import ConfigError


def main() -> None:
    """Draw, ask, score, print, write."""
    args = parse_arguments()
    began = time.perf_counter()
    check_names([args.model, MOST_FREQUENT, *(name for name, _ in args.predictions)])
    annotations = Annotations(args.photo_annotations, args.clip_annotations, args.pairs)
    samples = drawn_samples(annotations, args)
    folders = {"photo": args.photos, "clip": args.clips}
    if args.write_samples:
        write_samples(args.write_samples, samples, folders)
        print(f"{args.write_samples}: {len(samples):,} samples")
        return
    others = [read_predictions(path, name, samples) for name, path in args.predictions]
    frequent = most_frequent(samples, read_samples(annotations, "train"))
    args.output.mkdir(parents=True, exist_ok=True)
    write_samples(args.output / ITEMS, samples, folders)
    qa, identity = load_qa(args.model)
    model = read_predictions(predict(qa, identity, args.output), args.model, samples)
    report(args, samples, [model, frequent, *others], (identity, began))


def check_names(names: Sequence[str]) -> None:
    """Nothing, if every column has a name of its own.

    Raises:
        ConfigError: if two have the same.
    """
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"two columns are named {name!r}; the model, {MOST_FREQUENT!r} and every --predictions have "
                "names of their own. Rename one."
            )


def drawn_samples(annotations: Annotations, args: argparse.Namespace) -> list[Sample]:
    """What is asked.

    Raises:
        ConfigError: if that is nothing.
    """
    quotas = {("captions", "open"): args.open, ("captions", "yes/no"): args.yes_no}
    found = read_samples(annotations, args.split)
    wanted = [sample for sample in found if args.origin in (None, sample.origin)]
    samples = draw(wanted, quotas, limit=args.limit, seed=args.seed)
    if not samples:
        raise ConfigError(
            f"--split is {args.split}, and the annotations have no question of it; their records "
            'name theirs in "split". Choose one of those.'
        )
    return samples


def report(
    args: argparse.Namespace, samples: list[Sample], methods: list[Predictions], run_of: tuple[str, float]
) -> None:
    """Score and show; `run_of` is the model's identity and when the benchmark began."""
    rows = score(samples, methods, args.seed)
    aims = targets(rows)
    figures = {
        "model": run_of[0],
        "num_samples": len(samples),
        "num_errors": {method.name: method.num_errors for method in methods},
        "rows": rows,
        "targets": [target.to_dict() for target in aims],
    }
    shown = [*tables(rows, [method.name for method in methods]), target_table(aims)]
    write_report("answers", args, figures, shown, run_of[1])


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name, help_text in (("photos", "folder of the photos"), ("clips", "folder of the clips")):
        parser.add_argument(f"--{name}", type=Path, required=True, help=help_text)
    parser.add_argument("--photo-annotations", type=Path, required=True, help="JSONL, a photo a line")
    parser.add_argument("--clip-annotations", type=Path, required=True, help="JSONL, a clip a line")
    parser.add_argument(
        "--pairs", type=Path, required=True, help="JSONL that gifqa synthesize made of the captions"
    )
    parser.add_argument("--split", default="test")
    parser.add_argument("--open", type=int, default=1500, help="open questions made of photo captions")
    parser.add_argument("--yes-no", type=int, default=600, help="yes/no questions made of photo captions")
    parser.add_argument("--origin", choices=("human", "captions"), help="one of the two sets; default: both")
    parser.add_argument("--limit", type=int, help="at most so many of each sort, for a first look")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--predictions", type=named_file, action="append", default=[], metavar="NAME=FILE",
        help="another model's answers to the same samples; may be repeated",
    )  # fmt: skip
    parser.add_argument("--write-samples", type=Path, metavar="FILE", help="write the samples here and end")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/answers"), help="folder of the model's answers"
    )
    add_model_flag(parser)
    add_output_flags(parser)
    return parser.parse_args()


def named_file(text: str) -> tuple[str, Path]:
    """The name and the file of `NAME=FILE`."""
    name, sign, path = text.partition("=")
    if not (name and sign and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE; write for example blind=blind.jsonl")
    return name, Path(path)


if __name__ == "__main__":
    run(main)
