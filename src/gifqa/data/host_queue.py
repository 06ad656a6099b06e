"""URLs in line by host: each host is asked no faster than its rate, and left alone while it is in trouble."""

import heapq
import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

LONGEST_WAIT_SECONDS = 120.0
"""A host that asks for more patience than this is given up."""
FIRST_WAIT_SECONDS = 1.0
"""After a failure; doubled after each further one."""
MAX_FAILURES = 12
"""A host that fails so often in a row is given up."""


@dataclass
class Job:
    """A URL to fetch."""

    url: str
    host: str
    """Host and port, lower case."""
    tries: int = 0
    """How often it has been fetched in vain."""


class HostQueue:
    """Hands out URLs to several threads.

    Args:
        urls: each once.
        rate: requests a second to each host.
        max_tries: how often a URL is fetched before it is given up.
    """

    def __init__(self, urls: Iterable[str], rate: float, max_tries: int) -> None:
        self._seconds_between, self._max_tries = 1 / rate, max_tries
        self._changed = threading.Condition()
        self._stopped = False
        self._waiting: dict[str, deque[Job]] = defaultdict(deque)
        for url in urls:
            host = _host_of(url)
            self._waiting[host].append(Job(url, host))
        self._next: dict[str, float] = dict.fromkeys(self._waiting, 0.0)
        """When each host may be asked."""
        self._order = [(0.0, host) for host in self._waiting]
        """A heap of the hosts that have URLs waiting, by when they may be asked at the earliest."""
        self._failures: Counter[str] = Counter()

    def take(self) -> Job | None:
        """The next URL, when its host may be asked; None when no URL is left, or the queue was stopped."""
        with self._changed:
            while self._order and not self._stopped:
                at, host = self._order[0]
                if at < self._next[host]:
                    heapq.heapreplace(self._order, (self._next[host], host))
                elif (wait := at - time.monotonic()) > 0:
                    self._changed.wait(wait)
                else:
                    return self._pop(host)
        return None

    def _pop(self, host: str) -> Job:
        heapq.heappop(self._order)
        job = self._waiting[host].popleft()
        self._next[host] = time.monotonic() + self._seconds_between
        if self._waiting[host]:
            heapq.heappush(self._order, (self._next[host], host))
        return job

    def succeed(self, job: Job) -> None:
        """The host answered, whatever it said."""
        with self._changed:
            self._failures[job.host] = 0

    def fail(self, job: Job, wait_seconds: float | None) -> list[Job]:
        """The host did not answer, or asked for patience: it is left alone for a while.

        Args:
            job: what was fetched in vain.
            wait_seconds: how long the host asks to be left alone; None if it does not say.

        Returns:
            The jobs that are given up: none while this one may be tried again, and all of the host when it
            fails too often or asks for too much patience.
        """
        with self._changed:
            job.tries += 1
            self._failures[job.host] += 1
            backed_off = FIRST_WAIT_SECONDS * 2 ** (job.tries - 1) * random.uniform(0.8, 1.2)
            wait = backed_off if wait_seconds is None else wait_seconds
            if wait > LONGEST_WAIT_SECONDS or self._failures[job.host] >= MAX_FAILURES:
                return [job, *self._give_up(job.host)]
            self._next[job.host] = max(self._next[job.host], time.monotonic() + wait)
            if job.tries >= self._max_tries:
                return [job]
            if not self._waiting[job.host]:
                heapq.heappush(self._order, (self._next[job.host], job.host))
            self._waiting[job.host].append(job)
            self._changed.notify_all()
            return []

    def _give_up(self, host: str) -> list[Job]:
        jobs = list(self._waiting[host])
        self._waiting[host].clear()
        self._order = [entry for entry in self._order if entry[1] != host]
        heapq.heapify(self._order)
        return jobs

    def stop(self) -> None:
        """Hand out no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""
