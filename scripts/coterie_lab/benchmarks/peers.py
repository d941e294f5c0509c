# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The same vector summed privately by other libraries, where they are installed; none of them is a dependency.

Each is used as in its own documentation or by its best known user. All sum vectors of several parties; otherwise their
guarantees differ: docs/benchmarks.md lists them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from coterie_lab.benchmarks.measuring import Work, Yardstick, measure

_STEPS: Final = ("seal", "add", "open")
_SLOTS: Final = 4096
_Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PeerSteps:
    """The steps of one library for one vector.

    Attributes:
        steps: by name of ``_STEPS``; a step that the library does not have is left out.
        upload_bytes: bytes that one party sends.
        values: number of values in them.
    """

    steps: dict[str, Work]
    upload_bytes: int
    values: int


@dataclass(frozen=True)
class PeerFigures:
    """One library's line of the table: ms of one core per million values; None where it has no such step."""

    name: str
    seal: float | None
    add: float | None
    open: float | None
    upload: float


@dataclass(frozen=True)
class _Peer:
    """A library, the module by which it is recognised, and how to use it."""

    name: str
    module: str
    values: int
    prepare: Callable[[_Vector, int], PeerSteps]


def measure_peers(
    yardstick: Yardstick, parties: int, repetitions: int
) -> tuple[list[PeerFigures], list[tuple[str, str]]]:
    """Return the figures of those that are installed, and of the others (name, why it is left out)."""
    figures, missing = [], []
    for peer in _PEERS:
        try:
            importlib.import_module(peer.module)
        except ImportError as error:
            missing.append((peer.name, f"not installed ({error})"))
            continue
        vector = np.cos(np.arange(peer.values, dtype=np.float64)) / 100
        try:
            used = peer.prepare(vector, parties)
            times = measure(used.steps, yardstick, repetitions)
        except (AttributeError, ImportError, TypeError, RuntimeError) as error:
            # Its interface is different in this version: that must not cost the run its own figures.
            missing.append((peer.name, f"cannot be used in this version ({error})"))
            continue
        scale = 1e6 / used.values
        best = {step: min(times[step]) * scale if step in times else None for step in _STEPS}
        figures.append(PeerFigures(peer.name, best["seal"], best["add"], best["open"], used.upload_bytes / used.values))
    return figures, missing


def _flower(vector: _Vector, parties: int) -> PeerSteps:
    """SecAgg+ without dropouts: one mask for every other party (of at most ten neighbours), and one of its own."""
    arithmetic = importlib.import_module("flwr.common.secure_aggregation.ndarrays_arithmetic")
    utilities = importlib.import_module("flwr.common.secure_aggregation.secaggplus_utils")
    quantization = importlib.import_module("flwr.common.secure_aggregation.quantization")
    modulus, neighbours = 1 << 32, min(10, parties - 1)
    quantized = quantization.quantize([vector], 1.0, 1 << 22)
    seeds = [bytes([number] * 32) for number in range(neighbours + 1)]

    def mask() -> Any:
        total = [quantized[0].astype(np.int64)]
        for number, seed in enumerate(seeds):
            drawn = utilities.pseudo_rand_gen(seed, modulus, [vector.shape])
            combine = arithmetic.parameters_subtraction if number % 2 else arithmetic.parameters_addition
            total = combine(total, drawn)
        return arithmetic.parameters_mod(total, modulus)

    masked = mask()

    def unmask() -> Any:
        """The mask of every contributor's own, which the aggregator takes off."""
        total = masked
        for number in range(parties):
            drawn = utilities.pseudo_rand_gen(bytes([number % 256] * 4), modulus, [vector.shape])
            total = arithmetic.parameters_subtraction(total, drawn)
        return arithmetic.parameters_mod(total, modulus)

    steps: dict[str, Work] = {
        "seal": mask,
        "add": lambda: arithmetic.parameters_addition(masked, masked),
        "open": unmask,
    }
    return PeerSteps(steps, masked[0].nbytes, len(vector))


def _tenseal(vector: _Vector, _parties: int) -> PeerSteps:
    """CKKS with the parameters of NVIDIA FLARE: one key, which every party has and the aggregator does not."""
    tenseal = importlib.import_module("tenseal")
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40])
    context.global_scale = 2**40
    pieces = [vector[start : start + _SLOTS].tolist() for start in range(0, len(vector), _SLOTS)]

    def encrypt() -> list[Any]:
        return [tenseal.ckks_vector(context, piece) for piece in pieces]

    one = encrypt()
    steps: dict[str, Work] = {
        "seal": lambda: [part.serialize() for part in encrypt()],
        "add": lambda: [part + part for part in one],
        "open": lambda: [part.decrypt() for part in one],
    }
    return PeerSteps(steps, sum(len(part.serialize()) for part in one), len(vector))


def _openfhe(vector: _Vector, _parties: int) -> PeerSteps:
    """BFV with its default parameters for a 20-bit plaintext modulus; opening is decryption with one whole key."""
    openfhe = importlib.import_module("openfhe")
    parameters = openfhe.CCParamsBFVRNS()
    parameters.SetPlaintextModulus(786433)
    parameters.SetMultiplicativeDepth(1)
    context = openfhe.GenCryptoContext(parameters)
    for feature in ("PKE", "LEVELEDSHE"):
        context.Enable(getattr(openfhe.PKESchemeFeature, feature))
    keys = context.KeyGen()
    slots = int(context.GetRingDimension())
    whole = [round(value * 1000) for value in vector]
    pieces = [whole[start : start + slots] for start in range(0, len(whole), slots)]

    def encrypt() -> list[Any]:
        return [context.Encrypt(keys.publicKey, context.MakePackedPlaintext(piece)) for piece in pieces]

    one = encrypt()
    steps: dict[str, Work] = {
        "seal": encrypt,
        "add": lambda: [context.EvalAdd(part, part) for part in one],
        "open": lambda: [context.Decrypt(part, keys.secretKey).GetPackedValue() for part in one],
    }
    octets = sum(len(openfhe.Serialize(part, openfhe.BINARY)) for part in one)
    return PeerSteps(steps, octets, len(vector))


def paillier_steps(vector: _Vector, _parties: int) -> PeerSteps:
    """Paillier at 2048 bits by ``phe``, a ciphertext for every value, as its examples have it.

    Raises:
        ImportError: it is not installed.
    """
    paillier = importlib.import_module("phe.paillier")
    public, private = paillier.generate_paillier_keypair(n_length=2048)
    numbers = vector.tolist()
    one = [public.encrypt(number) for number in numbers]
    steps: dict[str, Work] = {
        "seal": lambda: [public.encrypt(number) for number in numbers],
        "add": lambda: [number + number for number in one],
        "open": lambda: [private.decrypt(number) for number in one],
    }
    return PeerSteps(steps, 512 * len(one), len(one))


_PEERS: Final = (
    _Peer("Flower SecAgg+", "flwr.common.secure_aggregation.secaggplus_utils", 1_000_000, _flower),
    _Peer("TenSEAL (CKKS)", "tenseal", 1 << 17, _tenseal),
    _Peer("OpenFHE (BFV)", "openfhe", 1 << 17, _openfhe),
    _Peer("phe (Paillier)", "phe", 16, paillier_steps),
)
