"""Real GIFs through the whole line on the shipped bundle.

`answers.json` has what the bundle said when it was shipped, right or wrong: it tells when a change of the
code changes answers. Processors round differently, so an answer may give way to another that was close. After
the bundle is replaced, record anew and read what changed:

    GIFQA_RECORD=1 python -m pytest tests/golden
"""

import hashlib
import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from PIL import Image

from gifqa import GifQA
from gifqa.retrieval.cache import FeatureCache
from gifqa.retrieval.config import CacheConfig

BUNDLE = Path(str(resources.files("gifqa"))) / "bundle"
EXAMPLES = Path(__file__).parents[2] / "examples"
RECORD = Path(__file__).with_name("answers.json")
NEAR = 0.1  # of confidence: how much rounding may change
ADVICE = "record anew: GIFQA_RECORD=1 python -m pytest tests/golden"

pytestmark = pytest.mark.skipif(
    not list(BUNDLE.glob("**/*.onnx")), reason=f"this checkout has no model files in {BUNDLE}"
)


def bundle_files():
    return [
        path for path in sorted(BUNDLE.rglob("*")) if path.is_file() and not path.suffix.startswith(".py")
    ]


def bundle_identity():
    """Changes with the bundle: the content of its JSON files, checksums among them, and all sizes."""
    digest = hashlib.sha256()
    for path in bundle_files():
        digest.update(f"{path.relative_to(BUNDLE)} {path.stat().st_size}\n".encode())
        if path.suffix == ".json":
            digest.update(path.read_bytes())
    return digest.hexdigest()


def fresh_qa(folder):
    """The shipped model with a cache of its own."""
    return GifQA(cache=FeatureCache(CacheConfig(directory=folder)))


@pytest.fixture(scope="module")
def qa(tmp_path_factory):
    return fresh_qa(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def answers(qa):
    """Each row of the record with today's answer."""
    rows = json.loads(RECORD.read_text(encoding="utf-8"))["answers"]
    return [(row, qa.ask(EXAMPLES / row["gif"], row["question"], row["options"])) for row in rows]


def test_answers_are_those_of_the_record(answers):
    if os.environ.get("GIFQA_RECORD"):
        for row, answer in answers:
            row.update(answer=answer.text, confidence=round(answer.confidence, 3))
        record = {"bundle": bundle_identity(), "answers": [row for row, _ in answers]}
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert record["bundle"] == bundle_identity(), f"the record is of another bundle; {ADVICE}"
    for row, answer in answers:
        found = {answer.text: answer.confidence}
        found |= {other.answer: other.confidence for other in answer.alternatives}
        assert row["answer"] in found, f"{row} is now {answer.text!r}; {ADVICE}"
        assert found[row["answer"]] == pytest.approx(row["confidence"], abs=NEAR), f"{row}; {ADVICE}"


def test_answers_are_words_with_probabilities_in_order(answers):
    for row, answer in answers:
        shares = [answer.confidence, *(other.confidence for other in answer.alternatives)]
        assert answer.text.strip() and "\n" not in answer.text, row
        assert all(0 <= share <= 1 for share in shares), row
        assert shares[1:] == sorted(shares[1:], reverse=True), row
        assert answer.text not in {other.answer for other in answer.alternatives}, row


def test_the_answer_and_its_alternatives_are_among_the_options(answers):
    for row, answer in answers:
        if row["options"]:
            others = [other.answer for other in answer.alternatives]
            assert {answer.text, *others} <= set(row["options"])
            shares = [answer.confidence, *(other.confidence for other in answer.alternatives)]
            assert sum(shares) <= 1.001


def test_keyframes_are_frames_of_the_gif_in_time_order(answers):
    for row, answer in answers:
        keyframes = answer.keyframes
        with Image.open(EXAMPLES / row["gif"]) as image:
            assert keyframes.num_frames == image.n_frames
        assert 1 <= len(keyframes.indices) <= 4
        assert (keyframes.pts_seconds[1:] > keyframes.pts_seconds[:-1]).all()
        assert keyframes.indices[0] >= 0 and keyframes.indices[-1] < keyframes.num_frames
        assert (abs(keyframes.scores) <= 1.001).all()


def test_the_same_question_has_the_same_answer_with_and_without_the_cache(qa, tmp_path):
    first = qa.ask(EXAMPLES / "chelsea.gif", "What animal is this?").to_dict()
    cached = qa.ask((EXAMPLES / "chelsea.gif").read_bytes(), "What animal is this?").to_dict()
    fresh = fresh_qa(tmp_path).ask(EXAMPLES / "chelsea.gif", "What animal is this?").to_dict()

    assert cached["timings"]["encode"] == 0 < fresh["timings"]["encode"]
    for other in (cached, fresh):
        assert {**other, "timings": None} == {**first, "timings": None}


def test_a_second_question_of_a_chat_is_answered(qa):
    chat = qa.chat(EXAMPLES / "chelsea.gif")
    assert chat.ask("What animal is this?").text
    assert chat.ask("What colour is it?").text
    assert len(chat.history) == 2


def test_a_description_is_a_sentence(qa):
    assert len(qa.describe(EXAMPLES / "chelsea.gif").text.split()) >= 3


def test_the_command_answers_in_a_process_of_its_own(tmp_path):
    words = [EXAMPLES / "chelsea.gif", "What animal is this?", "--json", "--evidence", "strip.png"]
    command = [sys.executable, "-m", "gifqa", "ask", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["answer"]
    with Image.open(tmp_path / "strip.png") as image:
        assert image.width > 400 and image.height > 150


def test_a_bundle_whose_checksum_is_wrong_is_refused(tmp_path):
    folder = tmp_path / "bundle"
    for path in bundle_files():
        target = folder / path.relative_to(BUNDLE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    changed = min(folder.rglob("*.onnx"), key=lambda path: path.stat().st_size)
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.unlink()
    changed.write_bytes(data)
    words = ["ask", str(EXAMPLES / "red_ball.gif"), "What is it?", "--model", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "gifqa", *words], capture_output=True, text=True, cwd=tmp_path, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("gifqa: ") and done.stderr.count("\n") == 1
    assert changed.name in done.stderr
