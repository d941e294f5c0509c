# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Who may come in: limits on sessions and guesses at a port that everybody may connect to. Pure: time is an argument.

Messages that prove nothing, and silence in their place, are counted as guesses. Parties behind one proxy
share its address, and so its limits.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from coterie_common.errors import Overloaded
from coterie_common.limits import (
    CALLS_RETRY_SECONDS,
    DESK_SESSIONS,
    DESK_SESSIONS_PER_HOST,
    GUESSING_HOSTS,
    GUESSING_SECONDS,
    MAX_GUESSES,
    MAX_GUESSES_PER_HOST,
)

_EVERYBODY: Final = ""
_NETWORK_BITS: Final = 64
"""One owner of an IPv6 connection usually has all addresses of such a network."""


def host_of(peer: str) -> str:
    """Return the address in gRPC's name of a peer, without the port; of IPv6, the network."""
    kind, _, rest = peer.partition(":")
    host = rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]").partition("%")[0]
    if kind == "ipv6":
        with suppress(ValueError):
            # An IPv4 client of a port that listens on IPv6 is one address, not part of the network of all of them.
            mapped = ipaddress.IPv6Address(host).ipv4_mapped
            return str(mapped or ipaddress.ip_network((host, _NETWORK_BITS), strict=False))
    return host or peer


@dataclass(slots=True)
class _Count:
    since: float
    guesses: int = 0


class Doors:
    """Counts the sessions that are open and the guesses of a while."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._counts: dict[str, _Count] = {}

    @contextmanager
    def passing(self, host: str, now: float) -> Iterator[None]:
        """Let a session in and count it while it is open.

        Raises:
            Overloaded: too many sessions, or too many guesses.
        """
        for who, most in ((host, MAX_GUESSES_PER_HOST), (_EVERYBODY, MAX_GUESSES)):
            count = self._counts.get(who)
            if count is not None and count.guesses >= most and (left := count.since + GUESSING_SECONDS - now) > 0:
                raise Overloaded("too many requests that prove nothing", retry_after_s=left)
        if self._open.total() >= DESK_SESSIONS or self._open[host] >= DESK_SESSIONS_PER_HOST:
            raise Overloaded("too many sessions at once", retry_after_s=CALLS_RETRY_SECONDS)
        self._open[host] += 1
        try:
            yield
        finally:
            self._open[host] -= 1
            if not self._open[host]:
                del self._open[host]

    def count_guess(self, host: str, now: float) -> bool:
        """Count a message that proves nothing; return true for the last one that the host may send for a while."""
        for who in (host, _EVERYBODY):
            count = self._counts.get(who)
            if count is None or now >= count.since + GUESSING_SECONDS:
                # Again at the end: the first of the dictionary began longest ago.
                self._counts.pop(who, None)
                self._counts[who] = _Count(since=now)
            self._counts[who].guesses += 1
        while len(self._counts) > GUESSING_HOSTS:
            oldest = next(who for who in self._counts if who != _EVERYBODY)
            del self._counts[oldest]
        return self._counts[host].guesses == MAX_GUESSES_PER_HOST if host in self._counts else False
