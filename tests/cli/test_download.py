"""`gifqa download`, on a stand-in for the network."""

import json

import pytest

from gifqa.errors import FetchFailed

URL = "https://media.example/{}.gif"


@pytest.fixture
def table(tmp_path, make_gif, monkeypatch):
    """A table of three GIFs, of which one is dead and one stands still, and a row that is none."""
    answers = {
        URL.format("cat"): make_gif(["red", "green"], name="a.gif").read_bytes(),
        URL.format("still"): make_gif(["red"], name="b.gif").read_bytes(),
    }

    def fetch(url, limits):
        if url not in answers:
            raise FetchFailed(f"{url} answers with HTTP status 404; check the URL.", 404)
        return answers[url], url.rsplit("/", 1)[1]

    from gifqa.data import download

    real = download.download
    monkeypatch.setattr(download, "download", lambda *given, **more: real(*given, **more, fetch=fetch))
    path = tmp_path / "tgif.csv"
    rows = [f"{URL.format(name)},a {name},train" for name in ("cat", "dog", "still")]
    path.write_text("\n".join(["url,caption,split", *rows, "torn"]) + "\n")
    return path


def test_what_came_is_counted_and_what_did_not_is_listed(gifqa, table, tmp_path):
    outcome = gifqa("download", table, "-o", tmp_path / "gifs", "--rate", 100)

    assert outcome.code == 0
    assert "1 of 3 GIFs are in" in outcome.out
    assert "1 dead, 1 still: " in outcome.out
    assert "train 1, val 0, test 0" in outcome.out
    assert "warning: 1 rows hold no URL and caption, for example:" in outcome.err
    assert json.loads((tmp_path / "gifs/clips.jsonl").read_text())["description"] == "a cat"


def test_the_first_gifs_alone_and_official_splits(gifqa, table, tmp_path):
    (tmp_path / "test.txt").write_text(URL.format("cat") + "\n")
    outcome = gifqa("download", table, "-o", tmp_path / "gifs", "--limit", 1, "--split-lists", tmp_path)

    assert "1 of 1 GIFs" in outcome.out
    assert "train 0, val 0, test 1" in outcome.out


def test_ctrl_c_says_how_to_go_on(gifqa, table, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gifqa.data.download.download", interrupted)
    outcome = gifqa("download", table, "-o", tmp_path / "gifs")

    assert outcome.code == 130
    assert "The same command goes on." in outcome.err


def test_errors_are_one_line(gifqa, table, tmp_path):
    table.write_text("gif,caption\ncat.gif,a cat\n")
    outcome = gifqa("download", table, "-o", tmp_path / "gifs")

    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("gifqa: ") and "names no URL" in outcome.err
    assert not (tmp_path / "gifs").exists()


@pytest.mark.parametrize("flags", [("--rate", 0), ("--jobs", 0), ("--tries", 99), ("--limit", -1)])
def test_values_out_of_range_are_usage_errors(gifqa, table, tmp_path, flags):
    assert gifqa("download", table, "-o", tmp_path / "gifs", *flags).code == 2
