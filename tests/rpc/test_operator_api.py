# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from coterie.client import Client
from coterie_aggregator.service.operator import ALLOWED
from coterie_common.crypto.certificates import Role
from coterie_common.errors import (
    BudgetExhausted,
    ConfigurationError,
    InternalError,
    InvalidJob,
    MalformedMessage,
    NotFound,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from coterie_common.identifiers import JobId
from coterie_common.limits import JOB_SPEC_BYTES
from coterie_common.membership.membership import TlsCredentials
from coterie_common.protocol.progress import JobState
from coterie_common.rpc.credentials import CHANNEL_OPTIONS, channel_credentials
from coterie_common.wire.pb import operator_pb2
from coterie_lab.local_federation.ports import free_port
from tests.support.handlers import MODEL, Aggregator, RecordingOperatorHandler
from tests.support.tls import Certificates, Federation

CALLS = {
    "ListParties": lambda client: client.parties(),
    "SubmitJob": lambda client: client.submit(b"{}"),
    "ListJobs": lambda client: client.jobs(),
    "WatchJob": lambda client: list(client.watch("nursery-1")),
    "CancelJob": lambda client: client.cancel("nursery-1"),
    "ListModels": lambda client: client.models(),
    "FetchModel": lambda client: client.fetch("nursery-1"),
}


T = TypeVar("T")


def with_client(
    federation: Federation,
    use: Callable[[Client], T],
    *,
    tls: TlsCredentials | None = None,
    prepare: Callable[[RecordingOperatorHandler], None] | None = None,
    denied: tuple[str, ...] = (),
) -> tuple[T, RecordingOperatorHandler]:
    """Run ``use(client)`` in a thread against a real server; return its result and the recording handler."""

    async def scenario() -> tuple[T, RecordingOperatorHandler]:
        aggregator = Aggregator(federation)
        if prepare is not None:
            prepare(aggregator.operator_handler)

        def talk(port: int) -> T:
            with Client(f"localhost:{port}", tls or federation.operator) as client:
                return use(client)

        async with aggregator.running(denied=denied) as server:
            return await asyncio.to_thread(talk, server.port), aggregator.operator_handler

    return asyncio.run(scenario())


def test_every_call_reaches_the_handler_and_brings_back_its_answer(federation):
    results, handler = with_client(federation, lambda client: {name: call(client) for name, call in CALLS.items()})
    assert [party.connected for party in results["ListParties"]] == [True, False]
    assert results["SubmitJob"] == "nursery-1"
    assert list(results["ListJobs"]) == handler.statuses[-1:]
    assert results["WatchJob"] == handler.statuses
    assert results["CancelJob"] is None
    assert results["ListModels"][0].size_bytes == len(MODEL)
    assert results["FetchModel"] == MODEL
    by = "coterie://trees/operator/olga"
    assert handler.calls == [
        ("parties",),
        ("submit", b"{}", by),
        ("jobs",),
        ("watch", "nursery-1"),
        ("cancel", "nursery-1", by),
        ("models",),
        ("model", "nursery-1"),
    ]


def test_every_method_of_the_service_is_in_the_table_of_roles():
    methods = operator_pb2.DESCRIPTOR.services_by_name["Operator"].methods
    assert {method.name for method in methods} == set(ALLOWED) == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("role", ["scientist", "party"])
def test_call_is_allowed_by_role_only(federation, role, name):
    tls = federation.scientist if role == "scientist" else federation.parties["alpha"]
    # Whose job a scientist cancels, the handler looks at: tests/protocol/test_ended_early.py.
    allowed = role == "scientist"

    def use(client: Client) -> object:
        if allowed:
            return CALLS[name](client)
        with pytest.raises(PermissionDenied, match="may not use"):
            CALLS[name](client)
        return None

    _, handler = with_client(federation, use, tls=tls)
    assert bool(handler.calls) == allowed


def test_person_who_is_denied_gets_nothing_and_another_with_the_same_id_in_another_role_does(federation):
    def use(client: Client) -> None:
        for call in CALLS.values():
            with pytest.raises(PermissionDenied, match="denied by the aggregator's configuration"):
                call(client)

    _, handler = with_client(federation, use, denied=("operator/olga",))
    assert handler.calls == []
    assert with_client(federation, CALLS["ListJobs"], denied=("scientist/olga",))[1].calls == [("jobs",)]


@pytest.mark.parametrize(
    "failure",
    [
        InvalidJob("job specification: dataset is missing"),
        BudgetExhausted("ε 3 asked, 1 left"),
        NotFound("there is no job nursery-1"),
    ],
)
def test_refusal_of_the_handler_arrives_as_the_same_error(federation, failure):
    def use(client: Client) -> None:
        for call in CALLS.values():
            with pytest.raises(type(failure)) as caught:
                call(client)
            assert (caught.value.code, caught.value.message) == (failure.code, failure.message)

    with_client(federation, use, prepare=lambda handler: setattr(handler, "failure", failure))


def test_overload_says_when_to_come_back(federation):
    def use(client: Client) -> float:
        with pytest.raises(Overloaded) as caught:
            client.jobs()
        return caught.value.retry_after_s

    failure = Overloaded("too many jobs", retry_after_s=12.5)
    assert with_client(federation, use, prepare=lambda handler: setattr(handler, "failure", failure))[0] == 12.5


def test_failure_of_our_own_arrives_as_an_incident_without_its_words(federation):
    def use(client: Client) -> str:
        with pytest.raises(InternalError) as caught:
            client.jobs()
        return caught.value.message

    words, _ = with_client(
        federation, use, prepare=lambda handler: setattr(handler, "failure", RuntimeError("secret-place"))
    )
    assert "incident" in words
    assert "secret-place" not in words


@pytest.mark.parametrize("spec", [b"", b"x" * JOB_SPEC_BYTES + b"x"], ids=["empty", "too long"])
def test_specification_of_impossible_size_is_refused_before_the_handler(federation, spec):
    def use(client: Client) -> None:
        with pytest.raises(MalformedMessage):
            client.submit(spec)

    assert with_client(federation, use)[1].calls == []


def test_malformed_job_id_is_refused_before_the_handler(federation):
    def use(client: Client) -> None:
        with pytest.raises(MalformedMessage):
            client.cancel(JobId("../../etc"))

    assert with_client(federation, use)[1].calls == []


def test_watch_can_be_left_early(federation):
    def use(client: Client) -> JobState | None:
        for status in client.watch(JobId("nursery-1")):
            return status.state
        return None

    assert with_client(federation, use)[0] is JobState.PROPOSED


def test_unreachable_aggregator_is_named(federation):
    with Client(f"localhost:{free_port()}", federation.operator) as client, pytest.raises(Unavailable, match="refused"):
        client.jobs()


@pytest.mark.parametrize(
    ("credential", "words"),
    [
        (lambda f: Certificates().issue(Role.OPERATOR, "olga"), "was not issued by"),
        (lambda f: f.certificates.issue_expired(Role.OPERATOR, "olga"), "expired on"),
    ],
    ids=["other authority", "expired"],
)
def test_unacceptable_credential_is_named(federation, credential, words):
    def use(client: Client) -> None:
        for call in CALLS.values():
            with pytest.raises(Unauthenticated, match=words):
                call(client)

    with_client(federation, use, tls=credential(federation))


def test_client_refuses_an_address_of_another_form(federation):
    with pytest.raises(ConfigurationError):
        Client("hub", federation.operator)


def test_server_refuses_an_address_in_use(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server:
            with pytest.raises(ConfigurationError, match="cannot listen"):
                await aggregator.start(port=server.port)

    asyncio.run(scenario())


def test_health_and_reflection_answer_members_only(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server:
            credentials = channel_credentials(federation.operator)
            target = f"localhost:{server.port}"
            async with grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS) as channel:
                health = health_pb2_grpc.HealthStub(channel)
                for name in ("", "coterie.v1.Federation", "coterie.v1.Operator"):
                    answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
                    assert answer.status == health_pb2.HealthCheckResponse.SERVING
                request = reflection_pb2.ServerReflectionRequest(list_services="")
                call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
                answer = await call.read()
                names = {service.name for service in answer.list_services_response.service}
                assert {"coterie.v1.Federation", "coterie.v1.Operator"} <= names
            stranger = channel_credentials(Certificates().issue(Role.OPERATOR, "olga"))
            async with grpc.aio.secure_channel(target, stranger, options=CHANNEL_OPTIONS) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    asyncio.run(scenario())
