# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Joining a federation: the aggregator imports the bundle that its founder made for it.

Invariant: nothing is written before everything in the bundle is verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coterie_aggregator.home.home import AggregatorHome
from coterie_common.crypto.threshold import check_record
from coterie_common.membership.bundle import Bundle, read_bundle
from coterie_common.membership.file import is_successor, read_any_membership, write_membership
from coterie_common.membership.founder_pin import pin_founder, pinned_founder
from coterie_common.protocol.roster import Roster, founder_fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The result of an import; ``is_new`` is false if the bundle had been imported before.

    Attributes:
        roster: in force now.
        founder: fingerprint of the founder who signed it.
        was_pinned: false if this import pinned it, on the bundle's word alone.
        is_new: whether anything changed.
    """

    roster: Roster
    founder: str
    was_pinned: bool
    is_new: bool


def import_bundle(home: AggregatorHome, path: Path, *, now: datetime) -> Joined:
    """Verify a bundle in a file and keep the membership in it; as ``take_bundle``.

    Raises:
        OldKeyError: an earlier version made the bundle.
        KeyFileError: the file is not a bundle.
    """
    home.config()
    return take_bundle(home, read_bundle(path), now=now)


def take_bundle(home: AggregatorHome, bundle: Bundle, *, now: datetime) -> Joined:
    """Verify a bundle and keep the membership in it.

    Args:
        home: the aggregator's folder.
        bundle: unverified, from a file or from the desk.
        now: the time by which certificates are judged.

    Raises:
        WrongOrderError: the folder was not made yet.
        KeyFileError: the numbers of its key record do not belong together.
        ConfigurationError: an older roster than the one in force.
        PeerError: the bundle is another founder's, altered, made for another member, or not valid now.
    """
    config = home.config()
    membership = bundle.membership
    pinned = pinned_founder(home.root)
    founder = pinned or founder_fingerprint(membership.signed_roster.founder_key)
    bundle.verify(founder)
    check_record(membership.key)
    membership.check_owner(home.own_keys(config), now=now)
    is_new = is_successor(read_any_membership(home.root), membership)
    if is_new:
        pin_founder(home.root, founder)
        write_membership(home.root, membership)
    return Joined(roster=membership.roster, founder=founder, was_pinned=pinned is not None, is_new=is_new)
