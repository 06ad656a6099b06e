import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from PIL import Image  # noqa: E402

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.training.data import features  # noqa: E402
from gifqa.training.data.features import (  # noqa: E402
    CLIP_FRAMES,
    PHOTO_VIEWS,
    Picture,
    clip_frames,
    extract,
    list_pictures,
    photo_view,
)
from gifqa.training.data.frame_encoders import OnnxTower  # noqa: E402
from gifqa.training.data.store import FeatureStore  # noqa: E402

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture
def world(tmp_path, write_tower):
    """A tower, three photos of one colour, and a clip of a red and two blue frames."""
    photos = {}
    for name, colour in COLOURS.items():
        photos[f"{name}.png"] = tmp_path / f"{name}.png"
        Image.new("RGB", (40, 30), colour).save(photos[f"{name}.png"])
    clip = tmp_path / "clip.webp"
    frames = [Image.new("RGB", (24, 20), COLOURS[name]) for name in ("red", "blue", "blue")]
    frames[2].putpixel((0, 0), (0, 0, 0))  # or the encoder would merge it with the one before
    frames[0].save(clip, save_all=True, append_images=frames[1:], duration=[200, 300, 400], lossless=True)
    return (
        OnnxTower(write_tower(tmp_path / "tower.onnx", 3), 3, threads=1),
        list_pictures(photos, {"clip.webp": clip}),
        tmp_path / "features",
    )


def test_whole_photos_come_first_then_clips_then_crops(tmp_path):
    pictures = list_pictures({"a": tmp_path / "a", "b": tmp_path / "b"}, {"c": tmp_path / "c"})

    assert [picture.name for picture in pictures[:2]] == ["a", "b"]
    frames = [(picture.name, picture.view) for picture in pictures[2 : 2 + CLIP_FRAMES]]
    assert frames == [("c", view) for view in range(CLIP_FRAMES)]
    assert [(picture.name, picture.view) for picture in pictures[10:12]] == [("a", 1), ("b", 1)]
    assert len(pictures) == 2 * PHOTO_VIEWS + CLIP_FRAMES


def test_views_are_crops_the_same_each_time_and_odd_ones_mirrored():
    photo = Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3))
    assert photo_view(photo, 0, "a") == (photo, False)
    for view in range(1, PHOTO_VIEWS):
        once, mirrored = photo_view(photo, view, "a")
        again, _ = photo_view(photo, view, "a")

        assert mirrored == (view % 2 == 1)
        assert once.size == again.size < photo.size
        assert once.tobytes() == again.tobytes()


def test_frames_of_a_clip_have_their_times(world):
    path = next(picture.path for picture in world[1] if picture.is_clip)
    frames = clip_frames(path)

    assert [seconds for _, seconds in frames] == pytest.approx([0, 0.2, 0.5])
    assert [frame.getpixel((5, 5)) for frame, _ in frames] == [
        COLOURS[name] for name in ("red", "blue", "blue")
    ]


def test_features_are_those_of_the_pictures(world):
    tower, pictures, folder = world
    index = extract(pictures, tower, folder)
    store = FeatureStore(folder)

    assert index["done"] == 3 * PHOTO_VIEWS + 3
    assert index["failed"] == {}
    assert store.grid_shape == (81, 3)
    assert store.is_clip("clip.webp") and not store.is_clip("red.png")
    whole = store.rows("green.png")[0]
    assert store.grid([whole])[0, 40].tolist() == [0, 255, 0]
    assert store.pooled([whole])[0, :4].tolist() == [0, 255, 0, 0]
    first, second, _ = store.rows("clip.webp")
    assert store.grid([first, second])[:, 0].argmax(1).tolist() == [0, 2]
    assert store.items["red.png"]["flipped"] == [False, True, False]


def test_extraction_goes_on_where_it_stopped(world, monkeypatch):
    tower, pictures, folder = world
    monkeypatch.setattr(features, "SAVE_EVERY", 4)
    extract(pictures, tower, folder.with_name("whole"))
    real, calls = features.square, []

    def killed(image, side):
        calls.append(image)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real(image, side)

    monkeypatch.setattr(features, "square", killed)
    with pytest.raises(KeyboardInterrupt):
        extract(pictures, tower, folder)
    stopped = json.loads((folder / "index.json").read_text())["seen"]
    monkeypatch.setattr(features, "square", real)
    extract(pictures, tower, folder)

    assert 0 < stopped < len(pictures)
    whole = folder.with_name("whole")
    assert json.loads((folder / "index.json").read_text()) == json.loads((whole / "index.json").read_text())
    for name in ("grid.npy", "pooled.npy"):
        assert np.array_equal(np.load(folder / name), np.load(whole / name))


def test_files_that_cannot_be_decoded_are_left_out_and_listed(world, tmp_path, caplog):
    tower, pictures, folder = world
    (tmp_path / "damaged.png").write_bytes((tmp_path / "red.png").read_bytes()[:40])
    bad = [
        Picture("damaged.png", tmp_path / "damaged.png", 0, False),
        Picture("missing.webp", tmp_path / "missing.webp", 0, True),
        Picture("missing.webp", tmp_path / "missing.webp", 1, True),
    ]
    index = extract([*bad, *pictures], tower, folder)

    assert set(index["failed"]) == {"damaged.png", "missing.webp"}
    assert "missing.webp is left out: UnreadableMedia" in caplog.text
    assert set(FeatureStore(folder).items) == {picture.name for picture in pictures}


def test_features_of_other_pictures_are_refused(world):
    tower, pictures, folder = world
    extract(pictures, tower, folder)

    with pytest.raises(
        ConfigError, match=r"grid.npy has the shape \(17, 81, 3\), but these pictures .* need \(5, 81"
    ):
        extract(pictures[:5], tower, folder)


def test_a_data_folder_without_one_picture_that_decodes_is_an_error(world, tmp_path):
    tower, _, folder = world
    (tmp_path / "page.gif").write_bytes(b"<html>")
    pictures = list_pictures({"no.png": tmp_path / "no.png"}, {"page.gif": tmp_path / "page.gif"})

    with pytest.raises(ConfigError, match=r"none of 2 pictures can be decoded \(no.png: FileNotFound.*Check"):
        extract(pictures, tower, folder)
    with pytest.raises(ConfigError, match=r"none of 0 pictures .*the data folder names no file"):
        extract([], tower, folder.with_name("empty"))


def test_a_gif_is_decoded_as_it_is_when_a_question_is_asked(raw_gif, raw_frame, tmp_path):
    """Pillow shows black where a GIF is transparent, a browser and `gifqa ask` the white below."""
    path = tmp_path / "clip.gif"
    path.write_bytes(raw_gif([raw_frame(0, transparent=0), raw_frame(2), raw_frame(1, delay_cs=1)]))

    assert [(frame.getpixel((1, 1)), seconds) for frame, seconds in clip_frames(path)] == [
        ((255, 255, 255), 0.0),
        (COLOURS["blue"], 0.1),
        (COLOURS["green"], 0.2),
    ]
