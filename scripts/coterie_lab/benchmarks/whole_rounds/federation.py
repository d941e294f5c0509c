# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A federation for whole rounds: real daemons, each a process of its own, over loopback with mutual TLS.

Everything is as in the product except for three things: the factors of the key are published (``workload``), the
daemons can leave jobs unsealed (``daemon``), and a package beside them contains the algorithm (``algorithm``).
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from coterie.client import Client
from coterie.credential_folder import load_credential
from coterie.founding.admission import admit
from coterie.founding.dealing import deal_keys
from coterie.founding.founding import found
from coterie.founding.home import FederationHome
from coterie_aggregator.home.home import AggregatorHome
from coterie_aggregator.home.joining import import_bundle as import_aggregator_bundle
from coterie_common.address import Address
from coterie_common.clock import SystemClock
from coterie_common.crypto.certificates import Role
from coterie_common.crypto.dealer import Dealing
from coterie_common.errors import TransientError
from coterie_common.files import PRIVATE, write_atomically
from coterie_common.identifiers import FederationName, MemberId, PartyId
from coterie_common.membership.enrolment import EnrolmentRequest
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.randomness import OsRandom, RandomSource
from coterie_common.secret import Password
from coterie_lab.benchmarks.whole_rounds.environment import environment
from coterie_lab.benchmarks.workload import KEY_BITS
from coterie_lab.local_federation.ports import LOOPBACK, free_port
from coterie_lab.local_federation.processes import CommandError, Daemons
from coterie_party.home.home import PartyHome
from coterie_party.home.joining import import_bundle
from tests.support.dealings import make_dealing

ALGORITHM: Final = "benchmark_vectors"
DATASET: Final = "benchmark"
_SCHEMA: Final = '[schema]\nmax_records = 1\n\n[[schema.columns]]\nname = "x"\nlower = 0\nupper = 1\nbins = 2\n'
_POLICY: Final = f"""\
automatic = true
algorithms = ["{ALGORITHM}"]
sealings = ["threshold", "complete"]
epsilon_per_job = 1000
delta_per_job = 1e-5

[lifetime]
epsilon = 1000
delta = 1e-2
"""
_START_SECONDS: Final = 120


class BenchmarkFederation:
    """Daemons of one federation below one folder.

    Attributes:
        client: for the operator.
        processes: numbers of the daemons' processes; the aggregator's first.
        watched: by name of a daemon the file that its watchdog writes; empty without watchdogs.
    """

    def __init__(self, folder: Path, parties: int, *, watched: bool = False) -> None:
        """Found it and start every daemon, with a watchdog in its event loop if ``watched``.

        Raises:
            CommandError: a daemon died or did not connect in time.
        """
        self._folder, self._daemons = folder, Daemons()
        self._parties = [PartyId(f"party-{number}") for number in range(1, parties + 1)]
        self._port = free_port()
        home = self._found()
        _write_package(folder / "package")
        self.processes: list[int] = []
        names = ["aggregator", *self._parties] if watched else []
        self.watched = {name: folder / f"{name}.delays" for name in names}
        try:
            for who, root in (("aggregator", "aggregator"), *(("party", party) for party in self._parties)):
                self._start(who, folder / root)
            self.client = Client(f"localhost:{self._port}", load_credential(home.operator).tls)
            self._wait_for_parties()
        except BaseException:
            self._daemons.stop()
            raise

    def close(self) -> None:
        """Stop every daemon."""
        self.client.close()
        self._daemons.stop()

    def check(self) -> None:
        """Raise ``CommandError`` if a daemon has died."""
        self._daemons.check()

    def _found(self) -> FederationHome:
        random, now, password = OsRandom(), SystemClock().now(), Password(secrets.token_hex(16).encode())
        home, aggregator = FederationHome(self._folder / "founder"), AggregatorHome(self._folder / "aggregator")
        founder = found(
            home,
            FederationName("benchmark"),
            choose_parameters(len(self._parties)),
            key_bits=KEY_BITS,
            ask_password=lambda: password,
            random=random,
            now=now,
        ).record.fingerprint
        address = Address("localhost", self._port)
        homes = {party: PartyHome(self._folder / party) for party in self._parties}

        def make(party: PartyId) -> EnrolmentRequest:
            return homes[party].create(party, founder, address, password=password, random=random)

        def join(party: PartyId) -> None:
            bundle = home.bundles / f"{party}.bundle"
            import_bundle(homes[party], bundle, ask_password=lambda: password, random=random, now=now)
            _bind(homes[party], password)

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            # Locking key files takes a core most of a second for each.
            requests = list(threads.map(make, self._parties))
        mine = aggregator.create(MemberId("aggregator"), ["localhost"], founder, random=random)
        for role, wanted in ((Role.PARTY, requests), (Role.AGGREGATOR, [mine])):
            admit(home, wanted, role, ask_password=lambda: password, now=now)
        deal_keys(home, ask_password=lambda: password, deal=_deal, random=random, now=now)
        import_aggregator_bundle(aggregator, home.bundles / "aggregator.bundle", now=now)
        _append(aggregator.config_path, f'listen = "{LOOPBACK}:{self._port}"\n')
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            list(threads.map(join, self._parties))
        return home

    def _start(self, who: str, root: Path) -> None:
        watchdog = [self.watched[root.name]] if root.name in self.watched else []
        command = ("-m", "coterie_lab.benchmarks.whole_rounds.daemon", who, root, *watchdog)
        found_in = environment(self._folder / "package")
        self.processes.append(self._daemons.start(root.name, "python", *command, folder=root, environment=found_in))

    def _wait_for_parties(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_complete():
            self.check()
            if time.monotonic() > deadline:
                raise CommandError(f"waited {_START_SECONDS} s for the parties in vain; the logs are in {self._folder}")
            time.sleep(0.2)

    def _is_complete(self) -> bool:
        try:
            return all(party.connected for party in self.client.parties())
        except TransientError:
            return False


@contextmanager
def running_federation(folder: Path, parties: int, *, watched: bool = False) -> Iterator[BenchmarkFederation]:
    """Start a federation, and stop it in the end."""
    federation = BenchmarkFederation(folder, parties, watched=watched)
    try:
        yield federation
    finally:
        federation.close()


def _deal(*, key_bits: int, holders: int, decryption_threshold: int, random: RandomSource) -> Dealing:
    """Stand in for ``crypto.dealer.deal``: searching for safe primes is no part of a round."""
    return make_dealing(holders, decryption_threshold, key_bits=key_bits)


def _bind(home: PartyHome, password: Password) -> None:
    """Do the steward's work: data, schema, policy, and a password that the daemon reads by itself."""
    write_atomically(home.root / "password", password.reveal() + b"\n", mode=PRIVATE)
    (home.root / "data.csv").write_text("x\n0\n")
    (home.root / "data.toml").write_text(_SCHEMA)
    (home.root / "policy.toml").write_text(_POLICY)
    binding = f'[datasets.{DATASET}]\npath = "data.csv"\nschemas = ["data.toml"]\n'
    _append(home.config_path, f'password_file = "password"\n\n{binding}')


def _append(path: Path, text: str) -> None:
    path.write_text(f"{path.read_text()}\n{text}")


def _write_package(folder: Path) -> None:
    """Register the algorithm for processes that have ``folder`` on their path, as an installed package would."""
    information = folder / "coterie_benchmark-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: coterie-benchmark\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        f"[coterie.algorithms]\n{ALGORITHM} = coterie_lab.benchmarks.whole_rounds.algorithm:BenchmarkVectors\n"
    )
