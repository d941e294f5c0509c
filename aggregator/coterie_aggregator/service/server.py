# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's gRPC server: services, health and reflection behind mutual TLS and the gate, and an orderly end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from coterie_aggregator.service.federation import FederationService
from coterie_aggregator.service.gate import Gate
from coterie_aggregator.service.operator import OperatorService
from coterie_common.errors import ConfigurationError
from coterie_common.limits import MAX_SERVER_CALLS, SHUTDOWN_SECONDS
from coterie_common.membership.membership import TlsCredentials
from coterie_common.rpc.credentials import SERVER_OPTIONS, server_credentials
from coterie_common.wire.pb import federation_pb2, federation_pb2_grpc, operator_pb2, operator_pb2_grpc

_NAMES = (
    federation_pb2.DESCRIPTOR.services_by_name["Federation"].full_name,
    operator_pb2.DESCRIPTOR.services_by_name["Operator"].full_name,
)

_NOTICE_SECONDS: Final = 1.0
"""The time that the health service has to notify its watchers that the aggregator is stopping."""


@dataclass(frozen=True, slots=True)
class AggregatorServer:
    """A server that listens.

    Attributes:
        port: the bound port, also where 0 was asked for.
    """

    port: int
    _server: grpc.aio.Server
    _federation: FederationService
    _health: health_aio.HealthServicer

    async def stop(self, grace_s: float = SHUTDOWN_SECONDS) -> None:
        """Take no new calls, let streams send their queues for at most ``grace_s`` seconds, then end everything."""
        # It would wait for a watcher that does not read; nobody may hold up the end.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._health.enter_graceful_shutdown(), _NOTICE_SECONDS)
        self._federation.close()
        await self._server.stop(grace_s)

    async def wait(self) -> None:
        """Wait until the server has stopped."""
        await self._server.wait_for_termination()


async def start_server(
    address: str, tls: TlsCredentials, gate: Gate, federation: FederationService, operator: OperatorService
) -> AggregatorServer:
    """Listen on ``address`` (``HOST:PORT``, port 0: any free one).

    Raises:
        ConfigurationError: the address cannot be bound, or certificate and key do not fit.
    """
    server = grpc.aio.server(interceptors=(gate,), options=SERVER_OPTIONS, maximum_concurrent_rpcs=MAX_SERVER_CALLS)
    federation_pb2_grpc.add_FederationServicer_to_server(federation, server)
    operator_pb2_grpc.add_OperatorServicer_to_server(operator, server)
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection((*_NAMES, HEALTH_NAME, reflection.SERVICE_NAME), server)
    try:
        port = server.add_secure_port(address, server_credentials(tls))
    except RuntimeError as cause:
        raise ConfigurationError(f"cannot listen on {address}: it is in use, or no address of this machine") from cause
    await server.start()
    for name in ("", *_NAMES):
        await health.set(name, health_pb2.HealthCheckResponse.SERVING)
    return AggregatorServer(port, server, federation, health)
