"""The notation of signals: there and back."""

import pytest

from rtl_gen.sigspec import parse, write

WIDTHS = {r"\a": 4, r"\b": 1, "$1": 8}


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        (r"\a", [(r"\a", i) for i in range(4)]),
        (r"\a [2:1]", [(r"\a", 1), (r"\a", 2)]),
        (r"\a [3]", [(r"\a", 3)]),
        ("3'110", [("", 0), ("", 1), ("", 1)]),
        ("5", [("", 1), ("", 0), ("", 1)] + 29 * [("", 0)]),
        ("-1", 32 * [("", 1)]),
        (r"{ \b \a [1:0] }", [(r"\a", 0), (r"\a", 1), (r"\b", 0)]),
    ],
)
def test_parse(text, bits):
    assert parse(text, WIDTHS) == bits


@pytest.mark.parametrize("text", [r"\a", r"\a [2:1]", "3'110", r"{ \b 2'01 $1 [7:3] }", r"\b"])
def test_round_trip(text):
    bits = parse(text, WIDTHS)
    assert parse(write(bits), WIDTHS) == bits
