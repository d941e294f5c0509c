# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's tables, as the newest revision in ``migrations`` leaves them.

Rows are only ever added. Two facts are filled in later, once each: the end of a job and the result of a released round.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Integer, LargeBinary, MetaData, String, Table

from coterie_common.host.database import Instant

METADATA = MetaData()

JOBS = Table(
    "jobs",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(64), nullable=False, unique=True),
    Column("proposal", LargeBinary, nullable=False),
    Column("submitter", String(64), nullable=False),
    Column("submitted_at", Instant, nullable=False),
    Column("ended_at", Instant),
)

JOB_EVENTS = Table(
    "job_events",
    METADATA,
    Column("job_id", String(64), ForeignKey("jobs.job_id"), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(64), nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
)

ROUNDS = Table(
    "rounds",
    METADATA,
    Column("job_id", String(64), ForeignKey("jobs.job_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("query", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("transcript_digest", LargeBinary),
    Column("next_state", LargeBinary),
    Column("finished_at", Instant),
    Column("quorum", Integer),
)

ROUND_EVENTS = Table(
    "round_events",
    METADATA,
    Column("job_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(64), nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    ForeignKeyConstraint(["job_id", "number"], ["rounds.job_id", "rounds.number"]),
)

MODELS = Table(
    "models",
    METADATA,
    Column("job_id", String(64), ForeignKey("jobs.job_id"), primary_key=True),
    Column("model", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("stored_at", Instant, nullable=False),
)
