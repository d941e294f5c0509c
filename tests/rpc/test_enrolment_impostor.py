# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What an applicant believes of a host that answers in the aggregator's place: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc
import pytest

from coterie_common.address import Address
from coterie_common.clock import SystemClock
from coterie_common.crypto.authority import create_self_signed
from coterie_common.errors import (
    CoterieError,
    Equivocation,
    InvitationExpired,
    InvitationUsed,
    NotTheAggregator,
    Overloaded,
    TransientError,
    Unavailable,
)
from coterie_common.membership.invitations.channel import DocumentKind
from coterie_common.randomness import OsRandom
from coterie_common.rpc.credentials import desk_credentials
from coterie_common.rpc.enrolment.client import open_desk
from coterie_common.rpc.enrolment.joining import Joining
from coterie_common.rpc.enrolment.messages import METHOD, SERVICE
from coterie_common.rpc.enrolment.transport import DESK_NAME
from coterie_common.rpc.status import CODE_KEY, RETRY_KEY, STATUS
from tests.support.invitations import FOUNDER, make_request, make_token

LIE = "your token is worthless, ask at another number"


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "grpc_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def impostor(
    status: grpc.StatusCode, *metadata: tuple[str, str], certificate_name: str = DESK_NAME
) -> Iterator[Address]:
    """Answer every hello with an error."""

    def meet(messages: Iterator[bytes], context: Any) -> Iterator[bytes]:
        next(messages)
        context.set_trailing_metadata(metadata)
        context.abort(status, LIE)
        yield b""

    now = SystemClock().now() - timedelta(days=1)
    credentials = desk_credentials(*create_self_signed(certificate_name, now=now, lifetime=timedelta(days=9)))
    server = grpc.server(ThreadPoolExecutor(2))
    handler: Any = grpc.stream_stream_rpc_method_handler(meet, request_deserializer=None, response_serializer=None)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    port = server.add_secure_port("localhost:0", credentials)
    server.start()
    try:
        yield Address("localhost", port)
    finally:
        server.stop(0).wait()


def refusal(address: Address) -> CoterieError:
    with pytest.raises(CoterieError) as caught, open_desk(address, FOUNDER.verify_key, OsRandom()):
        raise AssertionError("a session was opened")
    assert LIE not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("told", [InvitationUsed, InvitationExpired, Equivocation])
def test_refusal_before_the_greeting_is_not_believed(told):
    with impostor(STATUS[told], (CODE_KEY, told.code)) as address:
        assert isinstance(refusal(address), NotTheAggregator)


def test_uncoded_failure_before_the_greeting_is_not_believed():
    with impostor(grpc.StatusCode.UNKNOWN) as address:
        assert isinstance(refusal(address), NotTheAggregator)


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_host_that_says_it_is_gone_is_asked_again(status):
    with impostor(status) as address:
        assert isinstance(refusal(address), Unavailable)


def test_certificate_of_another_service_is_not_connected_to():
    with impostor(grpc.StatusCode.UNAVAILABLE, certificate_name="hub.example") as address:
        assert isinstance(refusal(address), NotTheAggregator)


@dataclass
class Listener:
    """Keeps what it is told."""

    pauses: list[float] = field(default_factory=list)

    def waits(self) -> None:
        raise AssertionError("nothing was handed in")

    def admitted(self, credential: bytes) -> None:
        raise AssertionError("nobody was admitted")

    def lost(self, error: TransientError, pause: float) -> None:
        assert isinstance(error, Overloaded)
        self.pauses.append(pause)


class Enough(Exception):
    """The test has seen what it wants."""


def test_overloaded_host_cannot_send_an_applicant_to_sleep():
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise Enough

    with impostor(grpc.StatusCode.RESOURCE_EXHAUSTED, (RETRY_KEY, "3600")) as address:
        token = make_token(address=address)
        joining = Joining(token=token, request=make_request(), kind=DocumentKind.BUNDLE, random=OsRandom(), sleep=sleep)
        with pytest.raises(Enough):
            joining.wait(listener := Listener())
        with pytest.raises(Overloaded) as caught:
            joining.once()
    assert caught.value.retry_after_s == 3600
    assert slept == listener.pauses == [10.0] * 3
