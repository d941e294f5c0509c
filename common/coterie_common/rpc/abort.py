# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The supervisor of a call at the server: any exception inside ends it with the right status.

What is ours alone (a bug, our storage, our keys) becomes INTERNAL with the number of an incident, under which our log
has the words and the traceback.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from grpc import StatusCode

from coterie_common.errors import CoterieError, Overloaded
from coterie_common.host.incidents import Incidents
from coterie_common.protocol.reason import one_line
from coterie_common.rpc.status import CODE_KEY, INCIDENT_KEY, RETRY_KEY, STATUS


@asynccontextmanager
async def translated(context: Any, incidents: Incidents) -> AsyncIterator[None]:
    """End the call with the right status for any exception of the body.

    Args:
        context: the ``grpc.aio.ServicerContext`` of the call.
        incidents: takes internal errors.
    """
    try:
        yield
    except grpc.aio.AbortError:
        raise
    except Exception as error:  # noqa: BLE001  # the supervisor of a call: nothing leaves it untranslated
        if isinstance(error, CoterieError) and error.may_be_told:
            await _abort(context, error)
        await _abort_with_incident(context, error, incidents)


async def _abort(context: Any, error: CoterieError) -> None:
    metadata = {CODE_KEY: error.code}
    if isinstance(error, Overloaded):
        metadata[RETRY_KEY] = str(error.retry_after_s)
    await context.abort(STATUS[type(error)], one_line(error.public_message), tuple(metadata.items()))


async def _abort_with_incident(context: Any, error: Exception, incidents: Incidents) -> None:
    taken = incidents.take(error, "call")
    metadata = ((CODE_KEY, taken.code), (INCIDENT_KEY, taken.incident))
    await context.abort(StatusCode.INTERNAL, taken.public_message, metadata)
