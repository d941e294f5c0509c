# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Joining a federation: a party imports the bundle that its founder made for it.

Invariant: nothing is written before everything in the bundle is verified; the share is there before the membership that
needs it. Serials and epochs are compared with those of the same founder only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coterie_common.crypto.certificates import Role
from coterie_common.crypto.threshold import check_record
from coterie_common.membership.bundle import Bundle, read_bundle
from coterie_common.membership.file import is_successor
from coterie_common.membership.key_files import read_tls_key
from coterie_common.protocol.roster import Roster
from coterie_common.randomness import RandomSource
from coterie_common.secret import Password
from coterie_party.home.federation_folder import move_former
from coterie_party.home.home import PartyHome


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The roster in force and the index of the party's share.

    ``is_new`` is false if the bundle had been imported before.
    """

    roster: Roster
    index: int
    is_new: bool


def import_bundle(
    home: PartyHome,
    path: Path,
    *,
    ask_password: Callable[[], Password],
    random: RandomSource,
    now: datetime,
) -> Joined:
    """Verify a bundle in a file and keep membership and share; as ``take_bundle``.

    Raises:
        OldKeyError: an earlier version made the bundle.
        KeyFileError: the file is not a bundle.
    """
    home.config()
    return take_bundle(home, read_bundle(path), ask_password=ask_password, random=random, now=now)


def take_bundle(
    home: PartyHome,
    bundle: Bundle,
    *,
    ask_password: Callable[[], Password],
    random: RandomSource,
    now: datetime,
) -> Joined:
    """Verify a bundle and keep membership and share.

    Args:
        home: the party's folder.
        bundle: unverified, from a file or from the aggregator.
        ask_password: unlocks the party's keys and locks its share; called after what can be checked without.
        random: for locking the share.
        now: the time by which certificates are judged.

    Raises:
        WrongOrderError: the folder was not made yet.
        KeyFileError: wrong password, a key record whose numbers do not belong together, the share does not
            open or match, or one of a later epoch is stored.
        ConfigurationError: an older roster than the one in force.
        PeerError: the bundle is another founder's, altered, made for another member, or not valid now.
    """
    config = home.config()
    bundle.verify(config.founder)
    check_record(bundle.membership.key)
    membership = bundle.membership
    membership.check_addressee(Role.PARTY, config.id)
    tls_key = read_tls_key(home.tls_key_path)
    folder = home.federation()
    is_new = is_successor(folder.any_membership(), membership)
    member = membership.roster.member(config.id)
    epoch = membership.roster.key_epoch
    folder.check_not_older(epoch)
    if is_new or not folder.share_path(epoch).is_file():
        password = ask_password()
        keys = home.unlock_keys(password)
        membership.check_owner(home.own_keys(config, keys, tls_key), now=now)
        share = bundle.open_share(member, keys.sealing_key)
        move_former(home.root, config.founder)
        folder.write_share(share, membership.key, epoch, password=password, random=random)
        folder.write_membership(membership)
    return Joined(roster=membership.roster, index=membership.roster.holder_index(member.party_id), is_new=is_new)
