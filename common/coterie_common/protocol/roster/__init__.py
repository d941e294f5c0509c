# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The founder's signed list of the members of a federation, with their keys and its numbers."""

from coterie_common.protocol.roster.roster import Roster, SignedRoster, founder_fingerprint

__all__ = ["Roster", "SignedRoster", "founder_fingerprint"]
