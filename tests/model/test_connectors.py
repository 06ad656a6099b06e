import pytest

torch = pytest.importorskip("torch")

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.model.connectors import MLPConnector, spread_frames, take_frames  # noqa: E402
from gifqa.model.global_local import GlobalLocal, local_frames  # noqa: E402

CELLS, CHANNELS = 16, 6
NOTHING = torch.empty(0)


def make_mlp(**changed):
    torch.manual_seed(0)
    settings = {"num_frames": 2, "tokens_per_frame": 4, "hidden_size": 8} | changed
    return MLPConnector(CHANNELS, CELLS, **settings)


@pytest.mark.parametrize(
    ("frames", "places", "expected"),
    [(1, 4, [0, 0, 0, 0]), (2, 4, [0, 0, 1, 1]), (4, 4, [0, 1, 2, 3]), (6, 3, [0, 2, 4]), (3, 2, [0, 1])],
)
def test_frames_fill_the_places_in_time_order_and_padding_never_does(frames, places, expected):
    mask = torch.arange(frames + 2)[None] < frames

    assert spread_frames(mask, places).tolist() == [expected]


def test_rows_are_taken_of_each_clip_by_itself():
    values = torch.arange(6).view(2, 3, 1)

    assert take_frames(values, torch.tensor([[2, 0], [1, 1]])).flatten(1).tolist() == [[2, 0], [4, 4]]


def test_cells_are_pooled_to_the_largest_square_within_the_limit():
    assert make_mlp(tokens_per_frame=8).tokens_per_frame == 4
    assert make_mlp(tokens_per_frame=9).tokens_per_frame == 9
    assert make_mlp(tokens_per_frame=500).tokens_per_frame == CELLS


def test_a_token_sees_its_quarter_of_its_frame_alone():
    connector, mask = make_mlp(), torch.ones(1, 2, dtype=torch.bool)
    grid = torch.randn(1, 2, CELLS, CHANNELS)
    changed = grid.clone()
    changed[0, 1, 3] += 1  # the second frame's cell in row 0, column 3: its top right quarter
    states = connector(grid, mask, NOTHING, NOTHING)
    moved = (connector(changed, mask, NOTHING, NOTHING) - states).abs().sum(-1)[0]

    assert states.shape == (1, connector.num_visual_tokens, connector.hidden_size) == (1, 8, 8)
    assert moved.nonzero().flatten().tolist() == [4 + 1]


def test_a_grid_that_is_not_square_is_refused():
    with pytest.raises(ConfigError, match=r'gives 15 cells a frame; connector.kind "mlp" pools square grids'):
        MLPConnector(CHANNELS, 15, num_frames=1, tokens_per_frame=4, hidden_size=8)


def test_global_and_local_begins_as_the_local_frames():
    module = GlobalLocal(8, num_frames=4, tokens_per_frame=3, num_local=2)
    tokens = torch.randn(2, 12, 8)

    assert module.num_visual_tokens == 6
    frames = tokens.view(2, 4, 3, 8)
    torch.testing.assert_close(module(tokens), frames[:, [1, 3]].flatten(1, 2))


def test_the_residual_brings_what_local_frames_do_not_show():
    module = GlobalLocal(8, num_frames=4, tokens_per_frame=3, num_local=2)
    tokens = torch.randn(2, 12, 8)
    tokens.requires_grad_(True)
    module(tokens).sum().backward()
    assert tokens.grad.view(2, 4, 3, 8)[:, 0].abs().sum() == 0
    assert module.up.weight.grad.abs().sum() > 0

    torch.nn.init.normal_(module.up.weight)
    tokens.grad = None
    module(tokens).square().sum().backward()
    assert tokens.grad.view(2, 4, 3, 8)[:, 0].abs().sum() > 0


@pytest.mark.parametrize("num_frames", [1, 3, 8, 16, 64])
def test_local_frames_are_different_ones_in_time_order(num_frames):
    for num_local in range(1, num_frames + 1):
        frames = local_frames(num_frames, num_local)

        assert frames == sorted(set(frames))
        assert len(frames) == num_local
        assert set(frames) <= set(range(num_frames))


def test_more_local_frames_than_frames_are_refused():
    with pytest.raises(ConfigError, match=r"global_local is 5, but a clip has 4 frames; .* Lower it"):
        GlobalLocal(8, num_frames=4, tokens_per_frame=3, num_local=5)
