import pytest

torch = pytest.importorskip("torch")

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.model.vision_language_model import IGNORE_INDEX, build_language_batch  # noqa: E402
from gifqa.training.data.samples import Sample  # noqa: E402
from gifqa.training.data.targets import UNKNOWN  # noqa: E402
from gifqa.training.parts import Batch, cut, take_sequences  # noqa: E402

ANSWERS = ["red", "a b c d e f", "blue", "a b c", "red", "a b c d", "a", "a b"]
TEXTS = ["Question : Answer : what ? red blue a b c d e f"]


@pytest.fixture
def batch(make_word_tokenizer):
    samples = [Sample("x/red-0.jpg", "what ?", answer, "captions", "summary") for answer in ANSWERS]
    sequences = build_language_batch(make_word_tokenizer(TEXTS), ["what ?"] * 8, ANSWERS, 3, 2)
    answers = torch.tensor([0, UNKNOWN, 1, UNKNOWN, 0, UNKNOWN, UNKNOWN, UNKNOWN])
    return Batch(samples, [[0]] * 6 + [[0, 1]] * 2, sequences, answers, None)


def test_sums_are_divided_by_labels_known_answers_and_rows(batch):
    labels = sum(len(answer.split()) + 1 for answer in ANSWERS)

    assert batch.counts() == {"language": labels, "answer": 3, "mvm": 8}


@pytest.mark.parametrize("bucketing", [False, True])
@pytest.mark.parametrize(("num_passes", "num_processes"), [(1, 1), (3, 1), (1, 2), (2, 3), (9, 1)])
def test_every_sample_is_read_once_in_parts_of_one_size(batch, num_passes, num_processes, bucketing):
    parts = cut(batch, num_passes, num_processes, bucketing=bucketing)
    sizes = [len(chosen) for passes in parts for chosen in passes]

    assert len(parts) == num_processes
    assert {len(passes) for passes in parts} == {min(num_passes, 8 // num_processes)}
    assert sorted(index for passes in parts for chosen in passes for index in chosen) == list(range(8))
    assert max(sizes) - min(sizes) <= 1


def padding(batch, parts):
    widths = [take_sequences(batch.sequences, chosen).attention_mask for passes in parts for chosen in passes]
    return sum(int((mask == 0).sum()) for mask in widths)


def test_buckets_hold_samples_of_about_one_length_and_so_less_padding(batch):
    plain = padding(batch, cut(batch, 4, 1, bucketing=False))
    bucketed = padding(batch, cut(batch, 4, 1, bucketing=True))

    assert bucketed < plain / 2


def test_clips_and_stills_do_not_share_a_bucket(batch):
    (first, *_, last) = cut(batch, 4, 1, bucketing=True)[0]

    assert {len(batch.rows[index]) for index in first} == {1}
    assert {len(batch.rows[index]) for index in last} == {2}


def test_processes_take_neighbours_in_length_at_the_same_time(batch):
    first, second = cut(batch, 3, 2, bucketing=True)
    lengths = batch.sequences.attention_mask.sum(1)
    stills = [
        (float(lengths[a].float().mean()), float(lengths[b].float().mean()))
        for a, b in zip(first[:2], second[:2], strict=True)
    ]

    assert all(abs(a - b) <= 2 for a, b in stills)


def test_fewer_samples_than_processes_are_refused(batch):
    with pytest.raises(ConfigError, match=r"a batch of the language stage has 8 samples, but 9 processes"):
        cut(batch, 1, 9, bucketing=False)


def test_some_rows_lose_the_padding_of_the_others(batch):
    chosen = [6, 2]
    taken = take_sequences(batch.sequences, chosen)
    width = int(batch.sequences.attention_mask[chosen].sum(1).max())

    assert width < batch.sequences.input_ids.shape[1]
    assert taken.input_ids.tolist() == batch.sequences.input_ids[chosen, :width].tolist()
    assert int((taken.labels != IGNORE_INDEX).sum()) == 4
    assert taken.visual_mask.sum(1).tolist() == [3, 3]
    assert taken.hint_mask.tolist() == batch.sequences.hint_mask[chosen, :width].tolist()
