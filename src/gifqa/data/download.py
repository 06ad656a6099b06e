"""GIFs by URL into a folder: politely, each once, and stoppable at any point.

Threads fetch, the caller's writes: what stands in the folder is whole, and a run that was stopped or killed
goes on with what is missing. A link that is dead, a still image, too large or refused is counted and passed
over. The rules of `gifqa.url_policy` hold for every request.
"""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gifqa.data.downloads import Downloads
from gifqa.data.fetching import Fetch, Fetched, Status, fetch_gif
from gifqa.data.host_queue import HostQueue, Job
from gifqa.data.links import Link
from gifqa.limits import MediaLimits
from gifqa.url_policy import fetch_url

POLL_SECONDS = 0.5
"""How long the main thread waits for a result before it looks for Ctrl-C again."""
OnProgress = Callable[[int, int, Mapping[Status, int]], None]
"""Called with the links that are settled, all links, and how many of them have each status."""


class DownloadConfig(BaseModel):
    """How fast and how patiently."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: float = Field(default=4.0, gt=0, le=100)
    """Requests a second to each host."""
    jobs: int = Field(default=8, ge=1, le=64)
    """Downloads at a time, of all hosts together."""
    max_tries: int = Field(default=4, ge=1, le=10)
    """How often a URL is fetched whose server does not answer, is overloaded or too slow."""
    retry_missing: bool = False
    """Fetch what an earlier run found dead, still, too large or refused again."""
    limits: MediaLimits = MediaLimits()
    """Of a download's bytes, seconds and redirects, and of what is in it."""


def download(
    links: Sequence[Link],
    folder: Path,
    config: DownloadConfig | None = None,
    *,
    on_progress: OnProgress | None = None,
    fetch: Fetch = fetch_url,
) -> dict[str, Any]:
    """Fetch the links that the folder does not hold yet.

    The reports and `clips.jsonl` are written at the end, also of a run that is interrupted.

    Args:
        links: from `gifqa.data.links.read_links`.
        folder: see `gifqa.data.downloads`.
        config: rate, jobs, patience, limits.
        on_progress: called in this thread after each link.
        fetch: tests put their own here.

    Returns:
        What `download-report.json` holds.

    Raises:
        ConfigError: if the folder is a file.
        RecordError: if the folder cannot be written; what is there stays.
    """
    config = config or DownloadConfig()
    downloads = Downloads(folder)
    settled = {link.url for link in links if downloads.is_settled(link.url, retry=config.retry_missing)}
    urls = [link.url for link in links if link.url not in settled]
    counts = Counter(downloads.entries[url].status for url in settled)
    try:
        with closing(_fetch_all(urls, config, fetch)) as results:
            for done, (url, fetched) in enumerate(results, start=len(settled) + 1):
                counts[downloads.store(url, fetched).status] += 1
                if on_progress is not None:
                    on_progress(done, len(links), counts)
    finally:
        downloads.write_clips(links)
        report = downloads.write_report(links)
    return report


def _fetch_all(
    urls: Sequence[str], config: DownloadConfig, fetch: Fetch
) -> Generator[tuple[str, Fetched], None, None]:
    """What came of each URL, in the order in which it came."""
    hosts = HostQueue(urls, config.rate, config.max_tries)
    results: queue.SimpleQueue[tuple[str, Fetched] | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            while (job := hosts.take()) is not None:
                for result in _results_of(job, hosts, config, fetch):
                    results.put(result)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            results.put(error)
        results.put(None)

    workers = min(config.jobs, len(urls))
    for _ in range(workers):
        threading.Thread(target=work, daemon=True).start()  # or Ctrl-C would wait for slow servers
    try:
        while workers:
            try:
                result = results.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(result, BaseException):
                raise result
            if result is None:
                workers -= 1
            else:
                yield result
    finally:
        hosts.stop()


def _results_of(
    job: Job, hosts: HostQueue, config: DownloadConfig, fetch: Fetch
) -> list[tuple[str, Fetched]]:
    """Fetch a job: its result, none if it will be tried again, or those of a host that is given up."""
    fetched = fetch_gif(job.url, config.limits, fetch)
    if fetched.status != "failed":
        hosts.succeed(job)
        return [(job.url, fetched)]
    return [
        (given_up.url, fetched if given_up is job else _after(fetched, given_up))
        for given_up in hosts.fail(job, fetched.wait_seconds)
    ]


def _after(fetched: Fetched, job: Job) -> Fetched:
    """What is said of a URL that was not fetched any more because its host is in trouble."""
    return Fetched("failed", f"{job.host} is left alone for now: {fetched.detail}")
