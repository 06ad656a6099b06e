"""The files of a bundle: what is checked before anything runs."""

import json
import re
import threading

import numpy as np
import pytest

from gifqa.answering import bundle as module
from gifqa.answering.bundle import KINDS, REQUIRED, Bundle, Calibration, file_checksum, write_checksums
from gifqa.errors import CheckpointError

NEUTRAL = {"head_weight": 1, "language_weight": 1, "fit_weight": 0, "slope": 1, "offset": 0}


def test_a_bundle_knows_its_config_and_files(write_bundle):
    folder = write_bundle()
    bundle = Bundle(folder)

    assert (bundle.config.name, bundle.config.version) == ("tiny", "1.0")
    assert set(bundle.config.calibration) == set(KINDS)
    assert bundle.path("vision.onnx") == folder / "vision.onnx"


def test_an_older_bundle_answers_questions_that_point_as_its_other_yes_no_ones(write_bundle):
    calibrated = {kind: {**NEUTRAL, "slope": place} for place, kind in enumerate(KINDS) if kind != "is this"}
    found = Bundle(write_bundle(config={"calibration": calibrated})).config.calibration

    assert set(found) == set(KINDS)
    assert found["is this"] == found["yes/no"] != found["open"]


def test_the_digest_is_that_of_all_files(write_bundle):
    folder = write_bundle()
    before = Bundle(folder).digest
    assert Bundle(folder).digest == before

    (folder / "text.onnx").write_bytes(b"other weights")
    write_checksums(folder)
    assert Bundle(folder).digest != before


def test_a_calibration_changes_the_digest_but_not_that_of_the_encoder(write_bundle):
    """Each recalibration made every cached embedding worthless."""
    before = Bundle(write_bundle())
    calibrated = {kind: {**NEUTRAL, "slope": 2} for kind in KINDS}
    after = Bundle(write_bundle(config={"calibration": calibrated, "version": "1.1"}))

    assert after.digest != before.digest
    assert after.encoder_digest == before.encoder_digest


def test_the_digest_of_the_encoder_is_that_of_its_towers_and_settings(write_bundle):
    folder = write_bundle()
    digests = {Bundle(folder).encoder_digest}
    for name in ("vision.onnx", "text.onnx", "text_tokenizer.json"):
        (folder / name).write_bytes(b"other weights")
        write_checksums(folder)
        digests.add(Bundle(folder).encoder_digest)
    digests.add(Bundle(write_bundle(config={"image_size": 8})).encoder_digest)

    assert len(digests) == 5


@pytest.mark.parametrize("name", sorted(REQUIRED - {"config.json"}))
def test_a_missing_file_is_named(write_bundle, name):
    folder = write_bundle()
    (folder / name).unlink()

    message = (
        rf"{re.escape(name)} cannot be read \(No such file.*\); a bundle needs all 9 files .*whole folder"
    )
    with pytest.raises(CheckpointError, match=message):
        Bundle(folder)


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_changed_file_is_named_with_both_checksums(write_bundle, name):
    folder = write_bundle()
    listed = file_checksum(folder / name)
    data = (folder / name).read_bytes()
    is_config = name == "config.json"
    changed = data.replace(b'"1.0"', b'"1.1"') if is_config else data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]
    (folder / name).write_bytes(changed)

    message = rf"{re.escape(name)} has the checksum {file_checksum(folder / name)[:12]}…, not {listed[:12]}…"
    with pytest.raises(CheckpointError, match=message + ".*Install gifqa again, or export"):
        Bundle(folder)


@pytest.mark.parametrize("given", [0, 2, "1", None])
def test_another_format_is_refused(write_bundle, given):
    message = rf"bundle format {given}; this gifqa reads format 1. Update gifqa, or export"
    with pytest.raises(CheckpointError, match=message):
        Bundle(write_bundle(config={"format": given}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, r"config.json: colour: Extra inputs are not permitted; export the bundle again"),
        ({"max_frames": "many"}, r"config.json: max_frames: Input should be a valid integer"),
        ({"calibration": {"open": {**NEUTRAL, "heat": 1}}}, r"calibration.open.heat: Extra inputs"),
        ({"calibration": {"open": NEUTRAL}}, r"calibration: .*it is for open, not for open, yes/no, is this"),
    ],
)
def test_a_config_with_other_keys_or_values_is_refused(write_bundle, changes, message):
    with pytest.raises(CheckpointError, match=message):
        Bundle(write_bundle(config=changes))


@pytest.mark.parametrize("text", ["", "{", "[1]", '"bundle"'])
def test_a_config_that_is_none_is_refused(write_bundle, text):
    folder = write_bundle()
    (folder / "config.json").write_text(text)

    with pytest.raises(CheckpointError, match=r"is not a gifqa bundle|has bundle format"):
        Bundle(folder)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"is not a gifqa bundle \(config.json: .*Check the path"):
        Bundle(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "7", '{"config.json": "00"}'])
def test_checksums_must_cover_every_file(write_bundle, text):
    """A file that is not listed would be opened unchecked."""
    folder = write_bundle()
    (folder / "checksums.json").write_text(text)

    with pytest.raises(CheckpointError, match=r"checksums.json (cannot be read|does not list .*vision.onnx)"):
        Bundle(folder)


def test_checksums_cover_what_lies_beside(write_bundle):
    folder = write_bundle()
    (folder / "decoder.onnx.4bit").write_bytes(b"weights")
    write_checksums(folder)
    listed = json.loads((folder / "checksums.json").read_text())
    assert set(listed) == REQUIRED | {"decoder.onnx.4bit"}

    (folder / "decoder.onnx.4bit").unlink()
    with pytest.raises(CheckpointError, match=r"decoder.onnx.4bit cannot be read"):
        Bundle(folder)


def test_embeddings_are_float32_but_for_the_words(write_bundle):
    embeddings = Bundle(write_bundle()).embeddings

    assert embeddings.words.dtype == np.int8
    assert {embeddings.scales.dtype, embeddings.answer_weight.dtype, embeddings.references.dtype} == {
        np.dtype(np.float32)
    }
    assert np.allclose(embeddings.words * embeddings.scales[:, None], np.eye(6))


def test_embeddings_are_read_once_by_any_number_of_threads(write_bundle, monkeypatch):
    bundle = Bundle(write_bundle())
    opened, load, found = [], np.load, []
    monkeypatch.setattr(
        module.np, "load", lambda *args, **kwargs: (opened.append(args), load(*args, **kwargs))[1]
    )
    threads = [threading.Thread(target=lambda: found.append(bundle.embeddings)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(opened) == 1
    assert len(found) == 8 and all(one is found[0] for one in found)


def test_embeddings_that_are_no_archive(write_bundle):
    folder = write_bundle()
    (folder / "embeddings.npz").write_bytes(b"PK no zip")
    write_checksums(folder)

    with pytest.raises(CheckpointError, match=r"embeddings.npz cannot be read .*5 arrays. Export"):
        _ = Bundle(folder).embeddings


def test_embeddings_without_one_of_the_arrays(write_bundle):
    folder = write_bundle()
    np.savez(folder / "embeddings.npz", words=np.zeros((2, 2), np.int8))
    write_checksums(folder)

    with pytest.raises(CheckpointError, match=r"embeddings.npz cannot be read .*scales"):
        _ = Bundle(folder).embeddings


def test_answers_have_the_place_they_are_listed_at(write_bundle):
    assert Bundle(write_bundle(answers=["no", "yes", "red"])).answers == {"no": 0, "yes": 1, "red": 2}


@pytest.mark.parametrize("text", ["{", '{"yes": 0}', "[1, 2]"])
def test_answers_that_are_no_list_of_texts(write_bundle, text):
    folder = write_bundle()
    (folder / "answers.json").write_text(text)
    write_checksums(folder)

    with pytest.raises(CheckpointError, match=r"answers.json (cannot be read|is no list of strings)"):
        _ = Bundle(folder).answers


def calibration(slope=1.0, offset=0.0):
    return Calibration(head_weight=1, language_weight=1, fit_weight=0, slope=slope, offset=offset)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.99])
def test_a_neutral_calibration_takes_the_share_for_the_confidence(share):
    assert calibration().confidence(share) == pytest.approx(share)


def test_a_confidence_is_finite_for_every_share_and_grows_with_it():
    shares = [0.0, 1e-9, 0.2, 0.5, 0.8, 1 - 1e-9, 1.0]
    for slope, offset in [(0.3, -2.0), (1.0, 0.0), (4.0, 3.0), (40.0, 0.0)]:
        confidences = [calibration(slope, offset).confidence(share) for share in shares]
        assert confidences == sorted(confidences)
        assert all(0 <= confidence <= 1 for confidence in confidences)
