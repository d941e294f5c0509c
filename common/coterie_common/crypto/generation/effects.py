# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the machine of a generation orders its driver to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from coterie_common.crypto.generation.steps.messages import Broadcast, SealedPart
from coterie_common.crypto.generation.steps.signing import CompletedStage
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey
from coterie_common.errors import CoterieError


@dataclass(frozen=True, slots=True)
class SendBroadcast:
    """Order: send to every other holder."""

    broadcast: Broadcast


@dataclass(frozen=True, slots=True)
class SendPart:
    """Order: send to its recipient."""

    part: SealedPart


@dataclass(frozen=True, slots=True)
class Advance:
    """Order: call ``advance``; everything of the step is there."""


@dataclass(frozen=True, slots=True)
class KeepShare:
    """Order: write the share durably with its record, then call ``share_kept``."""

    key: ThresholdPublicKey
    share: KeyShare


@dataclass(frozen=True, slots=True)
class End:
    """Order: the run is over.

    Attributes:
        completed: record and signatures; ``None`` after a failure.
        error: why there is no key.
    """

    completed: CompletedStage | None = None
    error: CoterieError | None = None


Effect: TypeAlias = SendBroadcast | SendPart | Advance | KeepShare | End
