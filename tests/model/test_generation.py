import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from gifqa.model.generation import write_greedily  # noqa: E402

SIZE, NEVER = 40, 1  # the token that is made impossible


@pytest.fixture(params=["llama", "gpt2"])
def language_model(request, make_language_model, make_gpt2):
    model = (make_language_model if request.param == "llama" else make_gpt2)(SIZE)
    model.lm_head = torch.nn.Linear(32, SIZE)
    torch.nn.init.normal_(model.lm_head.weight, std=0.3)
    torch.nn.init.constant_(model.lm_head.bias, 0)
    model.lm_head.bias.data[NEVER] = -100
    return model


def without_cache(language_model, embeds, count):
    """The likeliest tokens and their mean log-probability, everything read anew for each."""
    tokens, found = [], []
    for _ in range(count):
        with torch.no_grad():
            scores = language_model(inputs_embeds=embeds).logits[0, -1].log_softmax(-1)
            tokens.append(int(scores.argmax()))
            found.append(float(scores.max()))
            word = language_model.get_input_embeddings()(torch.tensor([[tokens[-1]]]))
        embeds = torch.cat([embeds, word], dim=1)
    return tokens, sum(found) / count


def test_with_the_cache_is_without(language_model):
    prompt = torch.randn(1, 7, 32)
    written = write_greedily(language_model, prompt, NEVER, 6)
    tokens, log_probability = without_cache(language_model, prompt, 6)

    assert written.tokens == tokens
    assert written.log_probability == pytest.approx(log_probability, abs=1e-4)


def test_the_end_is_not_part_of_the_text(language_model):
    prompt = torch.randn(1, 7, 32)
    tokens, _ = without_cache(language_model, prompt, 4)
    end = tokens[2]

    assert write_greedily(language_model, prompt, end, 4).tokens == tokens[: tokens.index(end)]


def test_a_step_reads_one_token_and_the_prompt_is_read_once(language_model, monkeypatch):
    lengths = []
    original = language_model.forward

    def watched(*args, **inputs):
        given = inputs.get("inputs_embeds")
        lengths.append((inputs["input_ids"] if given is None else given).shape[1])
        return original(*args, **inputs)

    monkeypatch.setattr(language_model, "forward", watched)
    write_greedily(language_model, torch.randn(1, 7, 32), NEVER, 4)

    assert lengths == [7, 1, 1, 1]
