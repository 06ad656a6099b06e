"""The language stage in a world of colours, small enough to be shared by processes in a test.

python shared_language.py FOLDER      alone, or under torchrun: rank-0.json, rank-1.json, ... in FOLDER
"""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import tokenizers
import torch
import transformers
from training.conftest import CELLS, CHANNELS, TEXT_SIZE, WordTower, make_annotations, write_store

from gifqa.model.qformer import QFormer, QFormerConfig
from gifqa.model.qformer_heads import AnswerHead, LanguageProjection
from gifqa.model.vision_language_model import VisionLanguageModel
from gifqa.training.data.batches import draw_validation
from gifqa.training.data.store import FeatureStore, TextStore
from gifqa.training.data.targets import Targets, common_answers
from gifqa.training.language import LanguageData, LanguageStage
from gifqa.training.loop.distribution import Processes
from gifqa.training.recipe import LanguageTraining, MaskedVideoModelling
from gifqa.training.towers import texts_of

STEPS = 5
SETTINGS = LanguageTraining(
    steps=STEPS, batch_size=6, gradient_accumulation=2, length_bucketing=True, warmup_steps=1, lora_rank=0,
    precision="fp32", mvm=MaskedVideoModelling(weight=0.5, decoder=True),
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
        transformers.GPT2LMHeadModel(config).requires_grad_(False),
    )
    data = LanguageData(FeatureStore(folder), texts, targets)
    return LanguageStage(model, tokenizer, data, SETTINGS)


def train(folder):
    """What each step and a validation found, and the sums of the weights."""
    stage = build(folder)
    steps = [stage.train_step() for _ in range(STEPS)]
    samples = draw_validation(stage.data.targets.annotations, {"captions": 5, "caption-open": 4}, 0)
    weights = {name: value.double().sum().item() for name, value in stage.trained().items()}
    return {"steps": steps, "figures": stage.validate(samples), "weights": weights}


if __name__ == "__main__":
    output, rank = Path(sys.argv[1]), Processes().rank
    found = train(output / f"world-{rank}")
    (output / f"rank-{rank}.json").write_text(json.dumps(found))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
