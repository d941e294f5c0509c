# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The calls that people may make: on parties, jobs and models. One table holds the permissions of each role.

This is the shell: it checks the caller's role and the form of the request; the ``OperatorHandler`` does the rest. The
gate has already decided who may call at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Protocol

import structlog

from coterie_common.crypto.certificates import Identity, Role
from coterie_common.errors import PermissionDenied
from coterie_common.identifiers import JobId
from coterie_common.protocol.progress import JobRequest, JobStatus, ModelInfo, PartyStatus
from coterie_common.rpc.credentials import peer_of
from coterie_common.rpc.stream import write_transfer
from coterie_common.wire import operator as wire
from coterie_common.wire.pb import operator_pb2 as pb
from coterie_common.wire.pb import operator_pb2_grpc

log = structlog.get_logger(__name__)

_ANYBODY: Final = frozenset({Role.OPERATOR, Role.SCIENTIST})

ALLOWED: Final[dict[str, frozenset[Role]]] = {
    "ListParties": _ANYBODY,
    "SubmitJob": _ANYBODY,
    "ListJobs": _ANYBODY,
    "WatchJob": _ANYBODY,
    "CancelJob": _ANYBODY,
    "ListModels": _ANYBODY,
    "FetchModel": _ANYBODY,
}
"""The roles that may make each call; parties may make none. The handler lets scientists cancel only their own jobs."""


class OperatorHandler(Protocol):
    """The coordinator's interface for this service. Calls may be cancelled while they wait; they must not block."""

    async def parties(self) -> Sequence[PartyStatus]:
        """Return every party of the roster, in its order."""
        ...

    async def submit(self, request: JobRequest, submitter: Identity) -> JobId:
        """Accept a job specification (canonical bytes, not parsed yet), durably, or refuse it with a reason."""
        ...

    async def jobs(self) -> Sequence[JobStatus]:
        """Return every job, oldest first."""
        ...

    def watch(self, job_id: JobId) -> AsyncIterator[JobStatus]:
        """Yield the job's status now and after each change, a final one last; raises ``NotFound``."""
        ...

    async def cancel(self, job_id: JobId, by: Identity) -> None:
        """Cancel a job, durably; a job that is over stays as it is. Raises ``NotFound`` and ``PermissionDenied``."""
        ...

    async def models(self) -> Sequence[ModelInfo]:
        """Return every finished model, oldest first."""
        ...

    async def model(self, job_id: JobId) -> bytes:
        """Return the file of a job's model; raises ``NotFound``."""
        ...


class OperatorService(operator_pb2_grpc.OperatorServicer):
    """gRPC service ``coterie.v1.Operator``.

    Args:
        handler: answers the calls.
    """

    def __init__(self, handler: OperatorHandler) -> None:
        self._handler = handler

    async def ListParties(self, request: pb.ListPartiesRequest, context: Any) -> None:  # noqa: N802  # gRPC's name
        """Stream every party."""
        self._authorise("ListParties", context)
        for status in await self._handler.parties():
            await context.write(wire.party_status_to_wire(status))

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: Any) -> pb.SubmitJobResponse:  # noqa: N802
        """Accept a job."""
        submitter = self._authorise("SubmitJob", context)
        return pb.SubmitJobResponse(job_id=await self._handler.submit(wire.submission_from_wire(request), submitter))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Any) -> None:  # noqa: N802
        """Stream every job."""
        self._authorise("ListJobs", context)
        for status in await self._handler.jobs():
            await context.write(wire.job_status_to_wire(status))

    async def WatchJob(self, request: pb.WatchJobRequest, context: Any) -> None:  # noqa: N802
        """Stream one job's changes until it is over."""
        self._authorise("WatchJob", context)
        async for status in self._handler.watch(wire.job_id_from_wire(request)):
            await context.write(wire.job_status_to_wire(status))

    async def CancelJob(self, request: pb.CancelJobRequest, context: Any) -> pb.CancelJobResponse:  # noqa: N802
        """Cancel a job."""
        by = self._authorise("CancelJob", context)
        job_id = wire.job_id_from_wire(request)
        await self._handler.cancel(job_id, by)
        log.info("job cancelled", job=job_id, by=by.uri)
        return pb.CancelJobResponse()

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> None:  # noqa: N802
        """Stream every finished model's entry."""
        self._authorise("ListModels", context)
        for info in await self._handler.models():
            await context.write(wire.model_info_to_wire(info))

    async def FetchModel(self, request: pb.FetchModelRequest, context: Any) -> None:  # noqa: N802
        """Stream a model's file as one transfer."""
        self._authorise("FetchModel", context)
        await write_transfer(await self._handler.model(wire.job_id_from_wire(request)), context.write)

    def _authorise(self, call: str, context: Any) -> Identity:
        identity, _ = peer_of(context)
        if identity.role not in ALLOWED[call]:
            raise PermissionDenied(f"{identity.role.value} {identity.id} may not use {call}")
        return identity
