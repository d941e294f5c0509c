# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Dealing the keys of an epoch: threshold key, roster, one bundle per member.

Invariants:
- The files of an epoch appear whole, by one rename, or not at all; afterwards they are never written again.
- Shares leave this module only sealed to their parties. Nothing here writes or returns one in clear.
- Serial and epoch grow with every dealing, so that members can refuse older ones.

Security: while it runs, this process knows the whole key (``crypto.dealer``); it should end soon afterwards.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from coterie.founding.credentials import refresh_credentials
from coterie.founding.home import FederationHome, FederationRecord, FounderKeys
from coterie.founding.register import Register, load_register
from coterie_common import document
from coterie_common.crypto.certificates import Role, fingerprint
from coterie_common.crypto.dealer import Dealing
from coterie_common.crypto.threshold import check_record
from coterie_common.errors import InternalError, StorageError, WrongOrderError
from coterie_common.files import make_private_folder, sync_folder, write_atomically
from coterie_common.identifiers import PartyId
from coterie_common.membership.bundle import Bundle, seal_share
from coterie_common.membership.membership import Membership
from coterie_common.protocol.roster import Roster, SignedRoster
from coterie_common.protocol.roster.members import AggregatorMember, Member
from coterie_common.randomness import RandomSource
from coterie_common.secret import Password

_UNFINISHED: Final = ".dealing-"


class Deal(Protocol):
    """Maker of a threshold key: ``crypto.dealer.deal``, or in tests one with known primes."""

    def __call__(self, *, key_bits: int, holders: int, decryption_threshold: int, random: RandomSource) -> Dealing:
        """See ``crypto.dealer.deal``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt:
    """The newest roster and the folder of the bundles; ``is_new`` is false if they had been dealt before."""

    roster: Roster
    bundles: Path
    is_new: bool


def deal_keys(
    home: FederationHome,
    *,
    ask_password: Callable[[], Password],
    deal: Deal,
    random: RandomSource,
    now: datetime,
    key_bits: int | None = None,
    new_epoch: bool = False,
) -> Dealt:
    """Deal the keys, once per epoch.

    Args:
        home: the founder's folder.
        ask_password: called once, only if something is to be signed.
        deal: makes the threshold key.
        random: for the threshold key.
        now: the current time.
        key_bits: another key size than the federation was founded with.
        new_epoch: deal again although keys were dealt, with the members admitted now.

    Raises:
        WrongOrderError: no federation, or not everybody admitted; the message names who or what is missing.
        KeyFileError: wrong password, or a damaged file.
        StorageError: the file system refused; nothing was dealt.
    """
    with home.locked():
        record, register = home.record(), load_register(home)
        unlock = cache(lambda: home.unlock_keys(record, ask_password()))
        is_new = new_epoch or not home.latest_epoch()
        if is_new:
            _require_everybody(record, register)
            keys = unlock()
            dealing = deal(
                key_bits=key_bits or record.key_bits,
                holders=record.parameters.key_holders,
                decryption_threshold=record.parameters.decryption_threshold,
                random=random,
            )
            # As every member will; the roster is signed over a record that holds.
            check_record(dealing.key)
            _write_epoch(home, record, register, keys, dealing)
        _link_bundles(home)
        refresh_credentials(home, register, unlock, now=now)
        signed = home.latest_roster()
        if signed is None:
            raise InternalError("no roster after dealing")  # an epoch was found or written above
        return Dealt(roster=signed.roster, bundles=home.bundles, is_new=is_new)


def _require_everybody(record: FederationRecord, register: Register) -> None:
    missing = []
    parties, expected = register.with_role(Role.PARTY), record.parameters.parties
    if len(parties) < expected:
        names = ", ".join(party.id for party in parties) or "none"
        missing.append(f"{expected - len(parties)} of {expected} parties (admitted so far: {names})")
    if not register.with_role(Role.AGGREGATOR):
        missing.append("the aggregator")
    if missing:
        raise WrongOrderError(
            f"keys are dealt to everybody at once; still to be admitted: {' and '.join(missing)}; "
            "first run 'coterie admit' for those who joined by invitation, and 'coterie admit REQUEST --role party' or "
            "'--role aggregator' for files"
        )


def _write_epoch(
    home: FederationHome, record: FederationRecord, register: Register, keys: FounderKeys, dealing: Dealing
) -> None:
    epoch = home.latest_epoch() + 1
    roster = _roster(record, register, dealing, epoch)
    signed = SignedRoster.create(roster, keys.signing_key)
    make_private_folder(home.epochs)
    for leftover in home.epochs.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=home.epochs))
    except OSError as cause:
        raise StorageError(f"cannot write into {home.epochs}: {cause.strerror}") from cause
    try:
        make_private_folder(folder / "bundles")
        write_atomically(folder / "roster.json", signed.to_bytes())
        write_atomically(folder / "threshold-key.json", document.encode(dealing.key.to_document()))

        def write_bundle(name: str, certificate: bytes, sealed_share: bytes) -> None:
            membership = Membership(
                certificate=certificate, authority=record.authority, signed_roster=signed, key=dealing.key
            )
            bundle = Bundle.create(membership, sealed_share, keys.signing_key)
            write_atomically(folder / "bundles" / f"{name}.bundle", bundle.to_bytes())

        for party, member, share in zip(register.with_role(Role.PARTY), roster.members, dealing.shares, strict=True):
            write_bundle(party.id, party.certificate, seal_share(share, dealing.key, roster, member))
        for aggregator in register.with_role(Role.AGGREGATOR):
            write_bundle(aggregator.id, aggregator.certificate, b"")
        sync_folder(folder / "bundles")
        folder.rename(home.epoch_folder(epoch))
        sync_folder(home.epochs)
    except OSError as cause:
        raise StorageError(f"cannot write into {home.epochs}: {cause.strerror}") from cause
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _roster(record: FederationRecord, register: Register, dealing: Dealing, epoch: int) -> Roster:
    members = []
    for party in register.with_role(Role.PARTY):
        applicant = party.request.applicant
        if applicant.verify_key is None or applicant.sealing_key is None:
            raise InternalError("a party without keys in the register")  # Applicant refuses it
        members.append(
            Member(
                party_id=PartyId(applicant.id),
                index=party.index,
                certificate_fingerprint=fingerprint(party.certificate),
                verify_key=applicant.verify_key,
                sealing_key=applicant.sealing_key,
            )
        )
    (aggregator,) = register.with_role(Role.AGGREGATOR)
    if aggregator.request.applicant.verify_key is None:
        raise InternalError("an aggregator without a key in the register")  # Applicant refuses it
    return Roster(
        federation=record.federation,
        serial=epoch,
        key_epoch=epoch,
        parameters=record.parameters,
        key_holders=tuple(member.party_id for member in members),
        key_kind=dealing.key.kind,
        key_digest=dealing.key.digest,
        authority_digest=fingerprint(record.authority),
        members=tuple(members),
        aggregator=AggregatorMember(
            id=aggregator.request.applicant.id,
            names=aggregator.request.applicant.names,
            certificate_fingerprint=fingerprint(aggregator.certificate),
            verify_key=aggregator.request.applicant.verify_key,
        ),
    )


def _link_bundles(home: FederationHome) -> None:
    """Point ``bundles`` at the newest epoch's; the epoch folder is what counts."""
    target = Path("epochs", str(home.latest_epoch()), "bundles")
    temporary = home.root / f".bundles-{os.getpid()}"
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(home.bundles)
    except OSError as cause:
        raise StorageError(f"cannot link {home.bundles}: {cause.strerror}") from cause
