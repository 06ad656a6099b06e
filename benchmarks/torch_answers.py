"""Answers of a trained run to the samples of `answers.py`, from cached features: for models without a bundle.

The baselines of the language stage are trained as `gifqa-lite` is and answer here as it does: the answer head
proposes, the language model writes one answer of its own, both weigh all, and the weights are fitted on the
validation split. There is no third opinion: without pictures the dual encoder has none.

    gifqa train recipes/lite.toml ... -o runs/blind --set language.vision=none --set pretraining.blind=true
        --stage qformer --stage language
    python benchmarks/answers.py ... --write-samples samples.jsonl
    python benchmarks/torch_answers.py runs/blind --data DIR --pairs pairs.jsonl --samples samples.jsonl
        --output blind.jsonl
    python benchmarks/answers.py ... --predictions blind=blind.jsonl
"""

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from json_lines import read_lines
from reporting import run as run_benchmark
from rich.progress import track
from torch import Tensor

from gifqa.answering.bundle import Calibration
from gifqa.answering.decoder import log_softmax
from gifqa.answering.lite import MAX_ANSWER_TOKENS, NUM_CANDIDATES, Opinions
from gifqa.model.generation import write_greedily
from gifqa.model.precision import compute_dtype
from gifqa.model.text import encode_ids, load_text_tower
from gifqa.prompt import STATEMENT_ANSWERS, is_yes_no, normalise_answer, yes_no_kind
from gifqa.training.building import load_trained, merge_lora
from gifqa.training.calibration import Judged, fit_calibration
from gifqa.training.data.batches import fixed_rows, pack_grids
from gifqa.training.data.samples import Sample
from gifqa.training.exporting import read_recipe
from gifqa.training.release import calibration_samples
from gifqa.training.run_state import Inputs, Run


class RunAnswerer:
    """The torch model of a run, with its opinions on candidates as the shipped model forms them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.model = merge_lora(load_trained(run)).eval()
        self.language_model = self.model.language_model.to(compute_dtype())
        self.text_tower, self.text_tokenizer = load_text_tower(run.recipe.text.tower)
        self.places = {answer: place for place, answer in enumerate(run.vocabulary["answers"])}

    @torch.inference_mode()
    def weigh(self, picture: str, question: str, options: Sequence[str] | None) -> Opinions:
        """What answer head and language model each think of the candidates."""
        states = self._states(picture, question)
        embeds = self._prompt(states, question)
        logits = self.model.answer_head(states)[0]
        if options is not None:
            kind, candidates = "options", list(options)
            head = log_softmax(self._scores(states, [normalise_answer(option) for option in options]).numpy())
        elif is_yes_no(question):
            kind, candidates = yes_no_kind(question), list(STATEMENT_ANSWERS)
            head = log_softmax(self._known(logits, states, candidates).numpy())
        else:
            kind, candidates = "open", self._proposed(logits, embeds)
            head = (self._known(logits, states, candidates) - logits.logsumexp(0)).numpy()
        plain = [normalise_answer(candidate) or candidate for candidate in candidates]
        language = self._log_likelihoods(embeds, plain)
        nothing = np.zeros(len(candidates), np.float32)
        return Opinions(kind, tuple(candidates), head, language, nothing)

    def _states(self, picture: str, question: str) -> Tensor:
        """Query states (1, K, D)."""
        rows = [fixed_rows(self.run.store, picture, self.run.recipe.language.num_frames)]
        grid, frame_mask = pack_grids(self.run.store, rows)
        if self.run.recipe.language.vision == "none":
            grid = torch.zeros_like(grid)
        ids, mask = encode_ids(self.text_tokenizer, [question])
        token_states, _ = self.text_tower(ids, mask)
        states: Tensor = self.model.connector(grid, frame_mask, token_states, mask.bool())
        return states

    def _prompt(self, states: Tensor, question: str) -> Tensor:
        """Visual tokens, the question and the hint, (1, S, E)."""
        batch = self.model.language_batch(self.run.tokenizer, [question], [""])
        return self.model.inputs_embeds(self.model.visual_tokens(states), batch)

    def _proposed(self, logits: Tensor, embeds: Tensor) -> list[str]:
        names = list(self.places)
        candidates = [names[place] for place in logits.topk(NUM_CANDIDATES).indices.tolist()]
        written = write_greedily(self.language_model, embeds, self.model.eos_token_id, MAX_ANSWER_TOKENS)
        text = normalise_answer(self.run.tokenizer.decode(written.tokens))
        return [*candidates, text] if text and text not in candidates else candidates

    def _known(self, logits: Tensor, states: Tensor, answers: Sequence[str]) -> Tensor:
        """The head's scores: of known answers its logits."""
        scores = self._scores(states, answers)
        for row, answer in enumerate(answers):
            if answer in self.places:
                scores[row] = logits[self.places[answer]]
        return scores

    def _scores(self, states: Tensor, answers: Sequence[str]) -> Tensor:
        """The head's scores of any texts, (len(answers),)."""
        _, sentences = self.text_tower(*encode_ids(self.text_tokenizer, list(answers)))
        return self.model.answer_head.score(states, sentences[None])[0].clone()

    def _log_likelihoods(self, embeds: Tensor, answers: Sequence[str]) -> np.ndarray:
        """Log-probability of each answer and its end after the prompt; the prompt is read once."""
        encoded = [
            self.run.tokenizer.encode(" " + answer, add_special_tokens=False).ids for answer in answers
        ]
        encoded = [[*ids, self.model.eos_token_id] for ids in encoded]
        prompt = self.language_model(inputs_embeds=embeds, use_cache=True)
        name = "cache" if "cache" in prompt else "past_key_values"  # as older transformers have it
        cache = prompt[name]
        cache.batch_repeat_interleave(len(encoded))
        longest = max(len(ids) for ids in encoded)
        padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in encoded])
        rest = self.language_model(input_ids=padded, **{name: cache}).logits
        first = prompt.logits[:, -1:].expand(len(encoded), -1, -1)
        scores = torch.cat([first, rest[:, :-1]], dim=1).float().log_softmax(-1)
        found = scores.gather(2, padded[..., None])[..., 0]
        kept = torch.tensor([[place < len(ids) for place in range(longest)] for ids in encoded])
        return np.asarray((found * kept).sum(1), np.float32)


def calibrate(answerer: RunAnswerer, samples: dict[str, list[Sample]], most: int) -> dict[str, Calibration]:
    """Weights and confidences by kind of question, fitted on at most `most` validation questions each."""
    found = {}
    for kind, questions in samples.items():
        judged = [one for one in judge(answerer, questions[:most], kind) if one.opinions.kind == kind]
        found[kind] = fit_calibration(judged)
    return found


def judge(answerer: RunAnswerer, samples: Sequence[Sample], kind: str) -> Iterator[Judged]:
    """Opinions on validation questions, and which candidate is right."""
    for sample in track(samples, f"validation, {kind}"):
        options = list(sample.options)  # the right one is first, and ties must not make it the winner
        random.Random(sample.question).shuffle(options)
        opinions = answerer.weigh(sample.picture, sample.question, options or None)
        compared = [normalise_answer(candidate) for candidate in opinions.candidates]
        yield Judged(opinions, compared.index(sample.answer) if sample.answer in compared else None)


def answers(
    answerer: RunAnswerer, calibrations: dict[str, Calibration], samples: Sequence[dict]
) -> Iterable[dict]:
    """A line for each sample, as `answers.py --predictions` reads it."""
    for sample in track(samples, "test"):
        opinions = answerer.weigh(sample["picture"], sample["question"], sample.get("options"))
        calibration = calibrations[opinions.kind]
        shares = opinions.shares(calibration)
        best = int(shares.argmax())
        confidence = calibration.confidence(float(shares[best]))
        yield {"id": sample["id"], "answer": opinions.candidates[best], "confidence": confidence}


def main() -> None:
    """Load, calibrate, answer, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path, help="folder whose stage `language` is done")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, nargs="+", required=True)
    parser.add_argument("--samples", type=Path, required=True, help="of answers.py --write-samples")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--calibrate-on", type=int, default=300, help="validation questions of each kind")
    args = parser.parse_args()
    run = Run(read_recipe(args.run), Inputs(args.data, tuple(args.pairs)), args.run, threads=0)
    answerer = RunAnswerer(run)
    calibrations = calibrate(answerer, calibration_samples(run), args.calibrate_on)
    samples = list(read_lines(args.samples, ("id", "picture", "question")))
    with args.output.open("w", encoding="utf-8") as file:
        for line in answers(answerer, calibrations, samples):
            file.write(json.dumps(line) + "\n")
    print(f"{args.output}: {len(samples):,} answers")


if __name__ == "__main__":
    run_benchmark(main)
