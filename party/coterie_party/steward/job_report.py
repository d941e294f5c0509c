# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A description of a job for the steward: algorithm, data, privacy guarantee, and cost in budget.

Nothing that the job names is loaded: it is described from its public specification and terms alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any

from coterie_common.errors import CoterieError
from coterie_common.privacy.accounting.epsilon import epsilon_of
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.terms import CountTerms, JobTerms, RoundTerms
from coterie_common.shown import counted
from coterie_party.policy.booking import planned_entries
from coterie_party.policy.budget import cost_of, decimal_text
from coterie_party.policy.policy import Policy
from coterie_party.steward.ledger_report import LimitUse, limit_uses
from coterie_party.store import AskedRound, LedgerEntry, Note, PartyJob, ReservationStatus, Ruling

_VALUE_CHARACTERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """A job that was proposed to this party.

    Attributes:
        job: as it is stored.
        spec: parsed; ``None`` if it cannot be parsed, or is not kept.
        terms: parsed; ``None`` if they cannot be parsed, or are not kept.
        ruling: the steward's last word on it.
        budget: for a held job, each limit of the policy as it would stand if the job were accepted now.
        rounds: the numbers of those spent, reserved and given back.
        asked: the rounds that asked this party, in order.
        notes: why it stopped at this party, in words that never left it.
    """

    job: PartyJob
    spec: JobSpec | None
    terms: JobTerms | None
    ruling: Ruling | None
    budget: tuple[LimitUse, ...]
    rounds: dict[ReservationStatus, int]
    asked: tuple[AskedRound, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def state(self) -> str:
        """The party's decision on the job and its state, in a word or two."""
        if self.job.outcome is not None and self.job.decision is not Decision.REFUSED:
            return self.job.outcome.value if self.job.decision is Decision.ACCEPTED else "over, was held"
        if self.job.decision is Decision.ACCEPTED and self.ruling is not None and not self.ruling.is_approved:
            return "withdrawn"
        if self.job.decision is Decision.HELD and self.ruling is not None:
            return "held, approved" if self.ruling.is_approved else "held, refused"
        return self.job.decision.value

    @property
    def asks(self) -> str:
        """Algorithm and data."""
        if not self.job.spec:
            return f"not kept, on {self.job.dataset}" if self.job.dataset else "not kept"
        return "cannot be read" if self.spec is None else f"{self.spec.algorithm} on {self.spec.dataset}"

    @property
    def privacy(self) -> str:
        """The privacy guarantee that the job promises."""
        if self.spec is None:
            return "-"
        goal = self.spec.privacy
        if goal.placement is Placement.NONE:
            return "no differential privacy"
        delta = "" if goal.delta == 0 else f", δ = {goal.delta_text}"
        return f"ε = {goal.epsilon_text}{delta} per {goal.unit.value}"

    @property
    def reason(self) -> str:
        """The reason for which the party does not take part, or not yet."""
        return f"{self.job.detail} [{self.job.code}]" if self.job.code else self.job.detail

    @property
    def would_leave(self) -> str:
        """The part that a held job would leave of the limit that it comes closest to."""
        if not self.budget:
            return "-"
        closest = min(self.budget, key=lambda use: use.left)
        if not _fits(closest):
            return f"nothing: over the limit for {closest.words}"
        return f"{100 * closest.left:.1f} % of the limit for {closest.words}"

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield everything about the job as name and value."""
        job = self.job
        yield "job", job.job_id
        yield "state", self.state
        if self.reason:
            yield "because", self.reason
        for note in self.notes:
            where = f"round {note.round_number}: " if note.round_number else ""
            yield "for you alone", f"{where}{note.detail} [{note.code}]"
        if self.ruling is not None:
            word = "approved" if self.ruling.is_approved else "refused"
            said = f": {self.ruling.reason}" if self.ruling.reason else ""
            yield "steward", f"{word} it on {self.ruling.said_at.astimezone():%Y-%m-%d %H:%M}{said}"
        if job.proposed_at is not None:
            yield "proposed", f"{job.proposed_at.astimezone():%Y-%m-%d %H:%M} by the aggregator, which signed it"
        yield "asks", self.asks
        if self.spec is not None:
            yield from self._asked(self.spec)
        if self.terms is not None:
            for words, count, first in _alike(self.terms.rounds):
                yield _rounds(first, count), words
        if self.terms is not None and self.spec is not None:
            yield "spare rounds", _spare_words(self.terms, self.spec)
        is_divided = self.spec is None or self.spec.privacy.placement is Placement.DISTRIBUTED
        for words in _asked_words(self.asked, is_divided=is_divided):
            yield "asked", words
        spent, reserved = self.rounds[ReservationStatus.COMMITTED], self.rounds[ReservationStatus.RESERVED]
        if spent or reserved:
            yield "ledger", f"{counted(spent, 'round')} spent, {reserved} reserved"
        for use in self.budget:
            budget = use.limit.budget
            after = "∞" if math.isinf(use.epsilon) else f"{use.epsilon:.4g}"
            yield (
                f"budget for {use.words}",
                f"with this job ε = {after} of {decimal_text(budget.epsilon)} at δ = {decimal_text(budget.delta)}: "
                + (f"{100 * use.left:.1f} % would be left" if _fits(use) else "it does not fit"),
            )
        yield "specification", job.spec_digest.hex()

    def to_document(self) -> dict[str, Any]:
        """Return JSON values."""
        job = self.job
        return {
            "job_id": job.job_id,
            "state": self.state,
            "decision": job.decision.value,
            "code": job.code,
            "detail": job.detail,
            "outcome": None if job.outcome is None else job.outcome.value,
            "dataset": job.dataset,
            "proposed_at": None if job.proposed_at is None else job.proposed_at.isoformat(),
            "decided_at": None if job.decided_at is None else job.decided_at.isoformat(),
            "ruling": None if self.ruling is None else "approved" if self.ruling.is_approved else "refused",
            "specification": None if self.spec is None else self.spec.to_document(),
            "specification_digest": job.spec_digest.hex(),
            "rounds": None if self.terms is None else [terms.to_document() for terms in self.terms.rounds],
            "spare_rounds": None if self.terms is None else self.terms.spares.rounds,
            "asked": [
                {
                    "round": each.number,
                    "step": each.step,
                    "is_spare": each.is_spare,
                    "cohort": each.cohort,
                    "quorum": each.quorum,
                }
                for each in self.asked
            ],
            "cost": job.cost,
            "budget": [use.to_document() for use in self.budget],
            "notes": [
                {"round": note.round_number, "code": note.code, "detail": note.detail, "at": note.noted_at.isoformat()}
                for note in self.notes
            ],
        }

    def _asked(self, spec: JobSpec) -> Iterator[tuple[str, str]]:
        for name, value in spec.config.items():
            yield f"  {name}", _short(value)
        columns = spec.schema.get("columns")
        if isinstance(columns, list):
            tables = [column for column in columns if isinstance(column, dict)]
            yield "columns", _short(", ".join(str(column.get("name", column.get("names"))) for column in tables))
        yield "privacy", self.privacy
        goal = spec.privacy
        if goal.placement is not Placement.NONE:
            yield "noise", f"{goal.mechanism.value}, {goal.placement.value}"
        if spec.is_complete:
            yield "sealing", "complete: this party checks each query, and nothing after its reply"
        if spec.rounds.quorum is not None:
            yield "quorum", f"a sum holds at least {spec.rounds.quorum} replies"


def describe(
    job: PartyJob,
    ruling: Ruling | None,
    entries: Sequence[LedgerEntry],
    policy: Policy | None,
    now: datetime,
    notes: tuple[Note, ...] = (),
    asked: tuple[AskedRound, ...] = (),
) -> JobReport:
    """Describe a job.

    Args:
        job: as it is stored.
        ruling: the steward's last word on it.
        entries: the ledger of its data set.
        policy: in force; ``None`` if it cannot be read.
        now: the current time.
        notes: on it, for the steward.
        asked: its rounds that asked this party.
    """
    mine = [entry for entry in entries if entry.job_id == job.job_id]
    try:
        spec: JobSpec | None = JobSpec.from_bytes(job.spec)
    except CoterieError:
        # It was refused, for that or for something else.
        spec = None
    try:
        terms: JobTerms | None = JobTerms.from_bytes(job.terms)
    except CoterieError:
        terms = None
    budget: tuple[LimitUse, ...] = ()
    if job.decision is Decision.HELD and job.outcome is None and job.cost is not None and policy is not None:
        planned = planned_entries(job.cost)
        unit = cost_of(planned[0]).unit
        alike = [entry for entry in entries if cost_of(entry).unit is unit]
        exact = None if terms is None else partial(epsilon_of, terms.events)
        budget = tuple(
            use
            for limit in policy.limits(job.dataset)
            for use in limit_uses(limit, alike, now, more=planned, exact=exact)
        )
    return JobReport(
        job=job,
        spec=spec,
        terms=terms,
        ruling=ruling,
        budget=budget,
        rounds={status: sum(entry.status is status for entry in mine) for status in ReservationStatus},
        asked=asked,
        notes=notes,
    )


def _spare_words(terms: JobTerms, spec: JobSpec) -> str:
    """Return how many rounds may be asked again, and what that adds to the cost of the steps."""
    if not terms.spares.rounds:
        return "none"
    words = f"up to {terms.spares.rounds} rounds may be asked again, each charged as the step that it repeats"
    if spec.privacy.placement is Placement.NONE:
        return words
    delta = spec.privacy.exact_delta
    try:
        alone, all_in_all = epsilon_of([each.event for each in terms.rounds], delta), epsilon_of(terms.events, delta)
    except CoterieError:
        return words
    return f"{words}; with them ε = {all_in_all:.4g}, without them {alone:.4g}"


def _asked_words(asked: Sequence[AskedRound], *, is_divided: bool) -> Iterator[str]:
    """Yield, for each run of consecutive rounds that are alike, the replies they need, which divide shared noise."""
    needs = "noise divided for" if is_divided else "needs"

    def alike(placed: tuple[int, AskedRound]) -> tuple[str, int]:
        place, each = placed
        divided = "" if each.quorum is None else f", {needs} {each.quorum} replies or more"
        again = f"step {each.step} again, in a spare round; " if each.is_spare else ""
        # Rounds whose numbers follow one another differ from their place by the same number.
        return f"{again}{counted(each.cohort, 'party')} asked{divided}", each.number - place

    for (words, _), group in groupby(enumerate(asked), alike):
        numbers = [each.number for _, each in group]
        yield f"{_rounds(numbers[0], len(numbers))}: {words}"


def _rounds(first: int, count: int) -> str:
    return f"round {first}" if count == 1 else f"rounds {first}-{first + count - 1}"


def _fits(use: LimitUse) -> bool:
    return use.spent + use.reserved <= 1


def _alike(rounds: Sequence[RoundTerms]) -> Iterator[tuple[str, int, int]]:
    """Yield, for each run of consecutive equal rounds, their description, their count and the first one's number."""
    first = 1
    for words, group in groupby(map(_round_words, rounds)):
        count = sum(1 for _ in group)
        yield words, count, first
        first += count


def _round_words(terms: RoundTerms) -> str:
    values, unit, encoding = terms.values, terms.unit.value, terms.encoding
    if isinstance(values, CountTerms):
        asked = (
            f"sums of at most {encoding.length} counts; a {unit} changes {values.l0} of them by {values.linf} at most"
        )
    else:
        sampled, norm = values.sampling_rate, float(values.encoding.clip_norm)
        rate = "" if sampled is None else f"; each record takes part with probability {float(sampled):.4g}"
        asked = f"a sum of vectors of {encoding.length} numbers, one per {unit}, none longer than {norm:.6g}{rate}"
    if terms.noise.placement is Placement.NONE:
        return f"{asked}; no noise"
    # The guaranteed noise, regardless of the number of shares that a query divides it into.
    shares = terms.noise.shares if terms.noise.placement is Placement.DISTRIBUTED else 1
    stddev = terms.noise.aggregate_stddev(shares) / 2.0**encoding.scale_bits
    return f"{asked}; noise of standard deviation {stddev:.4g} or more"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    printable = "".join(character if character.isprintable() else " " for character in text[: _VALUE_CHARACTERS + 1])
    return printable if len(printable) <= _VALUE_CHARACTERS else printable[: _VALUE_CHARACTERS - 1] + "…"
