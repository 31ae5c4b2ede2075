"""The configuration: what it allows, and the sentences about the rest."""

import json

import pytest

from pysim import ArrayConfig, InputError


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"rows": 0}, "rows 0 is out of range: it must lie between 1 and 64"),
        ({"cols": 65}, "cols 65 is out of range"),
        ({"rows": 4.0}, "rows must be an integer, not 4.0"),
        ({"rows": True}, "rows must be an integer"),
        ({"lfsr_width": 12}, "lfsr_width 12 is not one of"),
        ({"random_bits": 0}, "random_bits 0"),
        ({"latency": -1}, "latency -1"),
        ({"latency": 7}, "latency 7 .* 0 and 6"),
        ({"random_bits": 25}, "random_bits 25 .* 1 and 24"),
        ({"lfsr_width": 8, "random_bits": 9}, "random_bits 9 .* 1 and 8"),
        ({"seed": 0}, "0x0 is not allowed"),
        ({"lfsr_width": 16, "random_bits": 8, "seed": 1 << 16}, "0x10000 is not allowed"),
        ({"load_c": 1, "latency": 2}, "load_c must be true or false, not 1"),
        ({"operand_formats": []}, r"operand_formats \[\] must be a list of one or two of"),
        ({"operand_formats": ["fp16"]}, r"operand_formats \['fp16'\] must be"),
        ({"operand_formats": "e5m2"}, "operand_formats 'e5m2' must be"),
        ({"load_c": False}, "the bare array, of latency 0, multiplies both formats and has C"),
        ({"operand_formats": ["e4m3"]}, "the bare array"),
        ({"depth": 3}, "unknown configuration key 'depth': allowed are"),
    ],
)
def test_bad_field(values, complaint):
    with pytest.raises(InputError, match=complaint):
        ArrayConfig.from_dict(values)


def test_round_trip():
    config = ArrayConfig(3, 5, 32, 7, 99, 4, ("e4m3",), load_c=False)
    assert ArrayConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_formats_are_in_the_order_of_their_codes():
    config = ArrayConfig(operand_formats=("e4m3", "e5m2"))
    assert config == ArrayConfig()
    assert [fmt.name for fmt in config.multiplied] == ["e5m2", "e4m3"]


def test_toml(tmp_path):
    path = tmp_path / "array.toml"
    path.write_text("rows = 3\ncols = 5\nrandom_bits = 8\noperand_formats = ['e5m2', 'e4m3']\n")
    assert ArrayConfig.from_toml(path) == ArrayConfig(3, 5, random_bits=8)
    assert ArrayConfig.from_toml(path, cols=6, rows=None) == ArrayConfig(3, 6, random_bits=8)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("rows = ", "is not TOML"), ("raws = 3", "unknown configuration key 'raws'"), (None, "read")],
)
def test_bad_toml(tmp_path, text, complaint):
    path = tmp_path / "array.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=f"array.toml.*{complaint}"):
        ArrayConfig.from_toml(path)
