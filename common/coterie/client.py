# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Talking to an aggregator as an operator or scientist: blocking calls, plain values, errors with stable codes.

Example::

    with Client("hub.example:7000", load_credential(Path("credential")).tls) as client:
        job_id = client.submit(spec.to_bytes())
        for status in client.watch(job_id):
            print(status.state)
        model = client.fetch(job_id)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc

from coterie_common.address import Address
from coterie_common.errors import MalformedMessage, Unavailable
from coterie_common.identifiers import JobId
from coterie_common.limits import CALL_SECONDS, MODEL_BYTES
from coterie_common.membership.membership import TlsCredentials
from coterie_common.protocol.progress import JobStatus, ModelInfo, PartyStatus
from coterie_common.randomness import OsRandom
from coterie_common.rpc.credentials import CHANNEL_OPTIONS, channel_credentials
from coterie_common.rpc.framing import Assembler
from coterie_common.rpc.probe import probe
from coterie_common.rpc.status import error_from_rpc
from coterie_common.wire import operator as wire
from coterie_common.wire.pb import operator_pb2 as pb
from coterie_common.wire.pb import operator_pb2_grpc
from coterie_common.wire.types import frame_from_wire

T = TypeVar("T")


class Client:
    """The operator API of one aggregator; use it as a context manager, or ``close`` it.

    Every call may raise ``Unavailable``, ``Unauthenticated``, ``PermissionDenied``, ``DeadlineExceeded`` and
    ``MalformedMessage`` besides the errors it documents.

    Args:
        target: ``HOST:PORT`` of the aggregator.
        tls: the credential of an operator or scientist.

    Raises:
        ConfigurationError: the target is not of this form.
    """

    def __init__(self, target: str, tls: TlsCredentials) -> None:
        self._target = str(Address.parse(target))
        self._tls = tls
        self._channel = grpc.secure_channel(self._target, channel_credentials(tls), options=CHANNEL_OPTIONS)
        self._stub = operator_pb2_grpc.OperatorStub(self._channel)

    def __enter__(self) -> Client:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """End all calls and the connection."""
        self._channel.close()

    def parties(self) -> tuple[PartyStatus, ...]:
        """Return every party of the federation, in the roster's order."""
        return self._list(self._stub.ListParties, pb.ListPartiesRequest(), wire.party_status_from_wire)

    def submit(self, spec: bytes, *, despite_noise: bool = False, again: bool = False) -> JobId:
        """Submit a job.

        Args:
            spec: ``JobSpec.to_bytes()``.
            despite_noise: run the job even if its noise drowns its result.
            again: run the job even if one with the same specification was submitted before.

        Raises:
            DrownedInNoise: its noise leaves nothing to learn; the message gives the numbers.
            AlreadySubmitted: a job with the same specification is active, or has asked a round.
            InvalidJob: it cannot be run; the message gives the reason.
            RefusedError: it cannot keep its promise; the message gives the numbers.
        """
        with self._named():
            request = pb.SubmitJobRequest(spec=spec, despite_noise=despite_noise, again=again)
            answer = self._stub.SubmitJob(request, timeout=CALL_SECONDS)
        return wire.job_id_from_wire(answer)

    def jobs(self) -> tuple[JobStatus, ...]:
        """Return every job, oldest first."""
        return self._list(self._stub.ListJobs, pb.ListJobsRequest(), wire.job_status_from_wire)

    def watch(self, job_id: JobId) -> Iterator[JobStatus]:
        """Yield a job's status now and after each change, until it is over; leaving early does not disturb the job.

        Raises:
            NotFound: there is no such job.
        """
        call = self._stub.WatchJob(pb.WatchJobRequest(job_id=job_id))
        try:
            with self._named():
                for message in call:
                    yield wire.job_status_from_wire(message)
        finally:
            call.cancel()

    def cancel(self, job_id: JobId) -> None:
        """Cancel a job; one that is over stays as it is. Scientists may cancel their own.

        Raises:
            NotFound: there is no such job.
        """
        with self._named():
            self._stub.CancelJob(pb.CancelJobRequest(job_id=job_id), timeout=CALL_SECONDS)

    def models(self) -> tuple[ModelInfo, ...]:
        """Return every finished model, oldest first."""
        return self._list(self._stub.ListModels, pb.ListModelsRequest(), wire.model_info_from_wire)

    def fetch(self, job_id: JobId) -> bytes:
        """Return the file of a job's model.

        Raises:
            NotFound: there is no such model.
        """
        assembler = Assembler(MODEL_BYTES)
        with self._named():
            for message in self._stub.FetchModel(pb.FetchModelRequest(job_id=job_id)):
                model = assembler.add(frame_from_wire(message))
                if model is not None:
                    return bytes(model)
        raise MalformedMessage("the aggregator ended the transfer before the model was complete")

    def _list(self, call: Any, request: Any, from_wire: Callable[[Any], T]) -> tuple[T, ...]:
        with self._named():
            return tuple(from_wire(message) for message in call(request, timeout=CALL_SECONDS))

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn a failed call into the error behind it; where gRPC gives no cause, one TLS handshake finds it."""
        try:
            yield
        except grpc.RpcError as failure:
            error = error_from_rpc(failure)
            if type(error) is Unavailable:
                raise (probe(self._target, self._tls, OsRandom()) or error) from failure
            raise error from failure
