# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from coterie_common.errors import ConfigurationError, KeyFileError
from coterie_common.host.passwords import read_password


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\n"])
def test_password_file_gives_its_one_line(tmp_path, content):
    path = tmp_path / "password"
    path.write_bytes(content)
    path.chmod(0o600)
    assert read_password(path, what="the keys").reveal() == b"secret"


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"\n", "is empty"), (b"a\nb\n", "one line"), (b"a" * 2000, "larger")]
)
def test_password_file_with_another_content_raises(tmp_path, content, words):
    path = tmp_path / "password"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=words):
        read_password(path, what="the keys")


def test_password_file_that_is_missing_raises(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        read_password(tmp_path / "none", what="the keys")


def test_password_comes_from_a_pipe_too(tmp_path):
    # as bash opens one for --password-file <(pass show coterie)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"secret\n",))
    writer.start()
    assert read_password(path, what="the keys").reveal() == b"secret"
    writer.join()


def test_password_file_that_is_a_folder_or_device_raises(tmp_path):
    for path, words in ((tmp_path, "is a folder"), (Path("/dev/null"), "is no file")):
        with pytest.raises(ConfigurationError, match=words):
            read_password(path, what="the keys")


def test_prompt_without_a_terminal_is_one_line(tmp_path):
    code = "from coterie_common.host.passwords import read_password; read_password(None, what='the keys')"
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True
    )
    assert "GetPassWarning" not in done.stderr
    assert "use --password-file" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602])
def test_password_file_that_others_may_read_or_write_raises_and_says_what_to_do(tmp_path, mode):
    path = tmp_path / "password"
    path.write_bytes(b"secret")
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600") as refusal:
        read_password(path, what="the keys")
    assert refusal.value.code == "key-file"


def test_password_file_that_somebody_else_owns_and_lends_is_read(tmp_path, monkeypatch):
    # Its mode is its owner's choice, as with secrets that a container or systemd mounts.
    path = tmp_path / "password"
    path.write_bytes(b"secret")
    path.chmod(0o440)
    monkeypatch.setattr("os.getuid", lambda: path.stat().st_uid + 1)
    assert read_password(path, what="the keys").reveal() == b"secret"


def prompt(is_new: bool, typed: str) -> tuple[Result, list[bytes]]:
    app, passwords = typer.Typer(), []

    @app.command()
    def command() -> None:
        passwords.append(read_password(None, what="the keys", is_new=is_new).reveal())

    return CliRunner().invoke(app, [], input=typed), passwords


def test_prompt_takes_what_is_typed_and_does_not_show_it():
    result, password = prompt(False, "secret\n")
    assert password == [b"secret"]
    assert "secret" not in result.output


def test_prompt_for_a_new_password_asks_until_both_are_equal():
    assert prompt(True, "one\ntwo\nsecret\nsecret\n")[1] == [b"secret"]


def test_prompt_that_nobody_answers_raises():
    result, password = prompt(False, "")
    assert isinstance(result.exception, ConfigurationError)
    assert "--password-file" in str(result.exception)
    assert password == []


def test_prompt_refuses_an_empty_password():
    result, password = prompt(False, "\n\n")
    assert isinstance(result.exception, ConfigurationError)
    assert password == []
