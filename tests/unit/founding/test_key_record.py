# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Everybody checks the key record on import, although the founder signed it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coterie_aggregator.home import joining
from coterie_aggregator.home.home import load_aggregator_home
from coterie_aggregator.home.joining import import_bundle as import_aggregator_bundle
from coterie_common.crypto.dealer import Dealing
from coterie_common.crypto.hashing import Label
from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.threshold import KeyKind, ThresholdPublicKey
from coterie_common.errors import InvalidSignature, KeyFileError, ParameterMismatch
from coterie_common.membership.bundle import Bundle, read_bundle
from coterie_common.protocol.roster import Roster, SignedRoster
from tests.support.ceremony import NOW, PASSWORD, Ceremony, deal_known_primes
from tests.support.generated_keys import make_generated
from tests.support.key_makings import of_generated_key


@pytest.fixture
def dealt(joined: Ceremony) -> Ceremony:
    """Keys were dealt; p1 and the aggregator are as if they had not imported anything."""
    (joined.party(1).federation().root / "membership.json").unlink()
    shutil.rmtree(joined.party(1).federation().shares)
    (joined.aggregator.root / "membership.json").unlink()
    return joined


def with_key(ceremony: Ceremony, name: str, key: ThresholdPublicKey) -> Path:
    """A bundle over another key record, signed by the founder itself throughout."""
    keys = ceremony.federation.unlock_keys(ceremony.federation.record(), PASSWORD)
    bundle = read_bundle(ceremony.bundle(name))
    changed = replace(bundle.membership.roster, key_digest=key.digest)
    if key.kind is KeyKind.GENERATED:
        changed = of_generated_key(changed, holder_keys(ceremony, changed))
    membership = replace(bundle.membership, key=key, signed_roster=SignedRoster.create(changed, keys.signing_key))
    path = ceremony.root / f"{name}.changed"
    path.write_bytes(Bundle.create(membership, bundle.sealed_share, keys.signing_key).to_bytes())
    return path


def holder_keys(ceremony: Ceremony, roster: Roster) -> list[SigningKey]:
    """The signing keys of the key holders, each unlocked at its own party."""
    indices = [roster.member(party_id).index for party_id in roster.key_holders]
    return [ceremony.party(index).unlock_keys(PASSWORD).signing_key for index in indices]


def broken_records(key: ThresholdPublicKey) -> Iterator[ThresholdPublicKey]:
    """The record with one number wrong."""
    modulus, first, *rest = key.public_key.modulus, *key.verification_keys
    yield replace(key, verification_keys=(first * key.verification_base % modulus, *rest))
    yield replace(key, verification_keys=(rest[0], first, *rest[1:]))
    yield replace(key, verification_base=pow(key.verification_base, 2, modulus))


def generated(ceremony: Ceremony) -> ThresholdPublicKey:
    parameters = ceremony.federation.record().parameters
    return make_generated(parameters.key_holders, parameters.decryption_threshold, key_bits=2048).key


@pytest.mark.parametrize("which", range(3), ids=["altered", "swapped", "another base"])
def test_record_whose_numbers_do_not_belong_together_is_not_imported(dealt, which):
    key = list(broken_records(read_bundle(dealt.bundle("p1")).membership.key))[which]
    with pytest.raises(KeyFileError, match="threshold key's verification keys") as refusal:
        dealt.join(1, with_key(dealt, "p1", key))
    assert refusal.value.code == "key-file"
    with pytest.raises(KeyFileError, match="threshold key's verification keys"):
        import_aggregator_bundle(dealt.aggregator, with_key(dealt, "aggregator", key), now=NOW)
    assert not (dealt.party(1).federation().root / "membership.json").exists()
    assert not (dealt.aggregator.root / "membership.json").exists()


@pytest.mark.parametrize("change", [{"root_factor": 1}, {"root_offset": 1}], ids=["A + 1", "B + 1"])
def test_generated_record_with_other_root_exponents_is_not_imported(dealt, change):
    key = generated(dealt)
    ((name, by),) = change.items()
    wrong = replace(key, **{name: getattr(key, name) + by})
    import_aggregator_bundle(dealt.aggregator, with_key(dealt, "aggregator", key), now=NOW)
    with pytest.raises(KeyFileError, match="root exponents"):
        import_aggregator_bundle(dealt.aggregator, with_key(dealt, "aggregator", wrong), now=NOW)


def test_generated_key_is_imported_only_with_the_signatures_of_all_its_holders(dealt):
    bundle = read_bundle(with_key(dealt, "aggregator", generated(dealt)))
    roster = bundle.membership.roster
    assert roster.key_making is not None
    rest = roster.key_making.signatures[1:]
    unsigned = replace(roster, key_making=replace(roster.key_making, signatures=(bytes(64), *rest)))
    founder = dealt.federation.unlock_keys(dealt.federation.record(), PASSWORD).signing_key
    signed = replace(
        bundle.membership.signed_roster,
        roster=unsigned,
        signature=founder.sign(Label.ROSTER_SIGNATURE, unsigned.digest),
    )
    path = dealt.root / "unsigned.bundle"
    path.write_bytes(Bundle.create(replace(bundle.membership, signed_roster=signed), b"", founder).to_bytes())
    with pytest.raises(InvalidSignature, match="holder of the key share 1") as refusal:
        import_aggregator_bundle(dealt.aggregator, path, now=NOW)
    assert refusal.value.code == "invalid-signature"
    assert not (dealt.aggregator.root / "membership.json").exists()


def test_record_that_is_wrong_would_be_imported_without_the_check(dealt, monkeypatch):
    monkeypatch.setattr(joining, "check_record", lambda key: None)
    key = read_bundle(dealt.bundle("p1")).membership.key
    first, second, third, *rest = key.verification_keys
    wrong = replace(key, verification_keys=(first, third, second, *rest))
    import_aggregator_bundle(dealt.aggregator, with_key(dealt, "aggregator", wrong), now=NOW)
    # It would blame two honest parties for any sum that does not open.
    assert load_aggregator_home(dealt.aggregator.root, now=NOW).key == wrong


def test_founder_signs_no_roster_over_a_record_that_is_wrong(admitted, monkeypatch):
    def deal_wrongly(**named: Any) -> Dealing:
        made = deal_known_primes(**named)
        keys = made.key.verification_keys
        return replace(made, key=replace(made.key, verification_keys=keys[::-1]))

    monkeypatch.setattr("tests.support.ceremony.deal_known_primes", deal_wrongly)
    with pytest.raises(KeyFileError, match="verification keys"):
        admitted.deal()
    assert admitted.federation.latest_epoch() == 0


def test_roster_that_states_another_kind_or_threshold_than_the_record_is_refused(dealt):
    key = generated(dealt)
    path = with_key(dealt, "aggregator", key)
    changed = read_bundle(path)
    roster = replace(changed.membership.roster, key_kind=KeyKind.DEALT, key_making=None)
    keys = dealt.federation.unlock_keys(dealt.federation.record(), PASSWORD)
    membership = replace(changed.membership, signed_roster=SignedRoster.create(roster, keys.signing_key))
    path.write_bytes(Bundle.create(membership, b"", keys.signing_key).to_bytes())
    with pytest.raises(ParameterMismatch):
        import_aggregator_bundle(dealt.aggregator, path, now=NOW)
