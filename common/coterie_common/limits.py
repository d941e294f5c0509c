# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every limit on input from outside, each with its reason.

This file determines the memory that one peer can make us hold. The aggregator holds of one party at most
``PARTY_TRANSFER_BYTES`` being assembled, a few frames for each of ``HELLOS_AT_ONCE`` streams before Hello, the unread
data that flow control lets each of its ``MAX_CALLS`` calls send, and ``QUEUED_MESSAGES`` parsed messages waiting to be
sent, which share their model; of one person a frame for each call, and ``MAX_FETCHES`` models. A party holds
``TRANSFER_BYTES`` being assembled and once more while they are parsed. The memory for a message's bytes, a JSON text or
a schema is counted before any of it is allocated: none takes more than a few times its size. Content (the padded parts
of replies) is never in memory as a whole: a stream holds three frames of it at most, one that gRPC has read ahead, one
being hashed, one being written; and the round that asked for it bounds its size on disk.
"""

from __future__ import annotations

from typing import Final

CONFIG_FILE_BYTES: Final = 1 << 20
"""A configuration is written by a person; a megabyte is a mistake."""

KEY_FILE_BYTES: Final = 1 << 20
"""Rosters, bundles, certificates and key files hold a few numbers per member: 200 members × 4096 bits × s + 1 fit."""

MAX_PARTIES: Final = 200
"""Δ = k! enters exponents: for 200 key holders it has 1,246 bits, and combining partial decryptions grows with it."""

MIN_PARTIES: Final = 3
"""With two, each learns the other's reply by subtracting its own."""

MAX_HOST_NAMES: Final = 16
"""Host names and addresses of the aggregator's certificate."""

ADMISSIONS_BYTES: Final = 64 << 20
"""The founder's own record of everybody admitted, some 4 KB each."""

INVITATION_BYTES: Final = 512
"""Three names, an address and four keys and signatures: at most 467 bytes."""

APPLICATION_BYTES: Final = 16 << 10
"""A request of an aggregator with the most and longest host names takes 6 KB, its invitation 1 KB in hexadecimal."""

KEY_BITS: Final = (2048, 3072, 4096)
"""Moduli that a federation may use: about 112, 128 and 152 bits of security."""

FRAME_BYTES: Final = 1 << 20
"""One frame of a transfer; measured best throughput over mutual TLS, and small enough for flow control to work."""

FRAME_MESSAGE_BYTES: Final = FRAME_BYTES + 4096
"""gRPC's limit for one stream message: a frame and its header."""

TRANSFER_BYTES: Final = 520 << 20
"""One assembled message, by a party only: a query or delivery with the largest model, and its other fields. (A
decryption request of 100 parties × 1,000 ciphertexts at 4096 bits is 100 MiB.)"""

QUEUED_MESSAGES: Final = 64
"""Messages waiting for one stream; more means the peer does not read."""

PARTY_TRANSFER_BYTES: Final = 16 << 20
"""One assembled message of a party: 1,000 ciphertexts at 4096 bits and s = 7 take 4 MiB; 200 parties 3 GiB at worst."""

PADDED_PART_BYTES: Final = 4 << 30
"""Content after one message: four bytes for each of 10⁹ values. It goes to disk; its exact length follows from the
terms of its round, and is compared before anything is kept."""

CHECKPOINT_BYTES: Final = 64 << 20
"""Padded parts that are in a running sum, and not in its checkpoint, may take so much of the aggregator's disk: short
vectors need no checkpoint at all, and of long ones few parts are there at a time, however many parties there are."""

CIPHERTEXT_BYTES: Final = 4096
"""One ciphertext of the largest key at s = 7; the exact length is the key's and is checked against it."""

PROOF_BYTES: Final = 16 << 10
"""A proof holds at most three numbers of the size of a ciphertext, and their challenges."""

QUERY_BODY_BYTES: Final = 512 << 20
"""The ask of a round, which carries at most a model."""

CODE_CHARACTERS: Final = 64
"""An error code on the wire."""

REASON_CHARACTERS: Final = 500
"""Text for a person on the wire: a line in a log, and 200 of them in one job's status stay under a frame."""

HANDSHAKE_SECONDS: Final = 20.0
"""From opening a stream to Hello, and from Hello to Welcome; also for connecting at all."""

KEEPALIVE_SECONDS: Final = 30.0
"""Between pings on a quiet connection: shorter than the idle limits of common firewalls."""

KEEPALIVE_TIMEOUT_SECONDS: Final = 15.0
"""A ping unanswered for this time means that the connection is dead."""

CALL_SECONDS: Final = 30.0
"""A unary call of the operator API: all of them only read or write the aggregator's database."""

SESSION_SECONDS: Final = 300.0
"""One session at the enrolment port: the founder's publishes 200 bundles."""

APPLICANT_SECONDS: Final = 60.0
"""One session of an applicant, which takes a second; after that it begins another."""

DESK_SESSIONS: Final = 64
"""Sessions at the enrolment port at once, of everybody together: anyone may open one, and each holds one message."""

DESK_SESSIONS_PER_HOST: Final = 16
"""Sessions at the enrolment port at once of one address: many parties may come through one proxy."""

MAX_GUESSES: Final = 600
"""Applications and orders that prove nothing, of everybody together, in ``GUESSING_SECONDS``: each costs the check of
some signatures, all of them a second of a processor. A guess succeeds with probability 2^-128."""

MAX_GUESSES_PER_HOST: Final = 20
"""The same of one address; whoever mistypes is not locked out."""

GUESSING_SECONDS: Final = 60.0
"""Time in which guesses are counted, and for which further ones are refused."""

GUESSING_HOSTS: Final = 4096
"""Addresses whose guesses are remembered, some 200 bytes each."""

MAX_APPLICATIONS: Final = 1000
"""Applications that an aggregator keeps, of 16 KiB at most, with a credential and a bundle of 1 MiB at most for each.
Only owners of the founder's tokens can hand one in, and two for each token are kept."""

MAX_PUBLISHED: Final = 2
"""Documents that are published for one application: a credential and a bundle."""

APPLICATION_DAYS: Final = 90
"""Days after the end of its invitation in which an application, and what was published for it, is kept."""

MAX_CALLS: Final = 32
"""Concurrent calls of any kind of one certificate: a party needs its stream, a person watches a few jobs."""

MAX_PEOPLE_CALLS: Final = 400
"""Concurrent calls of all operators and scientists together; the rest is reserved for the parties."""

MAX_SCIENTISTS_CALLS: Final = MAX_PEOPLE_CALLS - 2 * MAX_CALLS
"""Concurrent calls of all scientists together; the rest is reserved for the operators, who must be able to act."""

MAX_SERVER_CALLS: Final = MAX_PARTIES * MAX_CALLS + MAX_PEOPLE_CALLS
"""Concurrent calls at the aggregator, before their callers are known: the total of all members."""

MAX_CONNECTION_CALLS: Final = 2 * MAX_CALLS
"""Concurrent calls on one connection; more wait at their sender. Twice as many, so that excess calls are refused."""

MAX_FETCHES: Final = 2
"""Models that one certificate fetches at once: each is held in memory while it is sent."""

SUBMISSIONS_AT_ONCE: Final = 4
"""Submissions of one certificate at once: to plan a job may take seconds of a processor."""

CALLS_RETRY_SECONDS: Final = 5.0
"""A caller that had too many calls open may try again after this time."""

HELLO_BYTES: Final = 200
"""The first transfer of a stream: two numbers, an id and a digest take some 90."""

HELLOS_AT_ONCE: Final = 4
"""Streams of one party that are read before Hello at once; flow control holds up the others. One that is half dead, and
is waited for until the handshake's time is over, does not hold up the next."""

LINGER_SECONDS: Final = 1.0
"""If a first transfer is too long, its sender is read on for this time after each frame, keeping nothing, so that it
reads the reason of the refusal before its writes fail; and never longer than the handshake."""

METADATA_BYTES: Final = 8 << 10
"""Metadata of a call, either way: ours are a code, a number and a line of ``REASON_CHARACTERS``, percent-encoded."""

BACKOFF_FIRST_SECONDS: Final = 0.5
"""Pause before the second attempt to reach the aggregator; doubles from there, with jitter."""

MAX_BACKOFF_SECONDS: Final = 30.0
"""Longest pause: an aggregator that is back sees all its parties within this time."""

BACKOFF_REFUSED_SECONDS: Final = 300.0
"""Pause after the aggregator refused a party's identity: only a person can repair that."""

SHUTDOWN_SECONDS: Final = 5.0
"""Time for open calls to finish when the aggregator stops."""

MAX_CIPHERTEXTS: Final = 1000
"""Ciphertexts of one directly sealed reply; longer vectors need a pad."""

MAX_MASKED_VALUES: Final = 2048
"""Values that complete sealing masks directly, modulo 2^64: 16 KiB, twice what the masked key of a pad takes."""

MASKED_PART_BYTES: Final = 8 * MAX_MASKED_VALUES
"""The masked part of one reply; its exact length follows from the terms."""

MAX_COMPLETE_COHORT: Final = 64
"""Parties of a job that is sealed completely: each shares a secret with every other, and one that is away stops a
round."""

MAX_ROUNDS: Final = 10_000
"""Rounds that one job may plan."""

MAX_SPARE_ROUNDS: Final = 1_000
"""Further rounds of one job, in which steps of its plan are asked again: twice what the longest job has by default."""

MAX_ROUND_NUMBER: Final = MAX_ROUNDS + MAX_SPARE_ROUNDS
"""Every round has a number of its own, also one that is abandoned."""

MAX_LEDGER_LINES: Final = 2 * MAX_ROUNDS + MAX_SPARE_ROUNDS
"""Lines of one job: its steps, its spare rounds, and at most one more for each kind of step."""

JOB_SPEC_BYTES: Final = 1 << 20
"""A job specification with its schema."""

MODEL_BYTES: Final = 512 << 20
"""A delivered model: 100 million float32 weights are 382 MiB; the schema of the largest job is far below the rest."""

STATE_BYTES: Final = 4 * MODEL_BYTES
"""The state of an algorithm between rounds: a model, and its optimiser's memory of every number."""

JOB_TERMS_BYTES: Final = 8 << 20
"""Terms take some 400 bytes a round, and a job has at most ``MAX_ROUNDS``."""

ROUND_TERMS_BYTES: Final = 16 << 10
"""Terms of one round: some 400 bytes, and room for fractions of thousands of digits."""

MAX_DOCUMENT_DEPTH: Final = 64
"""Depth of nested objects and lists in any JSON text; ours need ten."""

MAX_DOCUMENT_PARTS: Final = 1 << 23
"""Texts, lists and objects of one JSON text: the largest tree takes some two million, and eight million take a GiB."""

MAX_DOCUMENT_VALUES: Final = 1 << 25
"""Values of one JSON text: histograms of the largest schema have 20 million cells; that many numbers take a GiB."""

MAX_SCHEMA_COLUMNS: Final = 2_000
"""Columns of a data schema; a job specification with their names and levels must stay under ``JOB_SPEC_BYTES``."""

MAX_SCHEMA_LEVELS: Final = 1 << 19
"""Levels of all columns together: twice what ``JOB_SPEC_BYTES`` can hold, for one list may stand for many columns."""

MAX_COLUMN_CELLS: Final = 10_000
"""Levels or bins of one column: each becomes a value of a sealed vector, times the classes."""

MAX_RECORDS: Final = 10**9
"""Records that one party may declare: sums of 200 parties stay far below 2^63 even in fine integer units."""

MAX_TREE_NODES: Final = 10_000
"""Open nodes per level of a decision tree; each is asked for every remaining feature, value and class."""

AUDIT_DETAILS_BYTES: Final = 96 << 10
"""Details of one entry of the audit record: of the most parties the ids, twice, and their contributions (256 digits);
the terms of the round, some digests, one line of words."""

AUDIT_TOLD_BYTES: Final = 16 << 10
"""The part of a refused message that its entry quotes: the whole of it in federations of some 40 parties."""

AUDIT_LEDGER_BYTES: Final = 24 << 10
"""Lines of the privacy ledger in one entry of the audit record; more go into further entries."""

AUDIT_EXPORT_BYTES: Final = 512 << 20
"""An exported audit record: half a million entries; it is read into memory whole."""

AUDIT_EXPORT_PARTS: Final = AUDIT_EXPORT_BYTES // 12
"""Texts, lists and objects of an exported record: an entry about a large cohort takes 15 bytes for each."""

AUDIT_REFUSALS_LISTED: Final = 200
"""Refusals that a party lists one by one at a time: a flood of nonsense must not fill its disk."""

AUDIT_REFUSAL_SECONDS: Final = 10.0
"""Time after which another refusal is listed: 9,000 entries in a day of flooding, some 10 MB, 150 MB with quotes of
maximum length."""

MAX_PARTY_OPEN_JOBS: Final = 200
"""Jobs that a party holds, or takes part in, at a time, twice what an aggregator runs: each keeps a specification and
terms of up to 9 MiB on its disk, 1.8 GiB in all."""

ACCEPTED_JOBS_BYTES: Final = 64 << 20
"""Specifications and terms of jobs that a party keeps in memory, where they take almost three times as much once they
are parsed: 40 jobs of 5,000 rounds, or all ordinary ones. Of further jobs those are parsed again whose turn comes."""

MAX_PARTY_UNASKED_JOBS: Final = 200
"""Jobs of one day that ended before they asked this party anything. They cost no budget, so nothing else limits the
number that an aggregator can have accepted and end; each leaves digests, an entry in the record, and its lines in the
ledger."""

MAX_REFUSED_JOBS: Final = 1000
"""Refused jobs whose digests a party remembers, some 2 KB each; the oldest are forgotten first."""

MAX_WORK: Final = 64
"""Pieces of work on rounds that a party has begun at a time: more than an honest aggregator's jobs have rounds."""

WORK_BYTES: Final = 2 * TRANSFER_BYTES
"""Messages that a party is working on, in all: the largest query and the largest decryption request, or many small
ones."""

QUERIES_WAITING_BYTES: Final = TRANSFER_BYTES
"""Queries that wait in memory for a party's hours: one of the largest, or many small ones."""

MAX_OPEN_JOBS: Final = 100
"""Jobs of an aggregator that have not ended, of all people together: each has a state of its algorithm in memory, and
every party is asked about it."""

OPEN_JOBS_PER_PERSON: Final = 25
"""The same for one person, so that it takes four to occupy all places."""

SUBMISSIONS_PER_PERSON: Final = 200
"""Jobs that one person may submit in any 24 hours, ended or not: their specifications and terms stay in the
aggregator's database, 9 MiB each at most."""

MAX_HELD_REPLIES: Final = 100
"""Different reasons with which one party may hold one job, per start of the aggregator: each is a stored event."""
