# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Delivered models: one JSON file per job in the party's own folder."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import structlog

from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import Equivocation, MalformedMessage, PeerError, RefusedError
from coterie_common.files import make_private_folder, write_atomically
from coterie_common.identifiers import PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.messages import ModelDelivery, ModelReceipt
from coterie_common.protocol.signed import UNSIGNED

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeptModel:
    """The path of a model, and whether its job completed: an unfinished model is that of a job that ended early."""

    path: Path
    is_finished: bool


def keep_model(folder: Path, delivery: ModelDelivery, spec_digest: bytes, algorithms: Collection[str]) -> KeptModel:
    """Check that a delivered model matches its delivery, and write it to disk, synced.

    Args:
        folder: of the party's models.
        delivery: whose signature was verified.
        spec_digest: of the job, which this party accepted: models of other jobs are not kept, or their signer could
            fill its disk.
        algorithms: named by the policy; no code of any other is loaded, even if it is installed.

    Returns:
        The model's path, and whether its job completed.

    Raises:
        MalformedMessage: not a model, or one of another job.
        Equivocation: another model was delivered for this job before, finished or not.
    """
    model = _parse(delivery, algorithms)
    if model.lineage.job_id != delivery.job_id:
        raise MalformedMessage("the delivered model's lineage names another job")
    if model.lineage.job_spec_digest != spec_digest.hex():
        raise MalformedMessage("the delivered model's lineage names another specification than the accepted one")
    path = folder / f"{delivery.job_id}{model.suffix}"
    kept = KeptModel(path, is_finished=model.lineage.unfinished is None)
    # Ids of jobs hold neither dots nor wildcards.
    if any(other != path or other.read_bytes() != delivery.model for other in folder.glob(f"{delivery.job_id}.*")):
        raise Equivocation("another model of the same job was delivered before")
    if not path.exists():
        make_private_folder(folder)
        write_atomically(path, delivery.model)
    return kept


def _parse(delivery: ModelDelivery, algorithms: Collection[str]) -> Model:
    try:
        return Model.from_bytes(delivery.model, algorithms)
    except (PeerError, RefusedError):
        raise
    except Exception as failure:  # a supervisor: what an algorithm did not expect must not stop the daemon
        log.exception("unforeseen failure", job=delivery.job_id)
        raise MalformedMessage("the algorithm of the delivered model can make nothing of it") from failure


def make_receipt(delivery: ModelDelivery, party_id: PartyId, key: SigningKey) -> ModelReceipt:
    """Return the signed receipt for a model that was kept."""
    receipt = ModelReceipt(
        job_id=delivery.job_id, party_id=party_id, model_digest=delivery.model_digest, signature=UNSIGNED
    )
    return receipt.signed_by(key)
