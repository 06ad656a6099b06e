import pytest

from gifqa.data.media_folder import MediaFolder, is_clip


@pytest.fixture
def folder(tmp_path):
    for name in ("cat.gif", "a/tumblr_x1_400.gif", "a/dog.webp", "b/dog.mp4", "b/dog.webp", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return MediaFolder(tmp_path)


@pytest.mark.parametrize(
    ("gif", "name"),
    [
        ("cat.gif", "cat.gif"),
        ("./b/dog.webp", "b/dog.webp"),
        ("a\\dog.webp", "a/dog.webp"),
        ("https://38.media.tumblr.com/0f/tumblr_x1_400.gif?size=1", "a/tumblr_x1_400.gif"),
        ("tumblr_x1_400", "a/tumblr_x1_400.gif"),
        ("gifs/CAT.GIF", "cat.gif"),
        ("dog.mp4", "b/dog.mp4"),
    ],
)
def test_a_gif_is_found_by_path_name_and_url(folder, gif, name):
    assert folder.find(gif) == name


def test_an_absolute_path_is_found_below_the_folder(folder):
    assert folder.find(str(folder.folder / "a/dog.webp")) == "a/dog.webp"
    assert folder.find(str(folder.folder / "a/none.webp")) is None


@pytest.mark.parametrize("gif", ["dog.webp", "dog", "bird.gif", "notes.txt", ""])
def test_names_that_two_files_share_or_none_has_mean_nothing(folder, gif):
    assert folder.find(gif) is None


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert MediaFolder(tmp_path / "none").find("cat.gif") is None


def test_what_moves_is_told_by_its_name():
    assert is_clip("a/cat.GIF") and is_clip("cat.mp4")
    assert not is_clip("cat.png")
