# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The training process's side: holds the records of one job, computes the vectors of one ask after the other.

An error raised by the algorithm or a user's network becomes a message in the party's own log; it ends the round, not
the process.
"""

from __future__ import annotations

import tempfile
import traceback
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from coterie_common import arrays, document
from coterie_common.errors import CoterieError, TrainingFailed
from coterie_common.learning.algorithm import Ask, Float32, get_algorithm
from coterie_common.learning.contribution import computed_vectors
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema, parse_schema
from coterie_common.learning.plan import Records
from coterie_party.training.confinement import Confinement
from coterie_party.training.frames import Channel, ChannelClosed, Kind

ROWS_BYTES: Final = 32 << 20
"""Rows of one frame, unless a single row is longer."""

MAX_WORDS: Final = 2_000
_MAX_BYTES: Final = 1 << 62


def serve(channel: Channel, confinement: Confinement) -> None:
    """Answer the party until it closes the channel."""
    # Nothing can be written anyway; libraries that want to know a folder for temporary files get an answer.
    tempfile.tempdir = "/"
    channel.send(Kind.STARTED, document.encode(asdict(confinement)))
    try:
        _, content = channel.receive()
        job = document.decode(content, "the job", maximum=_MAX_BYTES)
        schema, algorithm = parse_schema(job["schema"]), get_algorithm(job["algorithm"])
        datasets: dict[Records, Dataset] = {}
        while True:
            kind, content = channel.receive()
            if kind is Kind.DATA:
                records, dataset = decode_dataset(content, schema)
                datasets[records] = dataset
            else:
                _, body = channel.receive()
                _answer(channel, algorithm, datasets, content, body)
    except ChannelClosed:
        return  # the party is done, or gone


def encode_dataset(records: Records, dataset: Dataset) -> bytes:
    """Return the content of a DATA frame."""
    columns = {
        name: values.astype(np.int64) if values.dtype == np.int32 else values
        for name, values in dataset.columns.items()
    }
    return arrays.encode({"records": records.value, "rows": dataset.rows}, columns)


def decode_dataset(content: bytes, schema: Schema) -> tuple[Records, Dataset]:
    """Return the records of a DATA frame."""
    what, stored = arrays.decode(content, "the records", maximum=_MAX_BYTES)
    columns = {name: stored[name].astype(column.dtype) for name, column in schema.by_name.items()}
    return Records(what["records"]), Dataset(schema, columns, what["rows"])


def _answer(channel: Channel, algorithm: Any, datasets: dict[Records, Dataset], content: bytes, body: bytes) -> None:
    try:
        what, stored = arrays.decode(content, "the ask", maximum=_MAX_BYTES)
        ask = Ask.from_bytes(what["round_number"], body, maximum=_MAX_BYTES)
        dataset = datasets[Records(what["records"])]
        is_chosen = np.zeros(dataset.rows, np.bool_)
        is_chosen[stored["rows"]] = True
        for rows in computed_vectors(algorithm, ask, dataset.select(is_chosen)):
            _send_rows(channel, rows, ask.length)
    except ChannelClosed:
        raise
    except TrainingFailed as error:
        _fail(channel, error.code, error.message)
    except CoterieError as error:
        _fail(channel, TrainingFailed.code, str(error))
    except MemoryError:
        _fail(channel, TrainingFailed.code, "the memory that the party allows is used up")
    except Exception as failure:  # noqa: BLE001  # a supervisor: networks and algorithms are other people's code
        place = traceback.extract_tb(failure.__traceback__)[-1]
        _fail(channel, TrainingFailed.code, f"{type(failure).__name__} at {place.name}:{place.lineno}: {failure}")
    else:
        channel.send(Kind.DONE)


def _send_rows(channel: Channel, rows: Float32, length: int) -> None:
    size = max(1, ROWS_BYTES // (4 * length))
    for start in range(0, len(rows), size):
        part = np.ascontiguousarray(rows[start : start + size])
        channel.send(Kind.ROWS, part.reshape(-1).view(np.uint8).data)


def _fail(channel: Channel, code: str, words: str) -> None:
    channel.send(Kind.FAILED, document.encode({"code": code, "words": words[:MAX_WORDS]}))
