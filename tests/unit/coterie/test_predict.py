# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from coterie.cli import main
from tests.support.models import make_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tennis.model.json"
    path.write_bytes(make_model().to_bytes())
    return path


def run(*arguments: Path | str) -> str | int | None:
    with pytest.raises(SystemExit) as caught:
        main(["predict", *map(str, arguments)])
    return caught.value.code


def test_predict_adds_prediction_and_probability_to_every_record(model, tmp_path, capsys):
    data = tmp_path / "days.csv"
    data.write_text("day,humidity,outlook\nmon,80,sunny\ntue,20,sunny\nwed,90,rain\n")
    assert run(model, data) == 0
    output = capsys.readouterr()
    rows = [line.split(",") for line in output.out.splitlines()]
    assert rows[0] == ["day", "humidity", "outlook", "prediction", "probability"]
    assert [row[0] for row in rows[1:]] == ["mon", "tue", "wed"]
    assert [row[3] for row in rows[1:]] == ["no", "yes", "yes"]
    assert all(0.5 < float(row[4]) <= 1 for row in rows[1:])
    assert output.err == ""


def test_predict_says_how_well_the_label_was_met_and_writes_to_a_file(model, tmp_path, capsys):
    data, out = tmp_path / "days.csv", tmp_path / "predicted.csv"
    data.write_text("humidity,outlook,play\n80,sunny,no\n20,sunny,no\n")
    assert run(model, data, "--out", out) == 0
    output = capsys.readouterr()
    assert output.out == ""
    assert "play: 1 of 2 right, accuracy 0.500; always 'no': 1.000\n" in output.err
    assert len(out.read_bytes().splitlines()) == 3


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("no", "yes", "", "no", "pending"), "3 of 3 right, accuracy 1.000; always 'no': 0.667 (2 records without"),
        (("yes", "", "", "", "unknown"), "0 of 1 right, accuracy 0.000; always 'yes': 1.000 (4 records without"),
        (("", "?", "", "", ""), "play: no record has a value of its own\n"),
    ],
)
def test_predict_leaves_records_without_an_outcome_out_and_counts_them(model, tmp_path, capsys, labels, words):
    data = tmp_path / "days.csv"
    days = zip(("80,sunny", "20,sunny", "90,sunny", "85,sunny", "30,sunny"), labels, strict=True)
    data.write_text("humidity,outlook,play\n" + "".join(f"{day},{label}\n" for day, label in days))
    assert run(model, data, "--out", tmp_path / "predicted.csv") == 0
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("humidity\n80\n", "outlook"),
        ("humidity,outlook\n80,fog\n", "fog"),
        ("humidity,outlook\nwet,rain\n", "wet"),
        ("", "is empty"),
        ("humidity,outlook\n1,rain\n1,rain,2\n", "row 3 does not have as many cells"),
        ("humidity,outlook,outlook\n1,rain,rain\n", "2 columns named 'outlook'"),
    ],
)
def test_records_that_do_not_fit_are_one_line_and_nothing_is_written(model, tmp_path, capsys, content, words):
    data, out = tmp_path / "days.csv", tmp_path / "predicted.csv"
    data.write_text(content)
    assert run(model, data, "--out", out) == 78
    output = capsys.readouterr()
    assert words in output.err
    assert output.err.startswith("error: ")
    assert output.err.endswith(" [data]\n")
    assert not out.exists()


def test_predict_reads_the_files_that_a_party_reads(model, tmp_path, capsys):
    tables = {
        "gzipped.csv.gz": (gzip.compress(b"humidity,outlook\n70.5,sunny\n"), ["70.5", "sunny"]),
        "semicolons.csv": (b"\xef\xbb\xbfoutlook;humidity\r\nsunny;70.5\r\n\r\n", ["sunny", "70.5"]),
        "latin-1-elsewhere.csv": (b"town,outlook,humidity\nZ\xfcrich,sunny,70.5\n", ["Z\udcfcrich", "sunny", "70.5"]),
        "long-letter.csv": (b"letter,outlook,humidity\n" + b"x" * 300_000 + b",sunny,70.5\n", None),
    }
    for name, (content, cells) in tables.items():
        (tmp_path / name).write_bytes(content)
        assert run(model, tmp_path / name, "--out", tmp_path / "out.csv") == 0
        written = (tmp_path / "out.csv").read_text("utf-8", "surrogateescape").splitlines()
        assert len(written) == 2
        if cells is not None:
            assert written[1].split(",")[:-1] == [*cells, "no"]
    parquet.write_table(pa.table({"humidity": [70.5, 2], "outlook": ["sunny", "rain"]}), tmp_path / "days.parquet")
    assert run(model, tmp_path / "days.parquet") == 0
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    assert [row[:3] for row in rows] == [
        ["humidity", "outlook", "prediction"],
        ["70.5", "sunny", "no"],
        ["2.0", "rain", "yes"],
    ]


def test_predict_takes_the_format_from_its_options(model, tmp_path, capsys):
    data = tmp_path / "days.csv"
    data.write_bytes(" outlook | humidity | day\n sunny | 70,5 | März\n".encode("utf-16"))
    options = ("--separator", "|", "--decimal", ",", "--encoding", "utf-16", "--trim", "--missing", "NA")
    assert run(model, data, *options) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(" sunny , 70,5 , März,no".replace(" 70,5 ", '" 70,5 "'))
    assert run(model, data, *options[2:], "--separator", "ab") == 78
    assert capsys.readouterr().err == (
        "error: options: separator: string should have at most 1 character [configuration]\n"
    )


def test_predict_of_no_records_writes_the_header_alone(model, tmp_path, capsys):
    data = tmp_path / "days.csv"
    data.write_text("humidity,outlook,play\n")
    assert run(model, data) == 0
    assert capsys.readouterr().out == "humidity,outlook,play,prediction,probability\r\n"


def test_predict_compares_the_label_as_its_column_does_and_leaves_unknown_ones_out(model, tmp_path, capsys):
    data = tmp_path / "days.csv"
    data.write_text("humidity,outlook,play\n80,sunny,no\n20,sunny,\n20,sunny,perhaps\n20,sunny,yes\n")
    assert run(model, data) == 0
    assert "play: 2 of 2 right, accuracy 1.000; always 'no': 0.500 (2 records without" in capsys.readouterr().err


def test_file_that_is_no_model_is_one_line(tmp_path, capsys):
    for name in ("model", "data"):
        (tmp_path / name).write_text("a\n1\n")
    assert run(tmp_path / "model", tmp_path / "data") == 78
    assert capsys.readouterr().err.endswith(" [configuration]\n")


def test_predict_takes_a_dash_for_standard_output(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "days.csv"
    data.write_text("humidity,outlook\n80,sunny\n")
    assert run(model, data, "--out", "-") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert not (tmp_path / "-").exists()
