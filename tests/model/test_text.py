import types

import pytest

torch = pytest.importorskip("torch")

from gifqa.model.text import TextTower, encode_ids  # noqa: E402


class Lookup(torch.nn.Module):
    """An encoder without context, of the interface of `transformers`."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(10, 4)

    def forward(self, input_ids, attention_mask):
        return types.SimpleNamespace(last_hidden_state=self.table(input_ids))


def test_rows_are_padded_to_the_longest(make_word_tokenizer):
    ids, mask = encode_ids(make_word_tokenizer(["a b c"]), ["a b c", "b"])

    assert ids.tolist() == [[3, 4, 5], [4, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert ids.dtype == mask.dtype == torch.int64


def test_a_sentence_is_the_unit_mean_of_its_own_tokens():
    tower = TextTower(Lookup())
    states, sentence = tower(torch.tensor([[3, 4, 0]]), torch.tensor([[1, 1, 0]]))
    mean = (tower.encoder.table.weight[3] + tower.encoder.table.weight[4]) / 2

    assert states.shape == (1, 3, 4)
    torch.testing.assert_close(sentence[0], mean / mean.norm())
    assert not any(parameter.requires_grad for parameter in tower.parameters())
