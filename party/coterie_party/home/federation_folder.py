# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's files of one federation: its membership and its key shares, separate from those of other founders.

Layout, below the party's folder: ``federations/FOUNDER/membership.json`` and ``federations/FOUNDER/shares/EPOCH.key``,
the share locked under the party's password. Earlier versions kept one federation only, in ``membership.json`` and
``shares/`` of the party's folder itself: these are read where they are until a bundle is imported, and moved then.

Invariants:
- Rosters and shares of one founder are never compared with another's; of one founder, a party never goes back.
- Moving never replaces a file, and moves the membership last: if it is killed in between, everything is still found.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coterie_common.crypto.keystore import lock, unlock
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey
from coterie_common.errors import KeyFileError, OldKeyError, StorageError, WrongOrderError
from coterie_common.files import PRIVATE, make_durable_folder, read_bytes, sync_folder, write_atomically
from coterie_common.limits import KEY_FILE_BYTES
from coterie_common.membership.file import MEMBERSHIP_NAME, read_any_membership, write_membership
from coterie_common.membership.membership import FormerMembership, Membership
from coterie_common.protocol.roster import founder_fingerprint
from coterie_common.randomness import RandomSource
from coterie_common.secret import Password

FEDERATIONS: Final = "federations"
_SHARES: Final = "shares"
_SHARE_KIND: Final = "key-share"


class FederationFolder:
    """See the module.

    Args:
        home: the party's folder.
        founder: fingerprint, canonical.
    """

    def __init__(self, home: Path, founder: str) -> None:
        self.root = home / FEDERATIONS / founder
        self.shares = self.root / _SHARES
        self._home = home
        self._founder = founder

    def membership(self) -> Membership | None:
        """Read the membership without verifying it; ``None`` before the first import.

        Raises:
            OldKeyError: an earlier version wrote it.
            KeyFileError: it is damaged.
        """
        membership = self.any_membership()
        if isinstance(membership, FormerMembership):
            raise OldKeyError("the membership")
        return membership

    def any_membership(self) -> Membership | FormerMembership | None:
        """Read the membership, also one that an earlier version wrote; raises ``KeyFileError`` if it is damaged."""
        kept = read_any_membership(self.root)
        return read_any_membership(self._home) if kept is None and self._is_former() else kept

    def require_membership(self) -> Membership:
        """Read the membership without verifying it.

        Raises:
            WrongOrderError: no bundle of this founder was imported yet.
            KeyFileError: it is damaged.
        """
        membership = self.membership()
        if membership is None:
            raise WrongOrderError(
                f"{self._home} holds no membership of the founder that party.toml pins; first run 'coterie-party keys "
                "import BUNDLE' with the bundle from that founder"
            )
        return membership

    def write_membership(self, membership: Membership) -> None:
        """Keep a verified membership; raises ``StorageError``."""
        make_durable_folder(self.root, self._home / FEDERATIONS)
        write_membership(self.root, membership)

    def share_path(self, epoch: int) -> Path:
        """Path of the key share of an epoch, existing or not."""
        path, former = self.shares / f"{epoch}.key", self._home / _SHARES / f"{epoch}.key"
        return former if not path.is_file() and former.is_file() and self._is_former() else path

    def check_not_older(self, epoch: int) -> None:
        """Check that no share of a later epoch is stored here: a party never goes back, even if its membership is gone.

        Raises:
            KeyFileError: there is one.
        """
        places = [self.shares, self._home / _SHARES] if self._is_former() else [self.shares]
        epochs = [int(path.stem) for place in places for path in place.glob("*.key") if path.stem.isdecimal()]
        newest = max(epochs, default=epoch)
        if newest > epoch:
            raise KeyFileError(
                f"the membership is of epoch {epoch}, but {self._home} holds the share of epoch {newest}: a party "
                "never goes back to an older roster; import the newest bundle again"
            )

    def write_share(
        self, share: KeyShare, key: ThresholdPublicKey, epoch: int, *, password: Password, random: RandomSource
    ) -> None:
        """Lock the share of an epoch into its file; raises ``StorageError``."""
        make_durable_folder(self.shares, self._home / FEDERATIONS)
        content = key.digest + share.to_bytes(key)
        locked = lock(content, password, kind=_SHARE_KIND, random=random)
        write_atomically(self.shares / f"{epoch}.key", locked, mode=PRIVATE)

    def unlock_share(self, key: ThresholdPublicKey, epoch: int, password: Password) -> KeyShare:
        """Read the share of an epoch and check it.

        Raises:
            ConfigurationError: there is none.
            KeyFileError: wrong password, damaged, or no share of this key.
        """
        path = self.share_path(epoch)
        content = unlock(read_bytes(path, "the key share", maximum=KEY_FILE_BYTES), password, kind=_SHARE_KIND)
        digest = key.digest
        if content[: len(digest)] != digest:
            raise KeyFileError(f"{path} is the share of another key than the roster's")
        return KeyShare.from_bytes(key, content[len(digest) :])

    def _is_former(self) -> bool:
        """Whether the files that an earlier version kept in the party's folder itself are of this founder."""
        return _former_founder(self._home) in (None, self._founder)


def move_former(home: Path, pinned: str) -> None:
    """Move the files that an earlier version kept to the folder of their founder.

    Args:
        home: the party's folder.
        pinned: the founder to whom the shares belong if no membership names one.

    Raises:
        KeyFileError: the membership is damaged.
        StorageError: the file system refused.
    """
    former = [*sorted((home / _SHARES).glob("*.key")), home / MEMBERSHIP_NAME]
    if not any(path.is_file() for path in former):
        return
    folder = FederationFolder(home, _former_founder(home) or pinned)
    make_durable_folder(folder.shares, home / FEDERATIONS)
    try:
        for path in former:
            new = folder.root / path.relative_to(home)
            if path.is_file() and not new.exists():
                path.rename(new)
                sync_folder(new.parent)
                sync_folder(path.parent)
    except OSError as cause:
        raise StorageError(f"cannot move {path} to {new}: {cause.strerror}") from cause


def _former_founder(home: Path) -> str | None:
    membership = read_any_membership(home)
    if membership is None:
        return None
    if isinstance(membership, FormerMembership):
        return founder_fingerprint(membership.founder_key)
    return founder_fingerprint(membership.signed_roster.founder_key)
