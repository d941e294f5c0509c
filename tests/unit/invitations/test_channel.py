# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace

import pytest

from coterie_common.crypto.certificates import Role
from coterie_common.errors import InvitationReplayed, MalformedMessage, NotTheAggregator, PeerError, UnknownInvitation
from coterie_common.membership.invitations.application import Application
from coterie_common.membership.invitations.channel import DocumentKind, Greeting, Order
from tests.support.invitations import (
    FOUNDER,
    NOW,
    STRANGER,
    WEEK,
    make_application,
    make_channel,
    make_request,
    make_token,
)

CHANNEL = make_channel()
OTHERS = {
    "certificate": make_channel(certificate=b"\1" * 32),
    "guest's number": make_channel(guest=b"\1" * 32),
    "desk's number": make_channel(desk=b"\1" * 32),
}
AGGREGATOR = make_token(Role.AGGREGATOR, "aggregator")


@pytest.mark.parametrize("role", list(Role))
def test_application_of_every_role_returns_from_its_bytes(role):
    application = make_application(make_token(role, "someone"))
    assert Application.from_bytes(application.to_bytes()) == application


def test_application_for_another_id_or_role_than_the_invitation_is_refused():
    for role, member in ((Role.PARTY, "hospital-2"), (Role.SCIENTIST, "hospital-1")):
        with pytest.raises(MalformedMessage, match="the invitation is for"):
            Application.create(make_token(), make_request(role, member))


def test_application_with_another_request_is_unknown():
    """An aggregator, or anybody who saw an application, puts a request of its own in its place."""
    forged = replace(make_application(), request=make_request(seed="thief"))
    with pytest.raises(UnknownInvitation) as caught:
        Application.from_bytes(forged.to_bytes())
    assert caught.value.code == "unknown-invitation"


def test_application_of_somebody_who_knows_only_the_invitation_is_unknown():
    guessed = make_token(secret=bytes(16))
    request = make_request()
    signature = Application.create(guessed, request).signature
    with pytest.raises(UnknownInvitation):
        Application.from_bytes(
            Application(invitation=make_token().invitation, request=request, signature=signature).to_bytes()
        )


def test_no_bit_of_an_application_can_be_changed():
    data = make_application().to_bytes()
    for position in range(0, len(data), 7):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises((PeerError, UnknownInvitation)):
            Application.from_bytes(bytes(changed))


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_proofs_of_one_channel_are_good_on_no_other(other):
    token, application = make_token(), make_application()
    proof = CHANNEL.prove_application(application, token)
    CHANNEL.check_application(application, proof)
    order = Order(request=bytes(32), kind=DocumentKind.BUNDLE, content=b"content")
    signature = CHANNEL.sign_order(order, 0, FOUNDER)
    CHANNEL.check_order(order, 0, signature, FOUNDER.verify_key)
    for check in (
        lambda: other.check_application(application, proof),
        lambda: other.check_order(order, 0, signature, FOUNDER.verify_key),
    ):
        with pytest.raises(InvitationReplayed) as caught:
            check()
        assert caught.value.code == "invitation-replayed"
    greeting = Greeting.create(AGGREGATOR, CHANNEL)
    greeting.verify(FOUNDER.verify_key, CHANNEL)
    with pytest.raises(NotTheAggregator):
        greeting.verify(FOUNDER.verify_key, other)


def test_order_is_good_in_its_place_with_its_content_only():
    order = Order(request=bytes(32), kind=DocumentKind.BUNDLE, content=b"content")
    signature = CHANNEL.sign_order(order, 1, FOUNDER)
    for changed, position, key in (
        (order, 0, FOUNDER),
        (order, 1, STRANGER),
        (Order(), 1, FOUNDER),
        (replace(order, content=b"other"), 1, FOUNDER),
        (replace(order, kind=DocumentKind.CREDENTIAL), 1, FOUNDER),
        (replace(order, request=b"\1" * 32), 1, FOUNDER),
    ):
        with pytest.raises(InvitationReplayed):
            CHANNEL.check_order(changed, position, signature, key.verify_key)


def test_greeting_with_an_invitation_that_is_not_an_aggregators_is_refused():
    """The owner of a party's token sits between a victim and the aggregator."""
    with pytest.raises(NotTheAggregator):
        Greeting.create(make_token(), CHANNEL).verify(FOUNDER.verify_key, CHANNEL)


def test_greeting_of_another_founders_aggregator_is_refused():
    other = make_token(Role.AGGREGATOR, "aggregator", founder=STRANGER)
    with pytest.raises(NotTheAggregator):
        Greeting.create(other, CHANNEL).verify(FOUNDER.verify_key, CHANNEL)


def test_greeting_after_the_end_of_its_invitation_is_the_aggregators():
    """Members may be invited long after the aggregator was; it only carries, so that nothing hangs on its token."""
    late = make_token(Role.AGGREGATOR, "aggregator", expires=NOW - WEEK)
    Greeting.create(late, CHANNEL).verify(FOUNDER.verify_key, CHANNEL)


def test_greeting_signed_by_another_key_is_refused():
    thief = make_token(Role.AGGREGATOR, "aggregator", secret=bytes(16))
    stolen = replace(Greeting.create(AGGREGATOR, CHANNEL), signature=Greeting.create(thief, CHANNEL).signature)
    with pytest.raises(NotTheAggregator) as caught:
        stolen.verify(FOUNDER.verify_key, CHANNEL)
    assert caught.value.code == "not-the-aggregator"
