import json

from gifqa.answering.bundle import SHIPPED, Bundle


def test_show_lists_parts_files_and_checksums(gifqa):
    outcome = gifqa("model", "show")

    assert outcome.code == 0
    assert f"gifqa-lite {Bundle().config.version}: bundle {SHIPPED}" in outcome.out
    assert "vision.onnx" in outcome.out and "sha256" in outcome.out


def test_show_prints_json(gifqa):
    shown = json.loads(gifqa("model", "show", SHIPPED, "--json").out)

    assert shown["kind"] == "bundle"
    assert {"name", "num_bytes", "checksum"} == set(shown["files"][0])


def test_verify_says_that_all_is_whole(gifqa):
    assert "files are as they were written" in gifqa("model", "verify").out
    assert json.loads(gifqa("model", "verify", "--json").out)["whole"] is True


def test_a_folder_without_a_model_is_one_line_and_exit_code_1(gifqa, tmp_path):
    for action in ("show", "verify"):
        outcome = gifqa("model", action, tmp_path)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.err.startswith(f"gifqa: {tmp_path} holds no model; a model is a bundle, a checkpoint")


def test_only_a_model_is_pushed(gifqa, tmp_path):
    outcome = gifqa("model", "push", tmp_path, "USER/NAME")

    assert outcome.code == 1
    assert "holds no model" in outcome.err


def test_the_group_has_help(gifqa):
    assert "verify" in gifqa("model", "--help").out
