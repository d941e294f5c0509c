# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The gate before every call: admits only members, and limits the number of calls that each has open.

It applies to all services, including those for monitoring, before anything in a call is read.

Invariants:
- No handler runs for a certificate that names no member, a person who is denied, or a party that is not in the roster.
- Open calls are counted by the identity of the certificate, from their headers to the last response: no member can use
  up the calls of another.
- A call of one request has ``CALL_SECONDS`` to send it.
- Scientists together leave room for operators, and both for every party, so they cannot shut one out.
- A request that cannot be parsed is refused like any other malformed message.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from hmac import compare_digest
from typing import Any, Final

import grpc
import grpc.aio
import structlog

from coterie_common.crypto.certificates import Identity, Role
from coterie_common.errors import DeadlineExceeded, IdentityMismatch, MalformedMessage, Overloaded, PermissionDenied
from coterie_common.host.incidents import Incidents
from coterie_common.identifiers import PartyId
from coterie_common.limits import (
    CALL_SECONDS,
    CALLS_RETRY_SECONDS,
    MAX_CALLS,
    MAX_FETCHES,
    MAX_PEOPLE_CALLS,
    MAX_SCIENTISTS_CALLS,
    SUBMISSIONS_AT_ONCE,
)
from coterie_common.protocol.roster import Roster
from coterie_common.rpc.abort import translated
from coterie_common.rpc.credentials import peer_of
from coterie_common.wire.strict import parse_any

log = structlog.get_logger(__name__)

_OF_ONE_KIND: Final = {
    "/coterie.v1.Operator/SubmitJob": (SUBMISSIONS_AT_ONCE, "submissions"),
    "/coterie.v1.Operator/FetchModel": (MAX_FETCHES, "models being fetched"),
}
"""Calls that cost much while they are open, and how many of them one certificate may have."""


class Gate(grpc.aio.ServerInterceptor):
    """Stands before every call of the server.

    Args:
        roster: in force.
        incidents: takes unforeseen failures.
        denied: people who are not served, valid certificate or not, as ``ROLE/ID``.
    """

    def __init__(self, roster: Roster, incidents: Incidents, denied: frozenset[str] = frozenset()) -> None:
        self._roster = roster
        self._incidents = incidents
        self._denied = denied
        self._open: Counter[tuple[str, str]] = Counter()
        self._open_by_role: Counter[Role] = Counter()
        self._loud: set[str] = set()

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Return the handler of a call behind the gate; ``None`` where there is no such call."""
        handler = await continuation(details)
        return None if handler is None else self._guarded(handler, details.method)

    def _guarded(self, handler: Any, method: str) -> Any:
        parse = handler.request_deserializer
        behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

        async def serve(raw: Any, context: Any) -> None:
            async with translated(context, self._incidents):
                with self._passing(context, method):
                    request = _parsed(raw, parse) if handler.request_streaming else await _only(context, parse)
                    if inspect.isasyncgenfunction(behaviour):
                        async for response in behaviour(request, context):
                            await context.write(response)
                    elif handler.response_streaming:
                        await behaviour(request, context)
                    else:
                        await context.write(await behaviour(request, context))

        # Of a call with one request gRPC would wait for it, without end, before it asks this gate, and would send the
        # one response, which a caller need not take, after it. A stream, which is the same on the wire, begins and ends
        # here. Without a deserialiser gRPC hands over the bytes.
        return grpc.stream_stream_rpc_method_handler(
            serve, request_deserializer=None, response_serializer=handler.response_serializer
        )

    @contextmanager
    def _passing(self, context: Any, method: str) -> Iterator[None]:
        """Count a call while it is open; raises the reason for which it is refused."""
        identity, certificate = peer_of(context)
        self._check(identity, certificate, method)
        self._check_room(identity, method)
        keys = ((identity.uri, ""), (identity.uri, method))
        self._open.update(keys)
        self._open_by_role[identity.role] += 1
        try:
            yield
        finally:
            self._open_by_role[identity.role] -= 1
            self._open.subtract(keys)
            for key in keys:
                if not self._open[key]:
                    del self._open[key]
            self._loud.discard(identity.uri)

    def _check(self, identity: Identity, certificate: bytes, method: str) -> None:
        if identity.federation != self._roster.federation:
            raise IdentityMismatch(f"this is the federation {self._roster.federation}, not {identity.federation}")
        if f"{identity.role.value}/{identity.id}" in self._denied:
            log.warning("denied", call=method, by=identity.uri)
            raise PermissionDenied(f"{identity.role.value} {identity.id} is denied by the aggregator's configuration")
        if identity.role is not Role.PARTY:
            return
        member = next((member for member in self._roster.members if member.party_id == PartyId(identity.id)), None)
        if member is None:
            raise IdentityMismatch(f"the roster has no party {identity.id}")
        if not compare_digest(member.certificate_fingerprint, certificate):
            raise IdentityMismatch(f"the roster has another certificate for {identity.id}")

    def _check_room(self, identity: Identity, method: str) -> None:
        who = f"{identity.role.value} {identity.id}"
        maximum, what = _OF_ONE_KIND.get(method, (MAX_CALLS, "calls"))
        if self._open[identity.uri, ""] >= MAX_CALLS:
            self._refuse(identity, f"{who} has {MAX_CALLS} calls open, the most at once: end some of them first")
        if self._open[identity.uri, method] >= maximum:
            self._refuse(identity, f"{who} has {maximum} {what} open, the most at once: wait for one to end")
        if identity.role is Role.SCIENTIST and self._open_by_role[Role.SCIENTIST] >= MAX_SCIENTISTS_CALLS:
            self._refuse(identity, f"scientists have {MAX_SCIENTISTS_CALLS} calls open, the most at once")
        people = self._open_by_role[Role.OPERATOR] + self._open_by_role[Role.SCIENTIST]
        if identity.role is not Role.PARTY and people >= MAX_PEOPLE_CALLS:
            self._refuse(identity, f"operators and scientists have {MAX_PEOPLE_CALLS} calls open, the most at once")

    def _refuse(self, identity: Identity, why: str) -> None:
        # Once until one of its calls ends: a flood of calls must not become a flood of lines.
        if identity.uri not in self._loud:
            self._loud.add(identity.uri)
            log.warning("too many calls", by=identity.uri, code=Overloaded.code, why=why)
        raise Overloaded(why, retry_after_s=CALLS_RETRY_SECONDS)


async def _only(context: Any, parse: Callable[[bytes], Any]) -> Any:
    """Return the request of a call that has one.

    Raises:
        DeadlineExceeded: it did not come in time.
        MalformedMessage: there is none, or it cannot be parsed.
    """
    try:
        async with asyncio.timeout(CALL_SECONDS):
            data = await context.read()
    except TimeoutError:
        raise DeadlineExceeded(f"no request came within {CALL_SECONDS:g} s") from None
    if data is grpc.aio.EOF:
        raise MalformedMessage("the call has no request")
    return parse_any(parse, data, "the request")


async def _parsed(raw: AsyncIterator[bytes], parse: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    async for data in raw:
        parsed = [parse_any(parse, data, "a frame")]
        # Nothing of a frame is kept here until the next one comes.
        del data
        yield parsed.pop()
