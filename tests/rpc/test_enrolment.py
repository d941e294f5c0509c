# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The whole exchange at the enrolment port over real gRPC: guests, the founder, and a proxy in between."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pytest

from coterie_aggregator.service import enrolment as service
from coterie_common.address import Address
from coterie_common.crypto.certificates import Role, fingerprint
from coterie_common.errors import (
    ConfigurationError,
    CoterieError,
    DeadlineExceeded,
    InvitationExpired,
    InvitationReplayed,
    InvitationUsed,
    MalformedMessage,
    NotFound,
    NotTheAggregator,
    Overloaded,
    Unavailable,
    UnexpectedMessage,
    UnknownInvitation,
)
from coterie_common.limits import CALL_SECONDS, KEY_FILE_BYTES, MAX_GUESSES_PER_HOST
from coterie_common.membership.invitations.application import Application, request_digest
from coterie_common.membership.invitations.channel import Channel, DocumentKind, Order, document_digest
from coterie_common.randomness import OsRandom
from coterie_common.rpc.credentials import DESK_OPTIONS, SERVER_OPTIONS
from coterie_common.rpc.enrolment.client import Session, open_desk
from coterie_common.rpc.enrolment.messages import (
    Greeted,
    HandedIn,
    Hello,
    Ordered,
    desk_from_bytes,
    guest_to_bytes,
)
from coterie_common.rpc.enrolment.transport import fetch_certificate, open_channel, proxy_for
from coterie_common.rpc.status import error_from_rpc
from tests.support.desks import RunningDesk, connect_proxy, running_desk
from tests.support.invitations import FOUNDER, NOW, STRANGER, WEEK, make_application, make_token

RANDOM = OsRandom()
TOKEN = make_token()
AGGREGATOR = make_token(Role.AGGREGATOR, "aggregator")


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "no_proxy", "no_grpc_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[RunningDesk]:
    with running_desk(tmp_path / "desk", AGGREGATOR) as running:
        yield running


def session(desk: RunningDesk) -> Any:
    return open_desk(desk.address, FOUNDER.verify_key, RANDOM)


def applications_of(founder: Session) -> list[Application]:
    return [Application.from_bytes(kept.application) for kept in founder.kept(FOUNDER)]


class RawGuest:
    """A guest that says what it likes, byte by byte."""

    def __init__(self, address: Address) -> None:
        self.certificate = fetch_certificate(address, None)
        self._channel = open_channel(address, self.certificate, None)
        self._meet: Any = self._channel.stream_stream(
            "/coterie.v1.Enrolment/Meet", request_serializer=None, response_deserializer=None
        )

    def say(self, *messages: bytes) -> list[bytes]:
        """Say all messages at once and return the answers; raises the desk's error."""
        try:
            return list(self._meet(iter(messages), timeout=20))
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure

    def converse(self, answer: Any) -> list[bytes]:
        """Greet, and say what ``answer`` makes of the channel; returns the further answers."""
        nonce = RANDOM.token_bytes(32)
        greeted_on: SimpleQueue[Channel] = SimpleQueue()

        def messages() -> Iterator[bytes]:
            yield guest_to_bytes(Hello(nonce))
            yield from map(guest_to_bytes, answer(greeted_on.get(timeout=20)))

        call = self._meet(messages(), timeout=20)
        try:
            greeted = desk_from_bytes(next(call))
            assert isinstance(greeted, Greeted)
            greeted_on.put(
                Channel(certificate=fingerprint(self.certificate), guest_nonce=nonce, desk_nonce=greeted.nonce)
            )
            return list(call)
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure

    def fall_silent(self) -> type[CoterieError]:
        """Say hello and nothing else; returns the kind of the desk's error."""
        heard = threading.Event()

        def messages() -> Iterator[bytes]:
            yield guest_to_bytes(Hello(bytes(32)))
            heard.wait(20)

        try:
            for _ in self._meet(messages(), timeout=20):
                pass
        except grpc.RpcError as failure:
            return type(error_from_rpc(failure))
        finally:
            heard.set()
        raise AssertionError("the desk said nothing against silence")

    def __enter__(self) -> RawGuest:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()


def test_applicant_waits_until_the_founder_publishes(desk):
    application = make_application(TOKEN)
    with session(desk) as guest:
        assert guest.hand_in(application, TOKEN) == {}
    digest = request_digest(application.request)
    with session(desk) as founder:
        assert applications_of(founder) == [application]
        founder.publish(digest, DocumentKind.CREDENTIAL, b"credential", FOUNDER)
        founder.publish(digest, DocumentKind.BUNDLE, bytes(KEY_FILE_BYTES), FOUNDER)
        founder.publish(digest, DocumentKind.CREDENTIAL, b"a newer one", FOUNDER)
        (kept,) = founder.kept(FOUNDER)
        assert kept.published == {
            document_digest(DocumentKind.CREDENTIAL, b"a newer one"),
            document_digest(DocumentKind.BUNDLE, bytes(KEY_FILE_BYTES)),
        }
    assert {kind for _, kind in desk.published} == {DocumentKind.CREDENTIAL, DocumentKind.BUNDLE}
    desk.clock.date = NOW + 2 * WEEK  # whoever was there before comes back also after the end of the invitation
    with session(desk) as guest:
        documents = guest.hand_in(application, TOKEN)
    assert documents == {DocumentKind.CREDENTIAL: b"a newer one", DocumentKind.BUNDLE: bytes(KEY_FILE_BYTES)}


def test_desk_keeps_everything_over_a_restart(tmp_path):
    application = make_application(TOKEN)
    for _ in range(2):
        with running_desk(tmp_path / "desk", AGGREGATOR) as desk:
            with session(desk) as guest:
                assert guest.hand_in(application, TOKEN) == {}
            with session(desk) as founder:
                assert applications_of(founder) == [application]


def test_second_request_with_one_token_is_refused_and_shown_to_the_founder(desk):
    stolen, own = make_application(TOKEN, "thief"), make_application(TOKEN, "owner")
    with session(desk) as guest:
        guest.hand_in(stolen, TOKEN)
    for application in (own, own, make_application(TOKEN, "a third")):
        with session(desk) as guest, pytest.raises(InvitationUsed) as caught:
            guest.hand_in(application, TOKEN)
        assert caught.value.code == "invitation-used"
    with session(desk) as founder:
        assert applications_of(founder) == [stolen, own]
        founder.publish(request_digest(own.request), DocumentKind.CREDENTIAL, b"for the owner", FOUNDER)
    with session(desk) as guest:
        assert guest.hand_in(own, TOKEN) == {DocumentKind.CREDENTIAL: b"for the owner"}


def test_invitation_that_expired_is_refused(desk):
    desk.clock.date = NOW + WEEK + timedelta(seconds=1)
    with session(desk) as guest, pytest.raises(InvitationExpired) as caught:
        guest.hand_in(make_application(TOKEN), TOKEN)
    assert caught.value.code == "invitation-expired"
    assert desk.desk.applications() == ()


def test_token_of_another_federation_is_sent_nowhere(desk):
    """Its owner demands the other founder's aggregator, which this one is not."""
    other = make_token(founder=STRANGER)
    with pytest.raises(NotTheAggregator) as caught, open_desk(desk.address, other.invitation.founder_key, RANDOM):
        raise AssertionError("a session was opened")
    assert caught.value.code == "not-the-aggregator"
    # One that talks to it regardless is not known.
    with session(desk) as guest, pytest.raises(UnknownInvitation):
        guest.hand_in(make_application(other), other)
    assert desk.desk.applications() == ()


def test_aggregator_with_a_partys_token_or_another_founders_is_not_the_aggregator(tmp_path):
    for number, token in enumerate((TOKEN, make_token(Role.AGGREGATOR, "aggregator", founder=STRANGER))):
        with running_desk(tmp_path / str(number), token) as desk, pytest.raises(NotTheAggregator), session(desk):
            raise AssertionError("a session was opened")


def test_greeting_passed_on_from_the_right_aggregator_is_refused(tmp_path, desk):
    """A host in between shows a certificate of its own and passes all messages on."""
    with running_desk(tmp_path / "between", AGGREGATOR) as between:
        certificate = fetch_certificate(between.address, None)
        with RawGuest(desk.address) as guest:
            nonce = RANDOM.token_bytes(32)
            greeted = desk_from_bytes(guest.say(guest_to_bytes(Hello(nonce)))[0])
            seen = Channel(certificate=fingerprint(certificate), guest_nonce=nonce, desk_nonce=greeted.nonce)
            with pytest.raises(NotTheAggregator):
                greeted.greeting.verify(FOUNDER.verify_key, seen)


def test_application_and_orders_of_one_session_are_refused_in_another(desk):
    application = make_application(TOKEN)
    made: list[Any] = []

    def honest(channel: Channel) -> Any:
        made.append(HandedIn(application, channel.prove_application(application, TOKEN)))
        made.append(Ordered(Order(), channel.sign_order(Order(), 0, FOUNDER)))
        return made[:1]

    with RawGuest(desk.address) as guest:
        guest.converse(honest)
        for recorded in made:
            with pytest.raises(InvitationReplayed) as caught:
                guest.converse(lambda _, message=recorded: [message])
            assert caught.value.code == "invitation-replayed"
        with pytest.raises(InvitationReplayed):
            guest.converse(lambda channel: [Ordered(Order(), channel.sign_order(Order(), 0, FOUNDER))] * 2)


def test_order_of_somebody_else_than_the_founder_is_refused(desk):
    with session(desk) as guest, pytest.raises(InvitationReplayed):
        guest.kept(STRANGER)
    with session(desk) as founder, pytest.raises(NotFound):
        founder.publish(bytes(32), DocumentKind.BUNDLE, b"for nobody", FOUNDER)


def test_guesses_are_refused_for_a_while(desk):
    other = make_token(founder=STRANGER)
    application = make_application(other)
    for _ in range(MAX_GUESSES_PER_HOST):
        with session(desk) as guest, pytest.raises(UnknownInvitation) as caught:
            guest.hand_in(application, other)
        assert caught.value.code == "unknown-invitation"
    with pytest.raises(Overloaded) as overloaded, session(desk):
        raise AssertionError("a session was opened")
    assert 0 < overloaded.value.retry_after_s <= 60
    assert desk.desk.applications() == ()


def test_silence_counts_as_guessing(desk, monkeypatch):
    monkeypatch.setattr(service, "CALL_SECONDS", 0.05)
    with RawGuest(desk.address) as guest:
        for _ in range(MAX_GUESSES_PER_HOST):
            assert guest.fall_silent() is DeadlineExceeded
        assert guest.fall_silent() is Overloaded


def test_connection_without_a_session_is_closed(tmp_path, monkeypatch):
    (name, milliseconds) = DESK_OPTIONS[-1]
    assert (name, milliseconds) == ("grpc.max_connection_idle_ms", 1000 * CALL_SECONDS)
    monkeypatch.setattr(service, "DESK_OPTIONS", (*SERVER_OPTIONS, (name, 200)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        running_desk(tmp_path / "desk", AGGREGATOR) as desk,
        socket.create_connection((desk.address.host, desk.address.port), timeout=10) as plain,
        context.wrap_socket(plain) as guest,
    ):
        guest.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"))
        while guest.recv(1 << 12):
            pass


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([b"nonsense"], MalformedMessage),
        ([b""], MalformedMessage),
        ([guest_to_bytes(Hello(bytes(31)))], MalformedMessage),
        ([guest_to_bytes(HandedIn(make_application(TOKEN), bytes(64)))], UnexpectedMessage),
        ([guest_to_bytes(Hello(bytes(32)))] * 2, UnexpectedMessage),
    ],
)
def test_what_is_no_session_is_refused(desk, messages, error):
    with RawGuest(desk.address) as guest, pytest.raises(error):
        guest.say(*messages)


def test_guest_that_leaves_after_the_greeting_disturbs_nobody(desk):
    with session(desk) as guest:
        assert isinstance(guest, Session)
    with RawGuest(desk.address) as raw:
        assert len(raw.say(guest_to_bytes(Hello(bytes(32))))) == 1
    with session(desk) as guest:
        assert guest.hand_in(make_application(TOKEN), TOKEN) == {}


def test_proxy_of_the_environment_is_used_and_others_are_not(desk, monkeypatch):
    with connect_proxy() as proxy:
        monkeypatch.setenv("https_proxy", f"http://anna:s%40cret@127.0.0.1:{proxy.port}")
        with session(desk) as guest:
            assert guest.hand_in(make_application(TOKEN), TOKEN) == {}
        # Once for the certificate, once by gRPC.
        assert proxy.asked == [str(desk.address)] * 2
        assert proxy.authorizations == ["Basic YW5uYTpzQGNyZXQ="] * 2
        proxy.status = 407
        with pytest.raises(Unavailable, match=r"does not connect.*407"), session(desk):
            raise AssertionError("a session was opened")
        monkeypatch.setenv("no_proxy", "example.org,localhost")
        with session(desk) as guest:
            assert guest.hand_in(make_application(make_token(secret=b"2" * 16)), make_token(secret=b"2" * 16)) == {}
        assert len(proxy.asked) == 3


def test_proxy_that_is_none_is_a_mistake_of_the_configuration(monkeypatch):
    monkeypatch.setenv("https_proxy", "socks5://user:secret@proxy.example:1080")
    with pytest.raises(ConfigurationError) as caught:
        proxy_for(Address("aggregator.example.org", 8444))
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("https_proxy", "proxy.example:8080")
    proxy = proxy_for(Address("aggregator.example.org", 8444))
    assert proxy is not None
    assert (proxy.address, proxy.url) == (Address("proxy.example", 8080), "http://proxy.example:8080")


def test_port_that_is_closed_or_speaks_no_tls_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unavailable), open_desk(Address("127.0.0.1", port), FOUNDER.verify_key, RANDOM):
        raise AssertionError("a session was opened")
