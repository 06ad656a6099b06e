"""Fetches media from a URL that a stranger may have written, without letting it reach what strangers may not.

The rules against server-side request forgery (SSRF), held at the one place where connections are made:

- http and https only, no proxies from the environment, at most `max_redirects` hops, each checked alike;
- a host is resolved once; every address it has must be public, addresses hidden in IPv6 forms included; the
  connection goes to the very address that was checked, so a second answer of the name server changes nothing;
- `max_bytes` holds while the body streams in, `url_timeout_seconds` for all together: name, connection,
  headers, body and redirects, also when a server sends a byte now and then.

Not covered: cookies, credentials (those in a URL are not sent), compressed bodies.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpcore
import httpx

from gifqa.errors import FetchFailed, FetchTimeout, UnreadableMedia, UnsupportedMedia
from gifqa.limits import MediaLimits, check_bytes, how_to_raise

Address = IPv4Address | IPv6Address
SCHEMES = ("http", "https")
REDIRECTS = (301, 302, 303, 307, 308)
HEADERS: dict[bytes | str, bytes | str] = {
    "User-Agent": "gifqa",
    "Accept": "image/*, video/*;q=0.9, */*;q=0.1",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
NAT64 = IPv6Network("64:ff9b::/96")
LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
ISATAP_MARKS = (0x00005EFE, 0x02005EFE)


def is_public_address(address: Address) -> bool:
    """Whether an address belongs to the public internet, with every IPv4 address that an IPv6 one carries.

    Args:
        address: the address to connect to.

    Returns:
        False for private, loopback, link-local, carrier, multicast, reserved and unspecified addresses.
    """
    if address in NAT64:
        return is_public_address(_last_32_bits(address))
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return True
    if address.is_site_local or address in LOCAL_NAT64:
        return False
    return all(is_public_address(inner) for inner in _embedded_addresses(address))


def _embedded_addresses(address: IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses in a mapped, 6to4, Teredo or ISATAP address."""
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if int(address) >> 32 & 0xFFFFFFFF in ISATAP_MARKS:
        found.append(_last_32_bits(address))
    return [inner for inner in found if inner is not None]


def _last_32_bits(address: Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)


def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of a host, asked of the system's resolver.

    Args:
        host: a name or a literal address.
        port: where it will be connected.

    Returns:
        Addresses in the order of preference, each once.

    Raises:
        OSError: if the host has none.
    """
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def fetch_url(
    url: str,
    limits: MediaLimits,
    *,
    resolve: Callable[[str, int], Sequence[str]] = resolve_host,
    is_allowed: Callable[[Address], bool] = is_public_address,
) -> tuple[bytes, str]:
    """The body behind a URL.

    Args:
        url: http or https.
        limits: bytes, seconds, redirects, and whether URLs are allowed.
        resolve: gives the addresses of a host; tests put their own here.
        is_allowed: whether an address may be connected to; nothing in gifqa passes another rule.

    Returns:
        The bytes and a name for them, the last part of the path.

    Raises:
        UnsupportedMedia: if the scheme is another or URLs are switched off.
        MediaTooLarge: if the body is too large or, as a `FetchTimeout`, everything takes too long.
        UnreadableMedia: if the host is not public or, as a `FetchFailed`, gives no answer but an error.
    """
    if not limits.allow_urls:
        raise UnsupportedMedia(
            "fetching URLs is switched off here (MediaLimits.allow_urls); give a file or its bytes."
        )
    guard = _Guard(limits, time.monotonic() + limits.url_timeout_seconds, resolve, is_allowed)
    target = _parse(url)
    for _ in range(limits.max_redirects + 1):
        answer = _get(target, guard)
        if isinstance(answer, bytes):
            return answer, target.path.rsplit("/", 1)[-1] or target.host
        target = answer
    raise UnreadableMedia(
        f"{_shown(target)} is one redirect more than the {limits.max_redirects} allowed. "
        f"Give the final URL, or {how_to_raise('max_redirects')}."
    )


def _parse(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        target = base.join(url) if base is not None else httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise UnreadableMedia(f"{url[:200]!r} is no valid URL ({error}); check its spelling.") from error
    if (target.port or 0) > 65535:
        raise UnreadableMedia(f"{_shown(target)} is no valid URL (ports end at 65535); check its spelling.")
    if target.scheme not in SCHEMES or not target.host:
        raise UnsupportedMedia(
            f"{_shown(target)} is no http(s) URL; http:// and https:// are allowed. Give such a URL."
        )
    return target


def _shown(url: httpx.URL) -> str:
    """The URL without what may be secret in it: credentials, query and fragment."""
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{url.host}{port}{url.path}"


def _get(url: httpx.URL, guard: "_Guard") -> bytes | httpx.URL:
    """The body, or where it is redirected to."""
    guard.shown = _shown(url)
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    try:
        with (
            httpcore.ConnectionPool(
                network_backend=guard,
                retries=0,
                ssl_context=_ssl_context() if url.scheme == "https" else None,
            ) as pool,
            pool.stream("GET", target, headers=HEADERS) as response,
        ):
            headers = {name.lower(): value for name, value in response.headers}
            if response.status in REDIRECTS and b"location" in headers:
                return _parse(headers[b"location"].decode("latin-1"), base=url)
            if response.status != 200:
                message = f"{guard.shown} answers with HTTP status {response.status}; check the URL."
                retry_after = headers.get(b"retry-after", b"").decode("latin-1")
                raise FetchFailed(message, response.status, retry_after)
            return _body(response.iter_stream(), headers.get(b"content-length", b""), guard)
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.TimeoutException,
        OSError,
        ValueError,
    ) as error:
        guard.seconds_left()
        raise FetchFailed(
            f"{guard.shown} cannot be fetched ({error or type(error).__name__}); check URL and network."
        ) from error


_ssl_context = cache(httpcore.default_ssl_context)
"""Reading the certificates takes longer than many a download."""


def _body(stream: Iterable[bytes], content_length: bytes, guard: "_Guard") -> bytes:
    if content_length.isdigit():
        check_bytes(int(content_length), guard.shown, guard.limits)
    pieces, size = [], 0
    for piece in stream:
        guard.seconds_left()
        size += len(piece)
        check_bytes(size, guard.shown, guard.limits)
        pieces.append(piece)
    return b"".join(pieces)


@dataclass
class _Guard(httpcore.NetworkBackend):
    """Makes the connections: resolves, checks and pins the address, and keeps the deadline."""

    limits: MediaLimits
    deadline: float
    resolve: Callable[[str, int], Sequence[str]]
    is_allowed: Callable[[Address], bool]
    shown: str = ""
    """The URL at work, as messages call it."""

    def seconds_left(self) -> float:
        """Time that remains; `FetchTimeout` if there is none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise FetchTimeout(
                f"{self.shown} takes more than {self.limits.url_timeout_seconds:g} seconds to fetch, the "
                f"limit. Download it yourself, or {how_to_raise('url_timeout_seconds')}."
            )
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of the host that answers, if all of them are allowed."""
        addresses = self._resolve_in_time(host, port)
        for address in addresses:
            if not self.is_allowed(ip_address(address)):
                raise UnreadableMedia(
                    f"{self.shown} leads to {address}, which is not a public address; only such are "
                    "fetched. Download it yourself and give the file."
                )
        failure: Exception = OSError(f"{host} has no address")
        for address in addresses:
            try:
                stream = httpcore.SyncBackend().connect_tcp(
                    address, port, self.seconds_left(), None, socket_options
                )
                return _TimedStream(stream, self)
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        raise failure

    def _resolve_in_time(self, host: str, port: int) -> Sequence[str]:
        """Resolve in a thread: the system's resolver knows no timeout."""
        outcome: list[Sequence[str] | OSError | UnicodeError] = []

        def work() -> None:
            try:
                outcome.append(self.resolve(host, port))
            except (OSError, UnicodeError) as error:
                outcome.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(self.seconds_left())
        if not outcome:
            self.seconds_left()
            raise OSError(f"{host} was not resolved")
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every wait ends at the guard's deadline, however the server spreads its bytes."""

    def __init__(self, stream: httpcore.NetworkStream, guard: _Guard) -> None:
        self._stream = stream
        self._guard = guard

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Some bytes, empty at the end."""
        return self._stream.read(max_bytes, self._guard.seconds_left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all bytes."""
        self._stream.write(buffer, self._guard.seconds_left())

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection encrypted; the certificate must be for the host's name, not for its address."""
        stream = self._stream.start_tls(ssl_context, server_hostname, self._guard.seconds_left())
        return _TimedStream(stream, self._guard)

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks of a connection, such as its socket."""
        return self._stream.get_extra_info(info)
