"""The language stage in a world of colours, small enough to be shared by processes in a test.

torchrun ... shared_language.py FOLDER      rank-0.json, rank-1.json, ... in FOLDER, each with what it found
                                            when all hold the whole model, and when each keeps a share of it
"""

import json
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import tokenizers
import torch
import transformers
from training.conftest import CELLS, CHANNELS, TEXT_SIZE, WordTower, make_annotations, write_store

from gifqa.model.language import add_lora
from gifqa.model.qformer import QFormer, QFormerConfig
from gifqa.model.qformer_heads import AnswerHead, LanguageProjection
from gifqa.model.vision_language_model import VisionLanguageModel
from gifqa.training.data.batches import draw_validation
from gifqa.training.data.store import FeatureStore, TextStore
from gifqa.training.data.targets import Targets, common_answers
from gifqa.training.language import LanguageData, LanguageStage
from gifqa.training.loop.distribution import Processes
from gifqa.training.loop.sharding import is_sharded
from gifqa.training.recipe import LanguageTraining, MaskedVideoModelling
from gifqa.training.towers import texts_of

STEPS = 5
SAVED = 3
"""The step after which another stage goes on from what the first one saved."""
SETTINGS = LanguageTraining(
    steps=STEPS, batch_size=6, gradient_accumulation=2, length_bucketing=True, warmup_steps=1,
    precision="fp32", activation_checkpointing=True, mvm=MaskedVideoModelling(weight=0.5, decoder=True),
)  # fmt: skip


def build(folder):
    """The stage; without dropout, whose noise is each process's own."""
    annotations = make_annotations()
    write_store(folder, annotations.captions)
    known = sorted(texts_of([annotations]))
    words = {
        word
        for text in [*known, "Question : Answer : Describe the GIF ."]
        for word in re.findall(r"\w+|\W", text)
    }
    vocabulary = {word: index for index, word in enumerate(["<pad>", "<unk>", "<eos>", *sorted(words)])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    texts = TextStore(WordTower(), tokenizer, known)
    targets = Targets(common_answers(annotations.samples, 1, 100), [], annotations)
    torch.manual_seed(0)
    shape = QFormerConfig(
        grid_channels=CHANNELS, grid_size=CELLS, text_size=TEXT_SIZE, hidden_size=32, num_hidden_layers=2,
        num_attention_heads=4, num_query_tokens=5, max_frames=4, dropout=0.0,
    )  # fmt: skip
    config = transformers.GPT2Config(
        n_embd=32, n_layer=2, n_head=2, vocab_size=len(vocabulary), n_positions=128, bos_token_id=1,
        eos_token_id=2, initializer_range=0.3,
    )  # fmt: skip
    model = VisionLanguageModel(
        QFormer(shape),
        LanguageProjection(32, 32, 0.2),
        AnswerHead(32, texts.sentence(list(targets.answer_index))),
        add_lora(transformers.GPT2LMHeadModel(config).requires_grad_(False), 2, 4),
    )
    data = LanguageData(FeatureStore(folder), texts, targets)
    return LanguageStage(model, tokenizer, data, SETTINGS)


def train(folder):
    """What steps and a validation found, sums of what was saved, and how many numbers this process holds."""
    stage = build(folder)
    steps = [stage.train_step() for _ in range(SAVED)]
    saved, chance = stage.state(), stage.chance.getstate()
    moments = [sums(values) for values in saved["optimizer"]["state"].values()]
    stage = build(folder)
    stage.load_state(saved)
    stage.chance.setstate(chance)
    steps += [stage.train_step() for _ in range(STEPS - SAVED)]
    samples = draw_validation(stage.data.targets.annotations, {"captions": 5, "caption-open": 4}, 0)
    stage.shown = samples[:2]
    kept = [value.to_local() if is_sharded(value) else value for value in stage.learner.parameters()]
    return {
        "steps": steps,
        "figures": stage.validate(samples),
        "shown": [answer.answer for answer in stage.samples()],
        "weights": sums(stage.weights()) | sums(stage.state()["trained"]),
        "moments": moments,
        "numbers": sum(value.numel() for value in kept),
    }


def sums(values):
    return {name: value.double().sum().item() for name, value in values.items()}


if __name__ == "__main__":
    output, rank = Path(sys.argv[1]), Processes().rank
    found = {}
    for asked in ("false", "true"):
        os.environ["ACCELERATE_USE_FSDP"] = asked  # as accelerate launch does
        found[asked] = train(output / f"world-{rank}-{asked}")
    (output / f"rank-{rank}.json").write_text(json.dumps(found))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
