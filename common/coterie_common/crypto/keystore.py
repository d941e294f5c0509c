# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Key files: a secret locked under a password, with a versioned header that states its kind.

A locked file is one line of JSON, then the content encrypted with AES-256-GCM under a key that scrypt derives from the
password; the line itself is authenticated. A second key of the same scrypt run is compared first, so that a wrong
password is distinguished from a damaged file, and no file opens under two passwords.

Not here: the meaning of the content, and writing it: ``files.write_atomically(..., mode=PRIVATE)``.
"""

from __future__ import annotations

import hmac
from typing import Annotated, Final, Literal

from Crypto.Cipher import AES
from Crypto.Protocol.KDF import scrypt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coterie_common import document
from coterie_common.errors import KeyFileError, MalformedMessage
from coterie_common.limits import KEY_FILE_BYTES
from coterie_common.randomness import RandomSource
from coterie_common.secret import Password

_FORMAT: Final = "coterie-key-file"
_VERSION: Final = 1
_DEFAULT_COST: Final = 1 << 17
"""128 MiB and about half a second per guess."""

_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32
_MAX_HEADER_BYTES: Final = 1024

_Hex16 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
_Hex12 = Annotated[str, Field(pattern="^[0-9a-f]{24}$")]


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["coterie-key-file"]
    version: Literal[1]
    kind: str
    # Bounded, because an altered file must not make us spend arbitrary memory: at most 1 GiB.
    scrypt_n: Annotated[int, Field(ge=1 << 14, le=1 << 20)]
    scrypt_r: Literal[8]
    scrypt_p: Annotated[int, Field(ge=1, le=4)]
    salt: _Hex16
    password_check: _Hex16
    nonce: _Hex12
    content_bytes: Annotated[int, Field(ge=0, le=KEY_FILE_BYTES)]


def lock(content: bytes, password: Password, *, kind: str, random: RandomSource) -> bytes:
    """Encrypt a secret under a password.

    Args:
        content: the secret, at most ``KEY_FILE_BYTES``.
        password: not empty.
        kind: of the content, such as ``"key-share"``; ``unlock`` must name the same.
        random: source of salt and nonce.

    Returns:
        The bytes of the key file.

    Raises:
        KeyFileError: the password is empty or the content too large.

    Source: scrypt (RFC 7914), AES-GCM (NIST SP 800-38D).
    Security: one guess of the password costs 128 MiB and half a second; a weak password stays weak.
    """
    return _lock(content, password, kind=kind, random=random, scrypt_n=_DEFAULT_COST)


def unlock(data: bytes, password: Password, *, kind: str) -> bytes:
    """Decrypt a key file.

    Raises:
        KeyFileError: not a key file, another version, another kind, cut short, wrong password, or altered; the message
            names the reason.
    """
    line, newline, body = data.partition(b"\n")
    header = _read_header(line if newline else b"")
    if header.kind != kind:
        raise KeyFileError(f"this key file holds a {header.kind!r}, expected is a {kind!r}")
    if len(body) != header.content_bytes + _TAG_BYTES:
        raise KeyFileError(
            f"the key file is cut short or has been added to: {len(body)} bytes follow its header "
            f"instead of {header.content_bytes + _TAG_BYTES}"
        )
    key, check = _stretch(password, header.salt, header.scrypt_n, header.scrypt_p)
    if not hmac.compare_digest(check, header.password_check):
        raise KeyFileError("wrong password for the key file")
    cipher = AES.new(key, AES.MODE_GCM, nonce=bytes.fromhex(header.nonce), mac_len=_TAG_BYTES)
    cipher.update(line + newline)
    try:
        return cipher.decrypt_and_verify(body[:-_TAG_BYTES], body[-_TAG_BYTES:])
    except ValueError as cause:
        raise KeyFileError("the password is right but the key file is damaged: use a copy") from cause


def stretched_digest(digest: bytes, *, salt: bytes, digest_bytes: int) -> bytes:
    """Hash a public digest so that computing many such hashes is expensive: one costs as much as a guess at a password.

    Args:
        digest: 32 bytes, made under a label of its own.
        salt: hashes under different salts need separate work.
        digest_bytes: length of the result.

    Source: scrypt (RFC 7914).
    """
    return scrypt(digest, salt, digest_bytes, _DEFAULT_COST, 8, 1)


def _lock(content: bytes, password: Password, *, kind: str, random: RandomSource, scrypt_n: int) -> bytes:
    if not password.reveal():
        raise KeyFileError("the password of a key file must not be empty")
    if len(content) > KEY_FILE_BYTES:
        raise KeyFileError(f"a key file holds at most {KEY_FILE_BYTES} bytes, not {len(content)}")
    salt, nonce = random.token_bytes(_SALT_BYTES).hex(), random.token_bytes(_NONCE_BYTES)
    key, check = _stretch(password, salt, scrypt_n, 1)
    header = _Header(
        format=_FORMAT,
        version=_VERSION,
        kind=kind,
        scrypt_n=scrypt_n,
        scrypt_r=8,
        scrypt_p=1,
        salt=salt,
        password_check=check,
        nonce=nonce.hex(),
        content_bytes=len(content),
    )
    line = header.model_dump_json().encode() + b"\n"
    cipher = AES.new(key, AES.MODE_GCM, nonce=nonce, mac_len=_TAG_BYTES)
    cipher.update(line)
    ciphertext, tag = cipher.encrypt_and_digest(content)
    return line + ciphertext + tag


def _read_header(line: bytes) -> _Header:
    try:
        header_line = document.parse(line, "the key file's header", maximum=_MAX_HEADER_BYTES)
    except MalformedMessage as cause:
        raise KeyFileError("this is no key file of Coterie, or its first line is damaged") from cause
    if not isinstance(header_line, dict) or header_line.get("format") != _FORMAT:
        raise KeyFileError("this is no key file of Coterie, or its first line is damaged")
    if header_line.get("version") != _VERSION:
        raise KeyFileError(f"the key file has another version than {_VERSION}, the one that this program reads")
    try:
        header = _Header.model_validate(header_line)
    except ValidationError as cause:
        entry = ".".join(str(part) for part in cause.errors()[0]["loc"])
        raise KeyFileError(f"the key file's header is damaged: {entry}") from cause
    if header.scrypt_n & (header.scrypt_n - 1):
        raise KeyFileError("the key file's header is damaged: scrypt_n must be a power of two")
    return header


def _stretch(password: Password, salt: str, n: int, p: int) -> tuple[bytes, str]:
    stretched = scrypt(password.reveal(), bytes.fromhex(salt), _KEY_BYTES + _SALT_BYTES, n, 8, p)
    return stretched[:_KEY_BYTES], stretched[_KEY_BYTES:].hex()
