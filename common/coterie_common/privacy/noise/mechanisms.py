# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The noise mechanisms that there are. To add one, write its class (see ``terms``) and register it here."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from coterie_common.errors import MalformedMessage
from coterie_common.fields import Fields
from coterie_common.limits import MAX_PARTIES
from coterie_common.privacy.exact import fraction_from_text
from coterie_common.privacy.noise.discrete_gaussian import DiscreteGaussianNoise
from coterie_common.privacy.noise.discrete_laplace import DiscreteLaplaceNoise
from coterie_common.privacy.noise.terms import PARAMETERS, NoiseTerms, Placement, Unit

__all__ = [
    "DiscreteGaussianNoise",
    "DiscreteLaplaceNoise",
    "Mechanism",
    "NoiseTerms",
    "Placement",
    "Unit",
    "noise_from_document",
]


class Mechanism(StrEnum):
    """Distribution of the guaranteed noise, by name."""

    DISCRETE_GAUSSIAN = "discrete-gaussian"
    DISCRETE_LAPLACE = "discrete-laplace"

    @property
    def terms(self) -> type[NoiseTerms]:
        """The class of its noise."""
        return _TERMS[self]


_TERMS: Final[dict[Mechanism, type[NoiseTerms]]] = {
    Mechanism(terms.mechanism): terms for terms in (DiscreteGaussianNoise, DiscreteLaplaceNoise)
}


def noise_from_document(document: Any) -> NoiseTerms:
    """Read what ``NoiseTerms.to_document`` wrote.

    Raises:
        MalformedMessage: not such a document.
        UnsupportedMechanism: well formed, but no possible terms.
    """
    fields = Fields(document, "noise terms", ("mechanism", "placement", *PARAMETERS, "shares"))
    try:
        terms = Mechanism(fields.text("mechanism", longest=32)).terms
        placement = Placement(fields.text("placement", longest=32))
    except ValueError as cause:
        raise MalformedMessage("noise terms name an unknown mechanism or placement") from cause
    texts = {name: fields.value(name) for name in PARAMETERS}
    sizes = {name: None if text is None else fraction_from_text(text, name) for name, text in texts.items()}
    shares = fields.integer("shares", minimum=1, maximum=MAX_PARTIES)
    if any(size is not None for name, size in sizes.items() if name != terms.parameter):
        raise terms.refusal(placement)
    return terms.of(sizes[terms.parameter], placement=placement, shares=shares)
