# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The supervisor of a call at the server: whatever goes wrong inside ends it with the right status.

What is ours alone (a bug, our storage, our keys) becomes INTERNAL with a random incident id; its words stay in our log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import structlog
from grpc import StatusCode

from coterie_common.errors import CoterieError, InternalError, Overloaded
from coterie_common.protocol.reason import one_line
from coterie_common.randomness import RandomSource
from coterie_common.rpc.status import CODE_KEY, INCIDENT_KEY, RETRY_KEY, STATUS


def is_ours_alone(error: BaseException) -> bool:
    """Tell whether the other side must not see the words of ``error``."""
    return not (isinstance(error, CoterieError) and error.may_be_told)


@asynccontextmanager
async def translated(context: Any, random: RandomSource) -> AsyncIterator[None]:
    """End the call with the right status for whatever the body raises.

    Args:
        context: the ``grpc.aio.ServicerContext`` of the call.
        random: for incident ids.
    """
    try:
        yield
    except grpc.aio.AbortError:
        raise
    except Exception as error:  # noqa: BLE001  # the supervisor of a call: nothing leaves it untranslated
        if isinstance(error, CoterieError) and not is_ours_alone(error):
            await _abort(context, error)
        await _abort_with_incident(context, error, random)


async def _abort(context: Any, error: CoterieError) -> None:
    metadata = {CODE_KEY: error.code}
    if isinstance(error, Overloaded):
        metadata[RETRY_KEY] = str(error.retry_after_s)
    await context.abort(STATUS[type(error)], one_line(error.message), tuple(metadata.items()))


async def _abort_with_incident(context: Any, error: Exception, random: RandomSource) -> None:
    incident = random.token_bytes(8).hex()
    structlog.get_logger(__name__).error("call failed", incident=incident, exc_info=error)
    metadata = ((CODE_KEY, InternalError.code), (INCIDENT_KEY, incident))
    await context.abort(StatusCode.INTERNAL, f"internal error, incident {incident}", metadata)
