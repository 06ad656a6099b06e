from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")
pytest.importorskip("accelerate")

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.model.language import add_lora  # noqa: E402
from gifqa.model.pooled_frames import PooledFrames  # noqa: E402
from gifqa.model.qformer import QFormer  # noqa: E402
from gifqa.model.qformer_heads import AnswerHead, LanguageProjection  # noqa: E402
from gifqa.model.vision_language_model import IGNORE_INDEX, VisionLanguageModel  # noqa: E402
from gifqa.prompt import DESCRIBE_QUESTION  # noqa: E402
from gifqa.training.data.batches import draw_validation  # noqa: E402
from gifqa.training.data.targets import Targets  # noqa: E402
from gifqa.training.language import LanguageData, LanguageStage  # noqa: E402
from gifqa.training.parts import Batch  # noqa: E402
from gifqa.training.recipe import LanguageTraining, MaskedVideoModelling  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
SETTINGS = LanguageTraining(
    steps=4, batch_size=8, warmup_steps=1, lora_rank=4, lora_alpha=8, validate_every=2, average_decay=0.5,
    precision="fp32", tensorboard=False, samples_shown=3,
)  # fmt: skip
MVM = MaskedVideoModelling(weight=0.5)


@pytest.fixture
def make_stage(store, texts, targets, qformer_config, make_word_tokenizer, make_language_model):
    tokenizer = make_word_tokenizer([*texts.index, "Question : Answer : Describe the GIF ."])
    calm = qformer_config.model_copy(update={"dropout": 0.0})

    def make(reader=QFormer, *, config=calm, has_head=True, targets=targets, language_model=None, **changed):
        settings = SETTINGS.model_copy(update=changed)
        language_model = language_model or make_language_model(tokenizer.get_vocab_size())
        language_model.requires_grad_(False)
        if settings.lora_rank:
            language_model = add_lora(language_model, settings.lora_rank, settings.lora_alpha)
        torch.manual_seed(0)
        answers = texts.sentence(list(targets.answer_index) or ["red"])
        model = VisionLanguageModel(
            reader(config),
            LanguageProjection(config.hidden_size, 32, 0.2),
            AnswerHead(config.hidden_size, answers) if has_head else None,
            language_model,
            hint=settings.hint,
        )
        return LanguageStage(model, tokenizer, LanguageData(store, texts, targets), settings)

    return make


@pytest.fixture
def validation(annotations):
    return draw_validation(annotations, {"captions": 3, "caption-open": 3, "caption-yes/no": 3}, 0)


def gradients(stage, batch):
    """Of one batch, and its losses, as a step in training mode computes them."""
    stage.learner.train()
    stage.optimizer.zero_grad(set_to_none=True)
    losses, _ = stage.add_up(batch)
    moved = {name: value for name, value in stage.learner.named_parameters() if value.requires_grad}
    return losses, {name: value.grad for name, value in moved.items() if value.grad is not None}


def assert_same(first, second):
    """Losses and gradients of two ways to compute the same, in float32."""
    assert first[0] == pytest.approx(second[0], rel=1e-5, abs=1e-6)  # a small distance is 1 less a cosine
    assert first[1].keys() == second[1].keys()
    for name, value in first[1].items():
        assert (value - second[1][name]).abs().max() <= 1e-4 * value.abs().max() + 1e-8, name


def test_only_connector_projection_head_and_lora_are_trained(make_stage):
    names = set(make_stage().trained())

    assert {name.split(".")[0] for name in names} == {
        "connector", "language_projection", "answer_head", "language_model",
    }  # fmt: skip
    assert all("lora_" in name for name in names if name.startswith("language_model"))


def test_the_captions_of_a_picture_share_a_sample_and_count_as_one(make_stage):
    stage = make_stage(captions_per_picture=2, caption_share=0.5, batch_size=6)
    stage.learner.eval()
    packed = stage.draw_batch()
    assert [len(sample.other_answers) for sample in packed.samples] == [1, 1, 1, 0, 0, 0]

    nats = weight = 0.0
    for sample, shown in zip(packed.samples, packed.rows, strict=True):
        answers = (sample.answer, *sample.other_answers)
        alone = [replace(sample, answer=answer, other_answers=()) for answer in answers]
        sequences = stage.sequences(alone)
        batch = Batch(alone, [shown] * len(alone), sequences, stage.data.targets.answers(alone), None)
        losses, _ = stage.add_up(batch)
        nats += losses["language"] * batch.counts()["language"] / len(answers)
        weight += batch.counts()["language"] / len(answers)

    assert packed.counts()["language"] == pytest.approx(weight)
    assert stage.add_up(packed)[0]["language"] == pytest.approx(nats / weight, rel=1e-4)


def test_without_lora_the_language_model_stays_as_it_is(make_stage):
    stage = make_stage(lora_rank=0)
    before = {name: value.clone() for name, value in stage.model.language_model.state_dict().items()}
    stage.train_step()

    assert not [name for name in stage.trained() if name.startswith("language_model")]
    assert all(
        torch.equal(value, before[name]) for name, value in stage.model.language_model.state_dict().items()
    )


def test_a_batch_has_captions_and_questions(make_stage):
    samples = make_stage(batch_size=5, gradient_accumulation=2, caption_share=0.4).draw()

    assert len(samples) == 10
    assert [sample.question for sample in samples[:4]] == [DESCRIBE_QUESTION] * 4
    assert "match" not in {sample.source for sample in samples}


def test_data_of_captions_alone_make_whole_batches(make_stage, annotations):
    annotations.samples.clear()
    stage = make_stage(targets=Targets([], [], annotations), has_head=False)

    assert [sample.source for sample in stage.draw()] == ["captions"] * 8
    assert set(stage.train_step()) == {"language", "samples", "tokens"}


def test_losses_fall_on_one_batch_that_is_learnt_by_heart(make_stage):
    stage = make_stage(steps=20, lora_learning_rate=2e-2, qformer_learning_rate=5e-3, mvm=MVM)
    batch = stage.draw()
    stage.draw = lambda: batch
    losses = [stage.train_step() for _ in range(20)]

    assert set(losses[0]) == {"language", "answer", "mvm", "samples", "tokens"}
    for name in ("language", "answer"):
        assert losses[-1][name] < 0.5 * losses[0][name], name


def test_a_step_counts_what_it_read(make_stage):
    stage = make_stage()
    batch = stage.draw_batch()
    stage.draw_batch = lambda: batch
    found = stage.train_step()

    assert found["samples"] == 8
    assert found["tokens"] == int(batch.sequences.attention_mask.sum())


@pytest.mark.parametrize("bucketing", [False, True])
@pytest.mark.parametrize("mvm", [MaskedVideoModelling(), MVM, MVM.model_copy(update={"distance": "rmse"})])
def test_several_passes_learn_what_one_big_batch_does(make_stage, mvm, bucketing):
    whole = make_stage(batch_size=12, mvm=mvm)
    parts = make_stage(batch_size=4, gradient_accumulation=3, mvm=mvm, length_bucketing=bucketing)
    batch = whole.draw_batch()
    assert len({len(sample.answer.split()) for sample in batch.samples}) > 1

    assert_same(gradients(parts, batch), gradients(whole, batch))


def test_activations_computed_twice_give_the_same_gradients(make_stage):
    plain, checkpointed = make_stage(mvm=MVM), make_stage(mvm=MVM, activation_checkpointing=True)
    batch = plain.draw_batch()
    layers = checkpointed.model.language_model.get_base_model().model.layers
    calls = []
    layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))

    assert_same(gradients(checkpointed, batch), gradients(plain, batch))
    assert calls == [True, False, True]  # the masked pass, the teacher, the masked pass again


def test_both_precisions_train(make_stage):
    losses = {precision: make_stage(precision=precision).train_step() for precision in ("fp32", "bf16")}

    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("distance", ["cosine", "rmse", "mse"])
def test_masked_video_modelling_moves_connector_and_lora_by_itself(make_stage, distance, precision):
    stage = make_stage(mvm=MaskedVideoModelling(weight=1.0, distance=distance), precision=precision)
    stage.learner.train()
    lora = [name for name in stage.trained() if "lora_B" in name]
    with torch.no_grad():
        for name in lora:
            stage.trained()[name].normal_(0, 0.1)
    batch = stage.draw_batch()
    loss = stage.learner(stage.load_pass(batch, range(8)))["mvm"]
    loss.backward()

    assert loss.item() > 0
    for name in ("language_projection.linear.weight", "connector.query_tokens", lora[0]):
        assert stage.trained()[name].grad.abs().sum() > 0, name


def keep_all(count, rows, *_, **__):
    return torch.ones(rows, count, dtype=torch.bool)


def gpt2(vocabulary_size, dropout):
    torch.manual_seed(3)
    config = transformers.GPT2Config(
        n_embd=32, n_layer=2, n_head=2, vocab_size=vocabulary_size, n_positions=128, resid_pdrop=dropout,
        embd_pdrop=dropout, attn_pdrop=dropout, bos_token_id=1, eos_token_id=2, initializer_range=0.3,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


def test_a_mask_that_drops_nothing_costs_nothing_and_changes_nothing(make_stage, monkeypatch):
    """With a language model that has dropout, which the original's notebook left on in both passes."""
    make = lambda **changed: make_stage(language_model=gpt2(200, 0.5), lora_rank=0, **changed)  # noqa: E731
    monkeypatch.setattr("gifqa.training.language.draw_kept", keep_all)
    masked, plain = make(mvm=MVM), make()
    batch = masked.draw_batch()
    losses, found = gradients(masked, batch)
    mvm = losses.pop("mvm")
    plain_losses, expected = gradients(plain, batch.__class__(**(vars(batch) | {"kept": None})))

    assert mvm == pytest.approx(0, abs=1e-5)
    assert_same((losses, found), (plain_losses, expected))


def test_the_masked_pass_reads_fewer_tokens_but_every_label(make_stage):
    stage = make_stage(mvm=MVM)
    batch = stage.draw_batch()
    part = stage.load_pass(batch, range(8))
    read = []
    original = stage.model.last_hidden
    stage.model.last_hidden = lambda embeds, *places: (
        read.append(embeds.shape[1]) or original(embeds, *places)
    )
    labels = []
    scored = stage.learner.answer_logits
    stage.learner.answer_logits = lambda hidden, given: labels.append(given) or scored(hidden, given)
    stage.learner(part)

    full = batch.sequences.input_ids.shape[1]
    dropped = int((~batch.kept).sum(1)[0])
    assert dropped >= 1
    assert read == [full - dropped, stage.model.num_visual_tokens]
    wanted = batch.sequences.labels
    assert labels[0][labels[0] != IGNORE_INDEX].tolist() == wanted[wanted != IGNORE_INDEX].tolist()


@pytest.mark.parametrize("hint", [True, False])
def test_the_first_token_is_never_dropped_where_it_stands_twice(make_stage, hint):
    stage = make_stage(mvm=MVM, hint=hint)
    kept = torch.cat([stage.draw_batch().kept for _ in range(20)])

    assert bool(kept[:, 0].all()) == hint


def test_the_decoder_learns_but_is_no_part_of_the_model(make_stage, validation, tmp_path):
    mvm = MaskedVideoModelling(weight=0.5, decoder=True)
    stage = make_stage(mvm=mvm)
    before = stage.learner.decoder.linear.weight.detach().clone()
    stage.run(tmp_path, validation)
    resumed = make_stage(mvm=mvm)
    resumed.run(tmp_path, validation)

    assert not torch.equal(before, stage.learner.decoder.linear.weight)
    assert torch.equal(resumed.learner.decoder.linear.weight, stage.learner.decoder.linear.weight)
    assert not [name for name in stage.weights() if "decoder" in name]


def test_dropout_is_on_in_the_connector_and_off_in_the_language_model(make_stage, qformer_config):
    stage = make_stage(config=qformer_config, language_model=gpt2(200, 0.5), lora_rank=0)
    stage.learner.train()

    assert all(part.training for part in stage.model.connector.modules())
    assert not any(part.training for part in stage.model.language_model.modules())


def test_a_blind_run_gives_every_picture_the_same_tokens(make_stage):
    stage = make_stage(vision="none")
    stage.learner.eval()
    colours = [sample for sample in stage.data.targets.annotations.samples if sample.source == "caption-open"]
    first, second = colours[:2]
    assert first.picture != second.picture

    states = stage.learner.states(stage.load_pass(stage.fixed_batch([first, second]), [0, 1]))
    torch.testing.assert_close(states[0], states[1])


def test_the_original_s_design_trains_without_a_q_former(make_stage):
    stage = make_stage(reader=PooledFrames, vision="pooled")

    assert stage.train_step()["language"] > 0
    assert not [name for name in stage.trained() if "attention" in name and name.startswith("connector")]


@pytest.mark.parametrize(("reader", "vision"), [(QFormer, "pooled"), (PooledFrames, "grid")])
def test_a_setting_that_the_model_does_not_fit_is_refused(make_stage, reader, vision):
    with pytest.raises(
        ConfigError, match=rf"language.vision is '{vision}', but the model has a {reader.__name__};"
    ):
        make_stage(reader=reader, vision=vision)


def test_a_loss_that_is_no_number_stops_the_run_before_the_weights_are_spoilt(make_stage):
    stage = make_stage()
    before = {name: value.detach().clone() for name, value in stage.trained().items()}
    stage.learner.forward = lambda part: {
        "language": stage.trained()["connector.query_tokens"].sum() * torch.nan
    }

    with pytest.raises(ConfigError, match="the loss is nan at step 0"):
        stage.train_step()
    assert all(torch.equal(value, before[name]) for name, value in stage.trained().items())


def test_a_killed_run_resumes_as_if_it_had_not_been(make_stage, validation, tmp_path):
    mvm = MaskedVideoModelling(weight=0.1)
    options = {"mvm": mvm, "gradient_accumulation": 2, "batch_size": 4, "length_bucketing": True}
    whole = make_stage(**options)
    best = whole.run(tmp_path / "whole", validation)
    cut = make_stage(**options)
    original = cut.train_step

    def killed():
        if cut.step == 3:
            raise KeyboardInterrupt
        return original()

    cut.train_step = killed
    with pytest.raises(KeyboardInterrupt):
        cut.run(tmp_path / "cut", validation)
    resumed = make_stage(**options)
    assert resumed.run(tmp_path / "cut", validation) == best

    for name, value in whole.trained().items():
        assert torch.equal(value, resumed.trained()[name]), name
        assert torch.equal(whole.weights()[name], resumed.weights()[name]), name


def test_validation_is_nats_and_whole_answers_by_group(make_stage, validation):
    stage = make_stage()
    stage.train_step()
    before = {name: value.detach().clone() for name, value in stage.trained().items()}
    figures = stage.validate(validation)

    groups = ("captions/open", "caption-open/open", "caption-yes/no/yes-no")
    assert set(figures) == {f"{group} {kind}" for group in groups for kind in ("nats", "exact")} | {
        "mean nats"
    }
    assert figures["mean nats"] == pytest.approx(
        sum(figures[f"{group} nats"] for group in groups) / 3, abs=1e-3
    )
    assert all(torch.equal(value, before[name]) for name, value in stage.trained().items())


def test_one_sample_of_each_group_is_answered_and_shown(make_stage, validation, tmp_path):
    stage = make_stage(steps=60, validate_every=60, lora_learning_rate=2e-2, qformer_learning_rate=5e-3)
    colours = [sample for sample in validation if sample.source == "caption-open"]
    stage.draw = lambda: colours
    figures = stage.run(tmp_path, colours)
    shown = stage.samples()

    assert figures["caption-open/open exact"] == 1
    assert [(one.picture, one.reference) for one in shown] == [(s.picture, s.answer) for s in colours]
    assert [one.answer for one in shown] == [one.reference for one in shown]
