# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from decimal import Decimal
from pathlib import Path

import pytest

from coterie_common.address import Address
from coterie_common.errors import ConfigurationError
from coterie_common.host.config import load
from coterie_common.learning.data.file_format import FileFormat
from coterie_party.home.config import TEMPLATE, PartyConfig

FOUNDER = "-".join(["abcd"] * 8)
START = f'id = "p1"\nfounder = "{FOUNDER}"\n'
FORMAT = '[datasets.nursery]\npath = "n.csv"\nschemas = ["n.toml"]\n'


def parse(tmp_path: Path, text: str) -> PartyConfig:
    path = tmp_path / "party.toml"
    path.write_text(text)
    return load(PartyConfig, path, "the configuration")


def test_config_with_everything_is_parsed(tmp_path):
    config = parse(
        tmp_path,
        START
        + 'aggregator = "localhost:8443"\npassword_file = "secret"\n'
        + '[datasets.nursery]\npath = "n.csv"\nschemas = ["n.toml", "m.toml"]\nset_aside = 0.2\n'
        + '[datasets.adult]\npath = "a.parquet"\nschemas = ["a.toml"]\n',
    )
    assert (config.id, config.founder, config.aggregator) == ("p1", FOUNDER, Address("localhost", 8443))
    assert config.password_file == Path("secret")
    assert config.datasets["nursery"].set_aside == Decimal("0.2")
    assert config.datasets["nursery"].schemas == (Path("n.toml"), Path("m.toml"))
    assert config.datasets["adult"].set_aside == 0


def test_training_process_is_kept_from_the_folder_the_password_and_the_data(tmp_path):
    config = parse(
        tmp_path,
        START
        + 'password_file = "/etc/secret"\n[training]\ncode = ["nets", "/srv/nets"]\nmemory_mib = 100\n'
        + '[datasets.n]\npath = "/data/n.csv"\nschemas = ["n.toml"]\n',
    )
    limits = config.training_limits(tmp_path)
    assert limits.hidden == (tmp_path, Path("/data/n.csv"), Path("/etc/secret"))
    assert limits.code == (tmp_path / "nets", Path("/srv/nets"))
    assert (limits.memory_bytes, limits.seconds) == (100 << 20, 600)


def test_config_template_is_valid_also_with_its_examples(tmp_path):
    text = TEMPLATE.format(id="p1", founder=FOUNDER, aggregator='# aggregator = "aggregator.example:8443"')
    plain = parse(tmp_path, text)
    assert (plain.id, plain.aggregator, plain.datasets) == ("p1", None, {})
    examples = "".join(
        line[2:]
        if line.startswith(
            (
                "# [",
                "# path",
                "# schemas =",
                "# set_aside =",
                "# separator",
                "# decimal",
                "# encoding",
                "# missing",
                "# trim",
                "# password_file =",
                "# aggregator =",
            )
        )
        else line
        for line in text.splitlines(keepends=True)
    )
    full = parse(tmp_path, examples)
    assert (str(full.aggregator), full.password_file) == ("aggregator.example:8443", Path("password"))
    assert full.datasets["nursery"].set_aside == Decimal("0.2")
    assert full.datasets["nursery"].form == FileFormat(
        separator=";", decimal=",", encoding="windows-1252", missing=("NA", "-9"), trim=True
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('id = "p1"\n', "founder is missing"),
        (START + "more = 1\n", "more is not a known key"),
        (START.replace("p1", "P 1"), "id: id 'P 1' must be"),
        (START.replace("abcd-", "", 1), "founder: a fingerprint has 8 groups"),
        (START + 'aggregator = "localhost"\n', "host:port"),
        (START + "aggregator = 8443\n", "aggregator: must be text"),
        (START + '[datasets.nursery]\npath = ""\n', "datasets.nursery.path: must not be empty"),
        (START + '[datasets.nursery]\npath = "n.csv"\nset_aside = 1.0\n', "set_aside: must be a number from 0"),
        (START + '[datasets.nursery]\npath = "n.csv"\nset_aside = nan\n', "set_aside"),
        (START + '[datasets.nursery]\npath = "n.csv"\nset_aside = "some"\n', "set_aside: must be a number such as"),
        (START + '[datasets.nursery]\npath = "n.csv"\nset_aside = true\n', "set_aside"),
        (START + '[datasets.nursery]\npath = "n.csv"\n', "datasets.nursery.schemas is missing"),
        (START + '[datasets.nursery]\npath = "n.csv"\nschemas = []\n', "datasets.nursery.schemas"),
        (START + '[datasets.nursery]\npath = "n.csv"\nschemas = "n.toml"\n', "datasets.nursery.schemas"),
        (START + '[datasets."a/b"]\npath = "n.csv"\n', "a/b"),
        (START + FORMAT + 'separator = "ab"\n', "datasets.nursery.separator"),
        (START + FORMAT + 'separator = "x"\n', "separator: must be one character such as"),
        (START + FORMAT + "separator = '\"'\n", "separator: must be one character such as"),
        (START + FORMAT + 'decimal = ";"\n', "datasets.nursery.decimal"),
        (START + FORMAT + 'encoding = "utf-88"\n', "encoding: must be an encoding of text such as"),
        (START + FORMAT + 'encoding = "base64"\n', "encoding: must be an encoding of text such as"),
        (START + FORMAT + 'missing = "NA"\n', "datasets.nursery.missing"),
        (START + FORMAT + "missing = [9]\n", "datasets.nursery.missing"),
        (START + FORMAT + 'trim = "yes"\n', "datasets.nursery.trim"),
        (START + "= 1\n", "not valid TOML"),
    ],
)
def test_config_that_cannot_be_used_raises_and_names_the_entry(tmp_path, text, words):
    with pytest.raises(ConfigurationError, match=r"party\.toml") as caught:
        parse(tmp_path, text)
    assert words in caught.value.message
