"""The tests of the regression, once for each mutant of a sieve; cocotb runs them."""

import json
import os
from pathlib import Path

import cocotb

from cosim.mutation.mutants import SELECT
from cosim.mutation.sieve import ENVIRONMENT, NOTICED, test_name
from cosim.regression.runner import SUITES
from cosim.regression.testbench import Setup

_FILE = Path(os.environ[ENVIRONMENT])
_SIEVE = json.loads(_FILE.read_text())
_SUITE = SUITES[Setup.from_environment().manifest["top"]]
_noticed: set[int] = set()


def _with_mutant(number: int, test: str):
    async def run(dut) -> None:
        if number in _noticed:
            return
        # A task that fails cancels the test, which then only knows that it has not come to its end.
        why = "a stream broke its rules"
        passed = False
        try:
            getattr(dut, SELECT).value = number
            bench = _SUITE.bench(dut, Setup.from_environment(), test)
            await bench.start()
            await _SUITE.functions[test](bench)
            passed = True
        except Exception as error:
            why = (str(error).splitlines() or [type(error).__name__])[0]
        finally:
            if not passed:
                _noticed.add(number)
                line = {"mutant": number, "test": test, "why": why}
                with _FILE.with_name(NOTICED).open("a") as file:
                    file.write(json.dumps(line) + "\n")

    return cocotb.test(name=test_name(number, test))(run)


for _number in _SIEVE["mutants"]:
    for _test in _SIEVE["tests"]:
        globals()[test_name(_number, _test)] = _with_mutant(_number, _test)
