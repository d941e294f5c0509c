# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Files as earlier versions wrote them, made from today's; no signature in them holds.

``make_former`` is of versions before protocol version 2. ``make_dealt`` is of later ones, which knew dealt keys only:
their rosters lack what states the making of a generated key, and are in files of the same version as today's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coterie_common import document
from coterie_common.wire.pb.federation_pb2 import AggregatorEnvelope
from tests.support.ceremony import PARTIES, Ceremony

Document = dict[str, Any]


def former_parameters(now: Document) -> Document:
    """The parameters of a federation in which all parties hold keys without saying so."""
    return {name: value for name, value in now.items() if name not in ("key_holders", "holder_corruption_bound")}


def former_roster(now: Document) -> Document:
    """A roster, signed."""
    added = ("earlier_jobs_until", "ends_jobs", "key_holders", "key_kind", "key_making")
    roster = {name: value for name, value in now["roster"].items() if name not in added}
    return {**now, "roster": {**roster, "parameters": former_parameters(roster["parameters"])}}


def dealt_roster(now: Document) -> Document:
    """A roster, signed, that knew dealt keys only."""
    added = ("earlier_jobs_until", "key_making")
    return {**now, "roster": {name: value for name, value in now["roster"].items() if name not in added}}


def former_key(now: Document) -> Document:
    """A key record; its verification keys were modulo N²."""
    kept = {name: now[name] for name in ("modulus", "s", "generator", "decryption_threshold")}
    squares = [2 * value for value in now["verification_keys"]]
    return kept | {
        "parties": now["holders"],
        "verification_base": 2 * now["verification_base"],
        "verification_keys": squares,
    }


def former_membership(now: Document) -> Document:
    """The membership of a party or aggregator."""
    return {
        **now,
        "version": 1,
        "signed_roster": former_roster(now["signed_roster"]),
        "key": former_key(now["key"]),
    }


def make_former(ceremony: Ceremony) -> None:
    """Turn every file of a ceremony in which everybody joined into what an earlier version wrote."""
    home = ceremony.federation
    parties = [ceremony.party(index).federation().root for index in range(1, PARTIES + 1)]
    for root in (ceremony.aggregator.root, *parties):
        _rewrite(root / "membership.json", former_membership)
    for path in home.bundles.glob("*.bundle"):
        _rewrite(path, lambda now: {**now, "version": 1, "membership": former_membership(now["membership"])})
    for path in home.epochs.glob("*/roster.json"):
        _rewrite(path, former_roster)
    for path in home.epochs.glob("*/threshold-key.json"):
        _rewrite(path, former_key)
    _rewrite(home.record_path, lambda now: {**now, "version": 1, "parameters": former_parameters(now["parameters"])})
    for path in (*home.credentials.glob("*.credential"), home.operator / "credential.json"):
        _rewrite(path, lambda now: {**now, "signed_roster": former_roster(now["signed_roster"])})


def make_dealt(ceremony: Ceremony) -> None:
    """Turn every file of a ceremony in which everybody joined into what versions that knew dealt keys only wrote."""
    home = ceremony.federation
    parties = [ceremony.party(index).federation().root for index in range(1, PARTIES + 1)]
    memberships = [root / "membership.json" for root in (ceremony.aggregator.root, *parties)]
    credentials = [*home.credentials.glob("*.credential"), home.operator / "credential.json"]
    for path in (*memberships, *credentials):
        _rewrite(path, _with_dealt_roster)
    for path in home.bundles.glob("*.bundle"):
        _rewrite(path, lambda now: {**now, "membership": _with_dealt_roster(now["membership"])})
    for path in home.epochs.glob("*/roster.json"):
        _rewrite(path, dealt_roster)


def _with_dealt_roster(now: Document) -> Document:
    return {**now, "signed_roster": dealt_roster(now["signed_roster"])}


def former_query(now: bytes) -> bytes:
    """A query, as it is sent and stored: it stated no step of the plan, which was its round's number."""
    envelope = AggregatorEnvelope.FromString(now)
    envelope.query.fields.ClearField("plan_step")
    return envelope.SerializeToString()


def _rewrite(path: Path, change: Any) -> None:
    path.write_bytes(document.encode(change(json.loads(path.read_bytes()))))
