"""What masked video modelling costs: the masked pass and its teacher beside the pass that sees everything.

    python benchmarks/masked_pass.py [--num-visual 16 64 512] [--batch-size 8] [--layers 30]
        [--repeats 5] [--json OUT] [--markdown OUT]

A language model of SmolLM2-135M's shape with random weights reads sequences of visual tokens, a question and
an answer, forwards and backwards. Time does not depend on the weights. The three passes take turns, and the
median of each counts. Tokens are those of one sequence; the rate of the mask is its mean, one half.
"""

import argparse
import random
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
import transformers
from reporting import Table, Target, add_output_flags, run, target_table, write_report

from gifqa.model.pooled_frames import PooledFrames
from gifqa.model.qformer import QFormerConfig
from gifqa.model.vision_language_model import IGNORE_INDEX, LanguageBatch, VisionLanguageModel
from gifqa.training.learner import LanguageLearner
from gifqa.training.masking import draw_kept, teacher_states
from gifqa.training.parts import Pass
from gifqa.training.recipe import LanguageTraining, MaskedVideoModelling

NUM_TEXT, NUM_ANSWER = 24, 6
"""Tokens of the question with its prompt, and of the answer."""
VOCABULARY = 24576
WIDTH, CHANNELS = 576, 32
MVM = MaskedVideoModelling(weight=1.0, rate_spread=0.0)


def main() -> None:
    """Time, print, write."""
    args = parse_arguments()
    began = time.perf_counter()
    rows = [measure(count, args) for count in args.num_visual]
    aims = [
        Target(
            f"{row['num_visual']} visual tokens: masked / full pass", 1.0, row["masked"] / row["full"],
            at_least=False,
        )
        for row in rows
    ]  # fmt: skip
    figures = {"rows": rows, "targets": [target.to_dict() for target in aims]}
    write_report("masked_pass", args, figures, [table(rows), target_table(aims)], began)


def measure(num_visual: int, args: argparse.Namespace) -> dict[str, Any]:
    """Tokens of a sequence and median seconds of each pass."""
    learner = build_learner(num_visual, args.layers).train()
    whole, masked = (draw_pass(num_visual, args.batch_size, is_masked) for is_masked in (False, True))
    times: dict[str, list[float]] = {"full": [], "masked": [], "teacher": []}
    for _ in range(args.repeats):
        times["full"].append(seconds(lambda: backward(learner, whole)))
        both = seconds(lambda: backward(learner, masked))
        teacher = seconds(lambda: teach(learner, masked))
        times["masked"].append(both - teacher)
        times["teacher"].append(teacher)
    length = whole.sequences.input_ids.shape[1]
    dropped = int((~masked.kept[0]).sum()) if masked.kept is not None else 0
    tokens = {"full_tokens": length, "masked_tokens": length - dropped, "teacher_tokens": num_visual}
    return {"num_visual": num_visual, **tokens, **{name: median(values) for name, values in times.items()}}


def build_learner(num_visual: int, layers: int) -> LanguageLearner:
    """The model with a connector that costs next to nothing."""
    config = transformers.LlamaConfig(
        hidden_size=WIDTH, intermediate_size=1536, num_hidden_layers=layers, num_attention_heads=9,
        num_key_value_heads=3, vocab_size=VOCABULARY, tie_word_embeddings=True, eos_token_id=2,
    )  # fmt: skip
    language_model = transformers.LlamaForCausalLM(config).requires_grad_(False)
    shape = QFormerConfig(grid_channels=CHANNELS, grid_size=1, hidden_size=64, num_query_tokens=num_visual)
    model = VisionLanguageModel(PooledFrames(shape), torch.nn.Linear(64, WIDTH), None, language_model)
    return LanguageLearner(model, LanguageTraining(precision="fp32", mvm=MVM))


def draw_pass(num_visual: int, batch_size: int, is_masked: bool) -> Pass:
    """Random sequences of one length."""
    length = num_visual + NUM_TEXT + 1 + NUM_ANSWER
    input_ids = torch.randint(3, VOCABULARY, (batch_size, length))
    labels = input_ids.clone()
    labels[:, :-NUM_ANSWER] = IGNORE_INDEX
    visual_mask = torch.zeros(batch_size, length, dtype=torch.bool)
    visual_mask[:, :num_visual] = True
    hint = torch.full((batch_size,), num_visual + NUM_TEXT)
    sequences = LanguageBatch(input_ids, torch.ones_like(input_ids), labels, hint, visual_mask)
    kept = draw_kept(num_visual, batch_size, MVM, random.Random(0), always_kept=1) if is_masked else None
    frame_mask, nothing = torch.ones(batch_size, 1, dtype=torch.bool), torch.zeros(batch_size, 1, 1)
    grid = torch.randn(batch_size, 1, 1, CHANNELS)
    return Pass(grid, frame_mask, nothing, nothing[..., 0].bool(), sequences, torch.zeros(batch_size), kept)


def backward(learner: LanguageLearner, part: Pass) -> None:
    """One pass forwards and backwards."""
    losses = learner(part)
    torch.autograd.backward(torch.stack(list(losses.values())).sum())


def teach(learner: LanguageLearner, part: Pass) -> None:
    """The teacher's pass alone."""
    with torch.no_grad():
        tokens = learner.model.visual_tokens(learner.states(part))
        teacher_states(learner.model, learner.model.inputs_embeds(tokens, part.sequences), part.sequences)


def seconds(work: Callable[[], None]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """A line a number of visual tokens."""
    lines = [
        (
            str(row["num_visual"]),
            *(f"{row[f'{name}_tokens']} · {row[name]:.2f} s" for name in ("full", "masked", "teacher")),
            f"{(row['masked'] + row['teacher']) / row['full']:.2f}",
        )
        for row in rows
    ]
    columns = ("visual tokens", "full pass", "masked pass", "teacher", "masked + teacher / full")
    return Table("Tokens of a sequence, and seconds of a pass", columns, tuple(lines))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--num-visual", type=int, nargs="+", default=[16, 64, 512])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5)
    add_output_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
