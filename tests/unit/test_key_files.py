# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest

from coterie_common.crypto.certificates import make_tls_key
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import ConfigurationError, KeyFileError
from coterie_common.membership.key_files import read_signing_key, read_tls_key, write_signing_key, write_tls_key
from tests.support.seeded_random import SeededRandom


def test_key_files_round_trip_and_are_private(tmp_path):
    tls, signing = make_tls_key(), SigningKey.generate(SeededRandom(1))
    write_tls_key(tmp_path / "tls", tls)
    write_signing_key(tmp_path / "signing", signing)
    assert read_tls_key(tmp_path / "tls") == tls
    assert read_signing_key(tmp_path / "signing").verify_key == signing.verify_key
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("read", [read_tls_key, read_signing_key])
def test_key_file_that_others_can_read_raises(tmp_path, read):
    path = tmp_path / "key"
    path.write_bytes(b"")
    path.chmod(0o604)
    with pytest.raises(KeyFileError, match="chmod 600"):
        read(path)


@pytest.mark.parametrize("read", [read_tls_key, read_signing_key])
@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"format":"coterie-signing-key","seed":"00","version":1}', b"-----BEGIN PRIVATE KEY-----"]
)
def test_key_file_with_another_content_raises(tmp_path, read, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError) as caught:
        read(path)
    assert caught.value.code == "key-file"


@pytest.mark.parametrize("read", [read_tls_key, read_signing_key])
def test_key_file_that_is_missing_raises(tmp_path, read):
    with pytest.raises(ConfigurationError, match="does not exist"):
        read(tmp_path / "none")
