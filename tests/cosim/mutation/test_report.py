"""What a campaign says of its mutants."""

from cosim.mutation.campaign import EQUIVALENT, KILLED, SURVIVED, Verdict
from cosim.mutation.report import by_module, killers, plot, summarise, table

VERDICTS = [
    Verdict("a: 1", "a", KILLED, "regression: random_gemms", "", 1.0),
    Verdict("a: 2", "a", KILLED, "proof: adder/sum", "", 1.0),
    Verdict("a: 3", "a", KILLED, "regression: random_gemms", "", 1.0),
    Verdict("a: 4", "a", EQUIVALENT, "miter", "the same", 1.0),
    Verdict("b: 1", "b", SURVIVED, "", "", 1.0),
]


def test_score_is_the_share_of_faults():
    total = summarise(VERDICTS)
    assert total["mutants"] == 5
    assert (total[KILLED], total[EQUIVALENT], total[SURVIVED]) == (3, 1, 1)
    assert total["score"] == 3 / 4
    assert total["score_of_all"] == 3 / 5
    assert total["killed_by"] == {"regression": 2, "proof": 1, "exhaust": 0}
    assert by_module(VERDICTS)["a"]["score"] == 1
    assert summarise(VERDICTS[3:4])["score"] is None


def test_table_names_survivors():
    text = table(VERDICTS)
    assert "| a | 4 | 1 | 2 | 1 | 0 | 0 | 100.0 % |" in text
    assert "| **all** | 5 | 1 | 2 | 1 | 0 | 1 | 75.0 % |" in text
    assert "- b: 1: not explained" in text


def test_most_telling_check_comes_first():
    assert list(killers(VERDICTS).items()) == [
        ("regression: random_gemms", 2),
        ("proof: adder/sum", 1),
    ]


def test_picture():
    assert plot(VERDICTS).startswith(b"\x89PNG")
