# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's tables, as the newest revision in ``migrations`` leaves them.

Everything that a party may do only once is the primary key of a row that is inserted and never updated:
``acceptances`` (the query), ``replies`` (what was sent), ``transcripts`` (what was opened). Rows are never deleted;
the bytes of replies may be.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from coterie_common.host.database import Instant

METADATA = MetaData()

_JOB = ("founder", "job_id")
_ROUND = ("founder", "job_id", "number")


def _key() -> tuple[Column[str], Column[str], Column[int]]:
    """Return the columns of the key under which everything about a round is kept."""
    return (
        Column("founder", String(128), primary_key=True),
        Column("job_id", String(64), primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
    )


JOBS = Table(
    "jobs",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("founder", String(128), nullable=False),
    Column("job_id", String(64), nullable=False),
    Column("spec", LargeBinary, nullable=False),
    Column("terms", LargeBinary, nullable=False),
    Column("spec_digest", LargeBinary, nullable=False),
    Column("terms_digest", LargeBinary, nullable=False),
    Column("decision", String(16), nullable=False),
    Column("code", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("dataset", String(64), nullable=False),
    Column("outcome", String(16)),
    # What the whole job costs, if that was found out, also if it was not accepted.
    Column("cost", LargeBinary),
    Column("proposed_at", Instant),
    Column("decided_at", Instant),
    UniqueConstraint(*_JOB),
)

LEDGER = Table(
    "ledger",
    METADATA,
    *_key(),
    Column("dataset", String(64), nullable=False),
    Column("cost", LargeBinary, nullable=False),
    Column("status", String(16), nullable=False),
    # What was released, from which the cost follows; lines of older versions do not have it.
    Column("event", LargeBinary),
    Column("reserved_at", Instant),
    # When it was committed or given back.
    Column("settled_at", Instant),
    # Which records were counted, and how they were divided then.
    Column("records", String(16), nullable=False, server_default="all"),
    Column("division", String(64), nullable=False, server_default=""),
    ForeignKeyConstraint(_JOB, ["jobs.founder", "jobs.job_id"]),
    Index("ledger_of_dataset", "dataset"),
)

# Lines of other ledgers over the same records, such as that of a machine that was lost; never changed.
CARRIED = Table(
    "carried",
    METADATA,
    *_key(),
    # Distinguishes a job from one of the same name that was accepted at another time; empty where that is not known.
    Column("accepted", String(40), primary_key=True),
    Column("dataset", String(64), nullable=False),
    Column("cost", LargeBinary, nullable=False),
    Column("status", String(16), nullable=False),
    Column("event", LargeBinary),
    Column("reserved_at", Instant),
    Column("settled_at", Instant),
    Column("records", String(16), nullable=False),
    Column("division", String(64), nullable=False),
    Index("carried_of_dataset", "dataset"),
)

# The steward's decisions on single jobs; the latest one counts.
RULINGS = Table(
    "rulings",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("founder", String(128), nullable=False),
    Column("job_id", String(64), nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("said_at", Instant, nullable=False),
    ForeignKeyConstraint(_JOB, ["jobs.founder", "jobs.job_id"]),
    Index("rulings_on_job", "founder", "job_id"),
)

ACCEPTANCES = Table(
    "acceptances",
    METADATA,
    *_key(),
    Column("session_id", LargeBinary, nullable=False),
    Column("cohort", LargeBinary, nullable=False),
    # No query is accepted that nothing was reserved for.
    ForeignKeyConstraint(_ROUND, ["ledger.founder", "ledger.job_id", "ledger.number"]),
)

# The step of the plan that a round asked, and the line of the ledger that it was charged to: the step's own line for
# the first answer to the step, a spare one for every further answer.
ASKED_STEPS = Table(
    "asked_steps",
    METADATA,
    *_key(),
    Column("step", Integer, nullable=False),
    Column("line", Integer, nullable=False),
    UniqueConstraint("founder", "job_id", "line"),
    ForeignKeyConstraint(_ROUND, ["acceptances.founder", "acceptances.job_id", "acceptances.number"]),
    ForeignKeyConstraint(("founder", "job_id", "line"), ["ledger.founder", "ledger.job_id", "ledger.number"]),
)

REPLIES = Table(
    "replies",
    METADATA,
    *_key(),
    Column("digest", LargeBinary, nullable=False),
    Column("data", LargeBinary),
    ForeignKeyConstraint(_ROUND, ["acceptances.founder", "acceptances.job_id", "acceptances.number"]),
)

# Refers to nothing: a party helps to open sums of jobs that it does not take part in.
TRANSCRIPTS = Table(
    "transcripts",
    METADATA,
    *_key(),
    Column("session_id", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("total", LargeBinary, nullable=False),
    Column("contributors", Integer, nullable=False),
    Column("step", Integer, nullable=False),
)

PARTIALS = Table(
    "partials",
    METADATA,
    *_key(),
    Column("data", LargeBinary, nullable=False),
    ForeignKeyConstraint(_ROUND, ["transcripts.founder", "transcripts.job_id", "transcripts.number"]),
)

SALTS = Table(
    "salts",
    METADATA,
    Column("dataset", String(64), primary_key=True),
    Column("salt", LargeBinary, nullable=False),
)

# Which file the sides of records were drawn for: another one gets another generation.
DATA_VERSIONS = Table(
    "data_versions",
    METADATA,
    Column("dataset", String(64), primary_key=True),
    Column("generation", String(64), nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)

# Only appended to, in the transaction of the act that an entry records.
AUDIT = Table(
    "audit",
    METADATA,
    Column("founder", String(128), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("time", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("job_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("details", LargeBinary, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Index("audit_of_job", "founder", "job_id", "kind"),
)

# For the steward alone: they quote the party's data.
NOTES = Table(
    "notes",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("founder", String(128), nullable=False),
    Column("job_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("code", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("noted_at", Instant, nullable=False),
    UniqueConstraint("founder", "job_id", "number"),
)
