import csv
import json
import subprocess
import sys
import threading
import time

import pytest

from gifqa.data.captions import read_captions
from gifqa.data.clip_folder import Clip, read_clip_folder
from gifqa.data.download import DownloadConfig, download
from gifqa.data.links import Link
from gifqa.data.media_folder import MediaFolder
from gifqa.errors import ConfigError, RecordError
from gifqa.limits import MediaLimits

FAST = DownloadConfig(rate=100, limits=MediaLimits(max_bytes=4000, url_timeout_seconds=10))
HASTY = FAST.model_copy(update={"limits": MediaLimits(url_timeout_seconds=0.5), "max_tries": 2})


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "gifs"


@pytest.fixture
def run(site, folder):
    """`run("/cat.gif", ...)`: download these paths of the server; gives the report."""

    def call(*paths, config=FAST, host="cat.example", **more):
        links = [
            path if isinstance(path, Link) else Link(site.url(path, host), (f"about {path}",), "train")
            for path in paths
        ]
        return download(links, folder, config, fetch=more.pop("fetch", site.fetch), **more)

    return call


def entries(folder):
    lines = (folder / "downloads.jsonl").read_text().splitlines()
    return {entry["url"]: entry for entry in map(json.loads, lines)}


def test_a_gif_is_there_whole_and_listed_with_its_captions(run, site, folder, bodies):
    report = run(Link(site.url("/cat.gif"), ("a cat", "a pet"), "val"))

    assert (folder / "cat.gif").read_bytes() == bodies["/cat.gif"]
    assert read_clip_folder(MediaFolder(folder)) == [Clip("cat.gif", ("a cat", "a pet"), "val")]
    assert [item.gif for item in read_captions(folder / "clips.jsonl")] == ["cat.gif"]  # for synthesis
    assert entries(folder)[site.url("/cat.gif")]["num_frames"] == 3
    assert (report["links"], report["ok"], report["coverage"], report["frames"]) == (1, 1, 1.0, 3)
    assert report["splits"] == {"train": {}, "val": {"ok": 1}, "test": {}}
    assert json.loads((folder / "download-report.json").read_text()) == report


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/gone.gif", "dead", "answers with HTTP status 404"),
        ("/still.gif", "still", "still.gif is a GIF of one frame"),
        ("/photo.gif", "still", "photo.gif is a JPEG image"),
        ("/page.gif", "no media", "page.gif is a web page"),
        ("/film.gif", "no media", "film.gif is a video (mp4)"),
        ("/empty.gif", "no media", "empty.gif is empty"),
        ("/torn.gif", "no media", "torn.gif is damaged behind its first frame: the file ends before"),
        ("/large.gif", "too large", "is larger than 0.003815 MB, the limit"),
        ("/loop/x.gif", "refused", "one redirect more than the 3 allowed"),
        ("/inside/x.gif", "refused", "leads to 10.0.0.5, which is not a public address"),
        ("/short/x.gif", "failed", "cannot be fetched"),
        ("/down/x.gif", "failed", "answers with HTTP status 500"),
    ],
)
def test_what_is_no_gif_is_told_apart_counted_and_never_kept(run, site, folder, path, status, detail):
    report = run(path, "/cat.gif")
    entry = entries(folder)[site.url(path)]

    assert entry["status"] == status
    assert detail in entry["detail"]
    assert (report[status], report["ok"], report["coverage"]) == (1, 1, 0.5)
    assert [file.name for file in folder.glob("*.gif")] == ["cat.gif"]
    with (folder / "download-report.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["url"], row["status"], row["split"]) == (site.url(path), status, "train")


def test_a_slow_server_is_asked_again_and_then_left_for_the_next_run(run, site, folder):
    run("/slow/x.gif", config=HASTY)
    entry = entries(folder)[site.url("/slow/x.gif")]

    assert (entry["status"], site.asked["/slow/x.gif"]) == ("failed", 2)
    assert "takes more than 0.5 seconds to fetch" in entry["detail"]


@pytest.mark.parametrize(
    ("path", "times"), [("/down/x.gif", 4), ("/short/x.gif", 4), ("/gone.gif", 1), ("/still.gif", 1)]
)
def test_only_what_may_be_better_next_time_is_tried_again(run, site, path, times):
    run(path)

    assert site.asked[path] == times


def test_a_busy_server_gives_the_gif_in_the_end(run, site, folder):
    run("/busy/3-cat.gif")

    assert site.asked["/busy/3-cat.gif"] == 4
    assert (folder / "3-cat.gif").exists()


def test_retry_after_is_kept_for_the_whole_host(run, site):
    """Seconds or a date; other hosts are asked meanwhile."""
    paths = {"/wait/1.gif": "a.example", "/cat.gif": "a.example", "/dog.gif": "b.example"}
    links = [Link(site.url(path, host), ("a",), "train") for path, host in paths.items()]
    run(*links, config=FAST.model_copy(update={"jobs": 1, "max_tries": 2}))
    times = {path: at for at, path in site.seen}
    first = min(at for at, path in site.seen if path == "/wait/1.gif")

    assert times["/dog.gif"] < times["/cat.gif"]
    assert times["/cat.gif"] - first > 0.95


def test_a_host_that_asks_for_too_much_patience_is_left_for_the_next_run(run, site, folder):
    started = time.monotonic()
    report = run("/wait/4000.gif", "/cat.gif", "/dog.gif", config=FAST.model_copy(update={"jobs": 1}))

    assert time.monotonic() - started < 60
    assert report["failed"] == 3
    assert "is left alone for now: " in entries(folder)[site.url("/dog.gif")]["detail"]
    assert run("/cat.gif", "/dog.gif")["ok"] == 2


def test_a_host_that_is_gone_is_not_asked_for_each_of_its_gifs(run, folder):
    asked = []

    def fetch(url, limits):
        asked.append(url)
        from gifqa.errors import FetchFailed

        raise FetchFailed("gone.example cannot be fetched (Name or service not known)")

    report = run(*(f"/{number}.gif" for number in range(200)), host="gone.example", fetch=fetch)

    assert report["failed"] == 200
    assert len(asked) < 40


def test_a_host_is_asked_no_faster_than_its_rate(run, site):
    run(*(f"/{number}.gif" for number in range(6)), config=FAST.model_copy(update={"rate": 20}))
    times = sorted(at for at, _ in site.seen)

    assert times[-1] - times[0] > 5 * 0.05 * 0.9


def test_what_is_there_is_not_fetched_again_and_failures_are(run, site, folder):
    paths = ("/cat.gif", "/gone.gif", "/still.gif", "/busy/9-x.gif")
    run(*paths, config=FAST.model_copy(update={"max_tries": 1}))
    first = dict(site.asked)
    report = run(*paths, config=FAST.model_copy(update={"max_tries": 1}))

    assert {path: site.asked[path] - count for path, count in first.items()} == {
        "/cat.gif": 0, "/gone.gif": 0, "/still.gif": 0, "/busy/9-x.gif": 1,
    }  # fmt: skip
    assert (report["ok"], report["dead"], report["still"], report["failed"]) == (1, 1, 1, 1)
    run(*paths, config=FAST.model_copy(update={"retry_missing": True}))
    assert (site.asked["/cat.gif"], site.asked["/gone.gif"]) == (1, 2)


def test_a_file_that_was_removed_or_cut_is_fetched_again(run, site, folder, bodies):
    run("/cat.gif", "/dog.gif")
    (folder / "cat.gif").unlink()
    (folder / "dog.gif").write_bytes(b"GIF89a")
    run("/cat.gif", "/dog.gif")

    assert (folder / "cat.gif").read_bytes() == bodies["/cat.gif"]
    assert (folder / "dog.gif").read_bytes() == bodies["/dog.gif"]


def test_a_journal_that_a_kill_cut_short_is_mended(run, site, folder):
    run("/cat.gif", "/dog.gif")
    journal = folder / "downloads.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])
    run("/cat.gif", "/dog.gif", "/2/cat.gif")

    assert sum(site.asked[path] for path in ("/cat.gif", "/dog.gif")) == 3
    assert run("/cat.gif", "/dog.gif", "/2/cat.gif")["ok"] == 3
    assert site.asked["/2/cat.gif"] == 1


def test_an_interrupted_run_leaves_whole_files_and_goes_on(run, site, folder):
    """Ctrl-C does not wait for a slow server."""

    def interrupt(done, total, counts):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run("/cat.gif", "/slow/x.gif", "/dog.gif", on_progress=interrupt)

    assert time.monotonic() - started < 1.9
    assert not list(folder.glob(".*"))
    assert json.loads((folder / "download-report.json").read_text())["ok"] == 1
    assert run("/cat.gif", "/dog.gif")["ok"] == 2
    assert site.asked["/cat.gif"] + site.asked["/dog.gif"] <= 3


def test_gifs_of_one_name_do_not_take_each_others_place(run, site, folder, bodies):
    run("/cat.gif", "/2/cat.gif")
    files = {entry["url"]: folder / entry["file"] for entry in entries(folder).values()}

    assert len(set(files.values())) == 2
    for path in ("/cat.gif", "/2/cat.gif"):
        assert files[site.url(path)].read_bytes() == bodies[path]


def test_a_file_of_someone_else_is_left_alone(run, site, folder, bodies):
    folder.mkdir()
    (folder / "cat.gif").write_bytes(b"mine")
    run("/cat.gif")

    assert (folder / "cat.gif").read_bytes() == b"mine"
    (name,) = (entry["file"] for entry in entries(folder).values())
    assert (folder / name).read_bytes() == bodies["/cat.gif"]


def test_clips_of_other_tables_stay_listed_and_equal_files_are_counted(run, folder, bodies):
    bodies["/copy.gif"] = bodies["/cat.gif"]
    run("/dog.gif")
    report = run("/cat.gif", "/copy.gif")

    assert report["copies of another"] == 1
    assert {clip.name for clip in read_clip_folder(MediaFolder(folder))} == {"cat.gif", "copy.gif", "dog.gif"}


def test_names_of_files_hold_nothing_of_a_url_that_a_path_could_follow(run, site, folder, bodies):
    bodies["/%2e%2e%2fetc%20x.gif?a=../b"] = bodies["/cat.gif"]
    run("/%2e%2e%2fetc%20x.gif?a=../b")

    (name,) = (entry["file"] for entry in entries(folder).values())
    assert name == "_2e_2e_2fetc_20x.gif"
    assert [path.parent for path in folder.rglob("*.gif")] == [folder]


def test_a_cut_gif_of_several_frames_is_kept_with_a_remark(run, site, folder):
    run("/cut.gif")
    entry = entries(folder)[site.url("/cut.gif")]

    assert entry["status"] == "ok"
    assert "the file ends before its end mark" in entry["detail"]


def test_progress_counts_what_is_settled(run):
    told = []
    run(
        "/cat.gif",
        "/gone.gif",
        on_progress=lambda done, total, counts: told.append((done, total, dict(counts))),
    )
    run(
        "/cat.gif",
        "/gone.gif",
        "/dog.gif",
        on_progress=lambda *state: told.append((*state[:2], dict(state[2]))),
    )

    assert told[1] == (2, 2, {"ok": 1, "dead": 1})
    assert told[2:] == [(3, 3, {"ok": 2, "dead": 1})]


def test_a_place_that_cannot_be_written_is_one_clear_line(run, folder, monkeypatch):
    folder.write_text("a file")
    with pytest.raises(ConfigError, match=r"gifs is a file; downloads need a folder\. Give another --output"):
        run("/cat.gif")
    folder.unlink()

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(
        RecordError, match=r"cat\.gif cannot be written: No space left on device\..*run again"
    ):
        run("/cat.gif")


def test_a_list_of_clips_of_another_kind_is_not_overwritten(run, folder):
    folder.mkdir()
    (folder / "clips.jsonl").write_text('{"gif": "cat.gif"}\n')
    with pytest.raises(
        RecordError, match=r'clips\.jsonl:1: no field "clip"; it has gif\..* another --output'
    ):
        run("/cat.gif")
    assert (folder / "clips.jsonl").read_text() == '{"gif": "cat.gif"}\n'


def test_a_fault_of_the_program_ends_the_run(run):
    """A thread that dies must not leave the others waiting for it."""

    def broken(url, limits):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run("/cat.gif", "/dog.gif", fetch=broken)


def test_threads_end_with_the_run(run):
    before = threading.active_count()
    run("/cat.gif", "/dog.gif")
    deadline = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)

    assert threading.active_count() <= before


KILLED = """
import sys, time
from pathlib import Path
from gifqa.data.download import DownloadConfig, download
from gifqa.data.links import Link

def fetch(url, limits):
    time.sleep(0.05)
    return Path(sys.argv[2]).read_bytes(), "cat.gif"

links = [Link(f"https://{n}.example/{n}.gif", ("a cat",), "train") for n in range(200)]
download(links, Path(sys.argv[1]), DownloadConfig(rate=100, jobs=4), fetch=fetch)
"""


def test_a_killed_run_leaves_whole_files_and_the_next_fetches_the_rest(folder, make_gif, tmp_path):
    gif = make_gif(["red", "green"], name="source.gif")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder), str(gif)])
    while len(list(folder.glob("*.gif"))) < 10 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    there = list(folder.glob("*.gif"))
    assert 10 <= len(there) < 200
    assert {path.read_bytes() for path in there} == {gif.read_bytes()}

    fetched = []

    def fetch(url, limits):
        fetched.append(url)
        return gif.read_bytes(), "cat.gif"

    links = [Link(f"https://{n}.example/{n}.gif", ("a cat",), "train") for n in range(200)]
    report = download(links, folder, FAST, fetch=fetch)

    assert report["ok"] == 200
    assert len(fetched) <= 200 - len(there) + 1  # one file may have come before its line
    assert len(list(folder.glob("*.gif"))) == 200
