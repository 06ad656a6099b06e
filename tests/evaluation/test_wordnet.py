"""METEOR and WUPS on a WordNet of seven nouns, written here in WordNet's file format."""

import pytest

from gifqa.errors import ConfigError
from gifqa.evaluation.metrics import answer_scores, caption_scores
from gifqa.evaluation.wordnet import WordNet, Wups, has_wordnet, load_wordnet, meteor

pytest.importorskip("nltk")

HYPERNYMS = {
    ("entity",): None,
    ("animal",): "entity",
    ("dog", "hound"): "animal",
    ("cat",): "animal",
    ("artifact",): "entity",
    ("guitar",): "artifact",
}
LICENCE = "  1 A database of six nouns for a test.\n"


def write_wordnet(folder):
    """The files NLTK reads: offsets in data.noun, an index, and empty files for the other parts of speech."""
    corpus = folder / "corpora" / "wordnet"
    corpus.mkdir(parents=True)

    def line(words, parent, offsets, offset):
        lemmas = " ".join(f"{word} 0" for word in words)
        pointer = f"001 @ {offsets[parent]:08d} n 0000" if parent else "000"
        return f"{offset:08d} 03 n {len(words):02x} {lemmas} {pointer} | a gloss  \n"

    zero = dict.fromkeys((word for words in HYPERNYMS for word in words), 0)
    offsets, position = dict(zero), len(LICENCE)
    for words, parent in HYPERNYMS.items():
        offsets.update(dict.fromkeys(words, position))
        position += len(line(words, parent, zero, 0))
    data = LICENCE + "".join(line(w, parent, offsets, offsets[w[0]]) for w, parent in HYPERNYMS.items())
    index = "".join(f"{word} n 1 1 @ 1 0 {offsets[word]:08d}  \n" for word in sorted(offsets))
    for name in ("cntlist.rev", "index.sense", "index.adj", "index.adv", "index.verb"):
        (corpus / name).write_text("")
    for name in ("adj", "adv", "noun", "verb"):
        (corpus / f"{name}.exc").write_text("")
        (corpus / f"data.{name}").write_text(LICENCE + " WordNet 3.0 Copyright none\n")
    (corpus / "data.noun").write_text(data)
    (corpus / "index.noun").write_text(index)
    (corpus / "lexnames").write_text("".join(f"{i:02d}\tname.{i}\t1\n" for i in range(4)))


@pytest.fixture
def wordnet(tmp_path, monkeypatch):
    import nltk.data

    monkeypatch.setattr(nltk.data, "path", list(nltk.data.path))
    write_wordnet(tmp_path)
    loaded = load_wordnet(tmp_path)
    yield loaded
    for file in loaded.reader._data_file_map.values():  # NLTK leaves them open
        file.close()


def test_word_similarity_is_twice_the_depth_of_the_common_ancestor_over_the_depths(wordnet):
    wups = Wups(wordnet, threshold=0.0)
    assert wups.word_similarity("dog", "cat") == pytest.approx(2 * 2 / (3 + 3))
    assert wups.word_similarity("dog", "guitar") == pytest.approx(2 * 1 / (3 + 3))
    assert wups.word_similarity("dog", "hound") == pytest.approx(1.0)
    assert wups.word_similarity("dog", "zebra") == 0.0


def test_a_similarity_under_the_threshold_counts_a_tenth(wordnet):
    assert Wups(wordnet, threshold=0.9).word_similarity("dog", "cat") == pytest.approx(0.1 * 4 / 6)
    assert Wups(wordnet, threshold=0.9).word_similarity("dog", "hound") == pytest.approx(1.0)


def test_answers_of_several_items_take_the_worse_direction(wordnet):
    wups = Wups(wordnet, threshold=0.0)
    scores = wups(["dog, cat", "Dog", "dog", ""], ["dog", "dog", "guitar, dog", "dog"])
    assert list(scores) == pytest.approx([4 / 6, 1.0, 2 / 6, 0.0])


def test_answer_scores_have_wups_only_with_a_wordnet(wordnet):
    assert {"wups_0.9", "wups_0.0"} < set(answer_scores(["dog"], ["cat"], wordnet=wordnet))


def test_meteor_of_matches_by_hand(wordnet):
    """Three words match in two chunks: P = 3/3, R = 3/4, penalty 0.5 (2/3)^3."""
    score = meteor([["a", "dog", "runs"]], [[["runs", "a", "dog", "fast"], ["nothing"]]], wordnet)
    f_mean = 10 * 1.0 * 0.75 / (0.75 + 9 * 1.0)
    assert score[0] == pytest.approx(f_mean * (1 - 0.5 * (2 / 3) ** 3), abs=1e-6)


def test_meteor_matches_synonyms_only_with_a_wordnet(wordnet):
    references = ["a hound in a park"]
    with_synonyms = caption_scores(["a dog in a park"], [references], wordnet=wordnet)
    assert with_synonyms["meteor"].value > 0.9
    from gifqa.evaluation.wordnet import _NoSynonyms

    without = caption_scores(["a dog in a park"], [references], wordnet=WordNet(_NoSynonyms(), False))
    assert without["meteor_no_synonyms"].value < 0.9


def test_wordnet_is_seen_without_importing_nltk(tmp_path, monkeypatch):
    monkeypatch.setattr("gifqa.evaluation.wordnet._SHARED_ROOTS", (str(tmp_path / "shared"),))
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    monkeypatch.setenv("NLTK_DATA", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    assert not has_wordnet()
    (tmp_path / "two" / "corpora").mkdir(parents=True)
    (tmp_path / "two" / "corpora" / "wordnet.zip").write_bytes(b"")
    assert has_wordnet()


def test_a_folder_without_a_wordnet_is_an_error(tmp_path, monkeypatch):
    import nltk.data

    monkeypatch.setattr(nltk.data, "path", list(nltk.data.path))
    with pytest.raises(
        ConfigError, match=r"holds no WordNet; corpora/wordnet is wanted.*Give an NLTK data folder"
    ):
        load_wordnet(tmp_path)


def test_without_a_wordnet_meteor_says_so_and_wups_cannot_be_made(monkeypatch):
    import nltk.data

    monkeypatch.setattr(nltk.data, "path", [])
    wordnet = load_wordnet()
    assert not wordnet.is_complete
    with pytest.raises(ConfigError, match=r"no WordNet is installed.*nltk.downloader wordnet"):
        Wups(wordnet)
    assert "meteor_no_synonyms" in caption_scores(["a dog"], [["a dog"]], wordnet=wordnet)
