import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from gifqa.errors import CheckpointError  # noqa: E402
from gifqa.model.pretrained_qformers import load_pretrained_qformer  # noqa: E402

KINDS = ("blip2", "instructblip")
CELLS, CHANNELS = 5, 16
QUESTIONS = ["is the dog red ?", "is the dog red or blue ?"]


def load(kind, folder, num_frames=2):
    return load_pretrained_qformer(kind, str(folder), grid_channels=CHANNELS, num_frames=num_frames).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_and_the_query_tokens_are_those_of_the_whole_checkpoint(kind, save_blip):
    folder = save_blip(kind)
    whole = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    connector = load(kind, folder)

    assert torch.equal(connector.query_tokens, whole.query_tokens)
    expected = whole.qformer.state_dict()
    found = connector.qformer.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    assert connector.query_tokens.abs().sum() > 0


def test_states_are_those_of_blip_2_frame_by_frame(save_blip):
    folder = save_blip("blip2")
    whole = transformers.Blip2ForConditionalGeneration.from_pretrained(folder).eval()
    connector = load("blip2", folder)
    grid = torch.randn(2, 2, CELLS, CHANNELS)
    with torch.no_grad():
        states = connector(grid, torch.ones(2, 2, dtype=torch.bool), torch.empty(0), torch.empty(0))
        cells = connector.cell_projection(connector.cell_norm(grid[1, 1:]))
        expected = whole.qformer(
            query_embeds=whole.query_tokens, encoder_hidden_states=cells
        ).last_hidden_state

    assert (connector.num_visual_tokens, connector.tokens_per_frame, connector.hidden_size) == (6, 3, 24)
    assert states.shape == (2, 6, 24)
    torch.testing.assert_close(states[1, 3:], expected[0], atol=1e-6, rtol=1e-5)


def test_instructblip_reads_the_question(save_blip):
    folder = save_blip("instructblip")
    whole = transformers.InstructBlipForConditionalGeneration.from_pretrained(folder).eval()
    connector = load("instructblip", folder)
    question, question_mask = connector.encode_questions(QUESTIONS)
    grid = torch.randn(1, 1, CELLS, CHANNELS).expand(2, 2, -1, -1)
    with torch.no_grad():
        states = connector(grid, torch.ones(2, 2, dtype=torch.bool), question, question_mask)
        cells = connector.cell_projection(connector.cell_norm(grid[1, :1]))
        expected = whole.qformer(
            input_ids=question[1:], query_embeds=whole.query_tokens, encoder_hidden_states=cells
        ).last_hidden_state[:, :3]
        alone, alone_mask = connector.encode_questions(QUESTIONS[:1])
        single = connector(grid[:1], torch.ones(1, 2, dtype=torch.bool), alone, alone_mask)

    assert connector.reads_question == "ids"
    assert question_mask.sum(1).tolist() == [5, 7]
    torch.testing.assert_close(states[1, 3:], expected[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(states[0], single[0], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(states[0], states[1], atol=1e-3)


def test_padding_is_not_read_and_places_are_filled_in_time_order(save_blip):
    connector = load("blip2", save_blip("blip2"), num_frames=4)
    grid = torch.randn(1, 3, CELLS, CHANNELS)
    nothing = torch.empty(0)
    with torch.no_grad():
        two = connector(grid, torch.tensor([[True, True, False]]), nothing, nothing)
        six = connector(torch.cat([grid, grid], 1), torch.ones(1, 6, dtype=torch.bool), nothing, nothing)
    first, second, third, fourth = two.view(4, 3, 24)

    assert torch.equal(first, second)
    assert torch.equal(third, fourth)
    assert not torch.equal(first, third)
    torch.testing.assert_close(six.view(4, 3, 24)[0], first)  # frames 0, 1, 3, 4 of six; 3 is 0 again
    torch.testing.assert_close(six.view(4, 3, 24)[2], first)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("query_tokens"), "it lacks query_tokens"),
        (lambda weights: weights.pop("qformer.encoder.layer.0.crossattention.attention.key.weight"),
         r"it lacks qformer\.encoder\.layer\.0\.crossattention\.attention\.key\.weight"),
        (lambda weights: weights.update({"qformer.extra.weight": torch.zeros(2)}),
         r"it has unknown qformer\.extra\.weight"),
        (lambda weights: weights.update({"query_tokens": torch.zeros(1, 5, 24)}),
         r"it has of another shape query_tokens \(1, 5, 24\) for \(1, 3, 24\)"),
    ],
)  # fmt: skip
def test_a_checkpoint_with_other_keys_is_refused(kind, change, message, save_blip, edit_weights):
    folder = save_blip(kind)
    edit_weights(folder, change)

    with pytest.raises(CheckpointError, match=message):
        load(kind, folder)


def test_a_bare_q_former_without_the_prefix_is_refused_rather_than_left_random(tmp_path, save_blip):
    """The original loaded a whole checkpoint as a bare Q-Former: no key fitted, all stayed random."""
    whole = save_blip("blip2")
    bare = tmp_path / "bare"
    transformers.Blip2ForConditionalGeneration.from_pretrained(whole).qformer.save_pretrained(bare)
    (bare / "config.json").write_bytes((whole / "config.json").read_bytes())

    with pytest.raises(
        CheckpointError, match=r"does not fit .* lacks query_tokens, qformer\..* and \d+ more"
    ):
        load("blip2", bare)


def test_another_architecture_is_refused(save_blip):
    with pytest.raises(CheckpointError, match="is a instructblip model; the connector 'blip2' needs"):
        load("blip2", save_blip("instructblip"))


def test_instructblip_without_its_tokenizer_is_refused(save_blip):
    folder = save_blip("instructblip")
    (folder / "qformer_tokenizer" / "tokenizer.json").unlink()

    with pytest.raises(CheckpointError, match=r"has no qformer_tokenizer/tokenizer\.json"):
        load("instructblip", folder)
