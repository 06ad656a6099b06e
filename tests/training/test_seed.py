"""recipes/seed.toml from drawn GIFs to an answer, on tiny random checkpoints of the real architectures."""

import json
import runpy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
for needed in ("tokenizers", "peft", "accelerate", "matplotlib"):
    pytest.importorskip(needed)

from gifqa.cli.main import run  # noqa: E402
from gifqa.training.loop.steps import read_metrics  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
ROOT = Path(__file__).parents[2]
draw_clips = runpy.run_path(str(ROOT / "examples" / "draw_clips.py"))["draw_clips"]
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VOCABULARY = 320


@pytest.fixture
def drawn(tmp_path):
    """Eight clips to learn by heart and two to validate on, one more that is missing and one damaged."""
    folder = tmp_path / "drawn"
    draw_clips(folder, {"train": 8, "val": 2})
    (folder / "damaged.gif").write_bytes(b"GIF89a")
    with (folder / "clips.jsonl").open("a") as clips:
        for name in ("missing.gif", "damaged.gif"):
            clips.write(json.dumps({"clip": name, "split": "train", "description": "a cat"}) + "\n")
    return folder


@pytest.fixture
def pretrained(tmp_path, drawn, make_bpe_tokenizer):
    """Folders of CLIP, BLIP-2 and GPT-2 as the hub has them, with random weights."""
    transformers.utils.logging.disable_progress_bar()
    texts = [(drawn / name).read_text() for name in ("clips.jsonl", "pairs.jsonl")]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=make_bpe_tokenizer(texts, VOCABULARY),
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
    )
    torch.manual_seed(0)
    text = {"vocab_size": VOCABULARY, "max_position_embeddings": 77, "bos_token_id": 1, "eos_token_id": 2}
    vision = SMALL | {"image_size": 32, "patch_size": 8}
    clip = transformers.CLIPConfig(text_config=SMALL | text, vision_config=vision, projection_dim=16)
    transformers.CLIPModel(clip).save_pretrained(tmp_path / "clip")
    images = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    transformers.CLIPProcessor(images, tokenizer).save_pretrained(tmp_path / "clip")
    opt = {
        "model_type": "opt", "hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "vocab_size": 40, "max_position_embeddings": 32, "word_embed_proj_dim": 16,
    }  # fmt: skip
    blip2 = transformers.Blip2Config(
        vision_config=vision,
        qformer_config=SMALL | {"vocab_size": 8, "initializer_range": 0.2},
        text_config=opt,
        num_query_tokens=4,
    )
    model = transformers.Blip2ForConditionalGeneration(blip2)
    torch.nn.init.normal_(model.query_tokens)
    model.save_pretrained(tmp_path / "blip2")
    gpt2 = transformers.GPT2Config(
        n_embd=128, n_layer=2, n_head=4, n_positions=256, vocab_size=VOCABULARY, bos_token_id=1,
        eos_token_id=2, initializer_range=0.1,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(gpt2)
    model.transformer.wte.weight.data *= 2  # else the frozen output layer can be sure of nothing
    model.save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    return tmp_path


@pytest.fixture
def arguments(drawn, pretrained):
    """`gifqa train` with the seed recipe, its names and lengths replaced."""
    settings = {
        "vision.tower": pretrained / "clip",
        "connector.source": pretrained / "blip2",
        "language_model.source": pretrained / "gpt2",
        "language.steps": 200,
        "language.batch_size": 16,
        "language.warmup_steps": 10,
        "language.lora_learning_rate": 5e-3,
        "language.lora_targets": '["c_attn", "c_proj", "c_fc"]',
        "language.qformer_learning_rate": 5e-3,
        "language.validate_every": 100,
        "language.mvm.weight": 0.1,
        "language.average_decay": 0.9,
        "language.tensorboard": "false",
        "language.precision": "fp32",
    }
    chosen = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    data = ["--data", drawn, "--pairs", drawn / "pairs.jsonl", "-o", pretrained / "run", "--threads", "1"]
    return [str(word) for word in ("train", ROOT / "recipes" / "seed.toml", *data, *chosen)]


def test_seed_learns_eight_clips_by_heart_and_answers(arguments, drawn, pretrained, capsys):
    folder = pretrained / "run"

    assert run(arguments) == 0, capsys.readouterr().err
    printed = capsys.readouterr()
    losses = [line["language"] for line in read_metrics(folder / "language") if "language" in line]
    assert losses[-1] < 0.1 < losses[0]
    assert "2 pictures are left out, such as missing.gif" in printed.err
    assert json.loads((folder / "features" / "done.json").read_text())["skipped"]["captions"] == 2

    checkpoint = folder / "checkpoint"
    clip = next(drawn.glob("red-*.gif"))
    assert run(["ask", str(clip), "What colour is it?", "--model", str(checkpoint), "--no-cache"]) == 0
    assert "gifqa-seed" in capsys.readouterr().out

    assert run(["model", "verify", str(folder)]) == 0
    assert run(["model", "show", str(checkpoint), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert shown["parts"]["connector"] == "blip2"
    assert shown["figures"]["mean nats"] > 0

    assert run(["export", str(folder), "-o", str(pretrained / "bundle")]) == 1
    told = capsys.readouterr().err
    assert f"whose model is {checkpoint}: ask it by --model" in told
    assert "a bundle needs vision.tower to be 'efficientnet-lite2'; it is" in told

    assert run([*arguments, "--set", "language.mvm.weight=0.5"]) == 1
    assert "another recipe: language.mvm.weight is 0.1 there and 0.5 here" in capsys.readouterr().err
