import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.model.language import add_lora  # noqa: E402
from gifqa.model.pooled_frames import PooledFrames  # noqa: E402
from gifqa.model.qformer import QFormer  # noqa: E402
from gifqa.model.qformer_heads import AnswerHead, LanguageProjection  # noqa: E402
from gifqa.model.vision_language_model import IGNORE_INDEX, VisionLanguageModel  # noqa: E402
from gifqa.prompt import DESCRIBE_QUESTION  # noqa: E402
from gifqa.training.batches import draw_validation  # noqa: E402
from gifqa.training.language import LanguageStage  # noqa: E402
from gifqa.training.recipe import LanguageTraining, MaskedVideoModelling  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
SETTINGS = LanguageTraining(
    steps=4, batch_size=8, warmup_steps=1, lora_rank=4, lora_alpha=8, validate_every=2, average_decay=0.5
)


@pytest.fixture
def make_stage(store, texts, targets, qformer_config, make_word_tokenizer, make_language_model):
    tokenizer = make_word_tokenizer([*texts.index, "Question : Answer : Describe the GIF ."])

    def make(reader=QFormer, **changed):
        settings = SETTINGS.model_copy(update=changed)
        language_model = make_language_model(tokenizer.get_vocab_size())
        lora = add_lora(language_model, settings.lora_rank, settings.lora_alpha)
        model = VisionLanguageModel(
            reader(qformer_config),
            LanguageProjection(qformer_config.hidden_size, 32, 0.2),
            AnswerHead(qformer_config.hidden_size, texts.sentence(list(targets.answer_index))),
            lora,
        )
        torch.manual_seed(0)
        return LanguageStage(model, tokenizer, store, texts, targets, settings)

    return make


@pytest.fixture
def validation(annotations):
    return draw_validation(annotations, {"captions": 3, "caption-open": 3, "caption-yes/no": 3}, 0)


def rows_of(stage, samples):
    return [stage.store.rows(sample.picture)[:1] for sample in samples]


def test_only_lora_q_former_projection_and_head_are_trained(make_stage):
    names = set(make_stage().trained())

    assert {name.split(".")[0] for name in names} == {
        "connector", "language_projection", "answer_head", "language_model",
    }  # fmt: skip
    assert all("lora_" in name for name in names if name.startswith("language_model"))


def test_a_batch_has_captions_and_questions(make_stage):
    samples = make_stage(batch_size=10, caption_share=0.4).draw()

    assert len(samples) == 10
    assert [sample.question for sample in samples[:4]] == [DESCRIBE_QUESTION] * 4
    assert "match" not in {sample.source for sample in samples}


def test_losses_fall_on_one_batch_that_is_learnt_by_heart(make_stage):
    stage = make_stage(
        steps=20, lora_learning_rate=2e-2, qformer_learning_rate=5e-3, mvm=MaskedVideoModelling(weight=0.1)
    )
    batch = stage.draw()
    stage.draw = lambda: batch
    losses = [stage.train_step() for _ in range(20)]

    assert set(losses[0]) == {"language", "answer", "mvm"}
    for name in ("language", "answer"):
        assert losses[-1][name] < 0.5 * losses[0][name], name


def test_masked_video_modelling_moves_the_q_former_by_itself(make_stage):
    stage = make_stage(mvm=MaskedVideoModelling(weight=1.0))
    stage.model.train()
    samples = stage.draw()
    loss = stage.losses(samples, rows_of(stage, samples))["mvm"]
    loss.backward()

    assert loss.item() > 0
    assert stage.model.language_projection.linear.weight.grad.abs().sum() > 0


def test_a_mask_that_drops_nothing_changes_nothing(make_stage, monkeypatch):
    stage = make_stage(mvm=MaskedVideoModelling(weight=1.0))
    samples = stage.draw()
    keep_all = lambda count, rows, *_, **__: torch.ones(rows, count, dtype=torch.bool)  # noqa: E731
    monkeypatch.setattr("gifqa.training.language.draw_kept", keep_all)
    batch = stage.language_batch(samples)
    tokens = stage.model.language_projection(stage.encode(samples, rows_of(stage, samples)))
    logits, labels, loss = stage.masked_pass(tokens, batch)
    full, full_labels = stage.model.answer_logits(tokens, batch)

    assert loss.item() == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(logits, full)
    assert torch.equal(labels, full_labels)


def test_the_masked_pass_reads_fewer_tokens_but_every_label(make_stage):
    stage = make_stage(mvm=MaskedVideoModelling(weight=1.0))
    samples = stage.draw()
    batch = stage.language_batch(samples)
    tokens = stage.model.language_projection(stage.encode(samples, rows_of(stage, samples)))
    lengths = []
    original = stage.model.last_hidden

    def watched(embeds, attention_mask):
        lengths.append(embeds.shape[1])
        return original(embeds, attention_mask)

    stage.model.last_hidden = watched
    _, labels, _ = stage.masked_pass(tokens, batch)

    assert lengths[0] < batch.input_ids.shape[1]
    assert labels.tolist() == batch.labels[batch.labels != IGNORE_INDEX].tolist()


def test_a_blind_run_gives_every_picture_the_same_tokens(make_stage):
    stage = make_stage(vision="none")
    stage.model.eval()
    colours = [sample for sample in stage.targets.annotations.samples if sample.source == "caption-open"]
    first, second = colours[:2]
    assert first.picture != second.picture

    states = stage.encode([first, second], rows_of(stage, [first, second]))
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


def test_a_killed_run_resumes_as_if_it_had_not_been(make_stage, validation, tmp_path):
    whole = make_stage(mvm=MaskedVideoModelling(weight=0.1))
    best = whole.run(tmp_path / "whole", validation)
    cut = make_stage(mvm=MaskedVideoModelling(weight=0.1))
    original = cut.train_step

    def killed():
        if cut.step == 3:
            raise KeyboardInterrupt
        return original()

    cut.train_step = killed
    with pytest.raises(KeyboardInterrupt):
        cut.run(tmp_path / "cut", validation)
    resumed = make_stage(mvm=MaskedVideoModelling(weight=0.1))
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
