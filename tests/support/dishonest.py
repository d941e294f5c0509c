# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a member that holds its keys and does not follow the protocol can say: wrong, but in its own name."""

from __future__ import annotations

from dataclasses import replace

from coterie_common.crypto.proofs import plaintext_knowledge
from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import EncryptedReply, KeyPart
from coterie_common.protocol.messages import PartialDecryption
from coterie_common.protocol.padded_part import NOTHING_PADDED
from tests.support.federation import Federation
from tests.support.powers import power


def signed_reply(federation: Federation, reply: EncryptedReply, key_part: KeyPart) -> EncryptedReply:
    """A reply with another key part, signed by its sender."""
    contribution = federation.signed(reply.contribution.party_id, reply.session_id, key_part)
    return replace(reply, contribution=contribution)


def mauled_reply(federation: Federation, reply: EncryptedReply) -> EncryptedReply:
    """Ciphertexts that the sender does not know: its own, inverted, beside a proof that was for others."""
    key = federation.dealing.key.public_key
    part = reply.contribution.key_part
    inverted = tuple(power(key.check(c), -1).to_bytes() for c in part.ciphertexts)
    return signed_reply(federation, reply, replace(part, ciphertexts=inverted))


def overflowing_reply(federation: Federation, reply: EncryptedReply) -> EncryptedReply:
    """Plaintexts far beyond what a packed vector can be, with a proof that the sender knows them."""
    count = len(reply.contribution.key_part.ciphertexts)
    plaintexts = (federation.dealing.key.public_key.plaintext_modulus // 2,) * count
    part = proven_key_part(federation, reply.session_id, reply.contribution.party_id, plaintexts)
    return signed_reply(federation, reply, part)


def proven_key_part(
    federation: Federation,
    session_id: bytes,
    party_id: PartyId,
    plaintexts: tuple[int, ...],
    padded_part_digest: bytes = NOTHING_PADDED,
) -> KeyPart:
    """Whatever plaintexts, with a proof that the sender knows them."""
    encryptor, key = federation.encryptor, federation.dealing.key.public_key
    nonces = tuple(encryptor.draw_nonce(federation.random) for _ in plaintexts)
    ciphertexts = tuple(map(encryptor.encrypt, plaintexts, nonces))
    statement = plaintext_knowledge.Statement(
        session_id=session_id,
        party_id=party_id,
        public_key=key,
        padded_digest=padded_part_digest,
        ciphertexts=ciphertexts,
    )
    witness = plaintext_knowledge.Witness(plaintexts=plaintexts, nonces=nonces)
    proof = plaintext_knowledge.prove(statement, witness, encryptor, federation.random).to_bytes(key)
    return KeyPart(ciphertexts=tuple(c.to_bytes() for c in ciphertexts), proof=proof)


def keyless_reply(federation: Federation, reply: EncryptedReply) -> EncryptedReply:
    """The padded part as it is, beside plaintexts that are no key of a pad, with a proof that the sender knows them."""
    own = reply.contribution
    count = len(own.key_part.ciphertexts)
    plaintexts = (federation.dealing.key.public_key.plaintext_modulus // 2,) * count
    part = proven_key_part(federation, reply.session_id, own.party_id, plaintexts, own.padded_digest)
    signed = replace(own, key_part=part).signed_by(federation.party_keys[own.party_id], reply.session_id)
    return replace(reply, contribution=signed)


def signed_partial(
    federation: Federation, partial: PartialDecryption, values: tuple[bytes, ...], party_id: PartyId | None = None
) -> PartialDecryption:
    """A partial decryption with other values beside the same proof, signed by its sender."""
    return replace(partial, values=values).signed_by(federation.party_keys[party_id or partial.party_id])


def doubled_partial(federation: Federation, partial: PartialDecryption) -> PartialDecryption:
    """Values that are not what the sender's key share makes of the sum."""
    key = federation.dealing.key.public_key
    squares = (pow(int.from_bytes(value, "big"), 2, key.modulus) for value in partial.values)
    values = tuple(square.to_bytes(key.modulus_bytes, "big") for square in squares)
    return signed_partial(federation, partial, values)
