"""The vector simulator equals Verilator in every register at every clock, whatever the Verilog."""

import json
import os

import numpy as np
import pytest

import rtl_gen
from cosim.lockstep import Difference, Lockstep, Reproducer, random_commands, random_stimulus
from cosim.lockstep.netlists import random_batch
from cosim.mutation.faults import FAULTS, find_module
from cosim.vector import Layout, Netlist, Port, compile_netlist, load_model, read_verilog
from pysim import ArrayConfig, InputError

NETLISTS = int(os.environ.get("FP8COSIM_NETLISTS", "16"))
"""Random circuits to compare; `make test-long` sets thousands."""

BATCH = 40

ODD = """
module leaf #(parameter W = 4) (input clk, input [W-1:0] d, output reg [W-1:0] \\q.x );
  reg [W-1:0] memory [0:3];
  reg [80:0] \\wide$1 = 7;
  always @(posedge clk) begin
    \\q.x <= memory[d[1:0]];
    memory[d[1:0]] <= d;
    \\wide$1 <= {\\wide$1 [76:0], d[3:0]};
  end
endmodule

module odd(input clk, input [99:0] in__put, output [99:0] y);
  wire [8:0] first;
  reg [99:0] held;
  leaf #(.W(9)) \\a.b (.clk(clk), .d(in__put[8:0]), .\\q.x (first));
  leaf second (.clk(clk), .d(first[3:0]), .\\q.x (y[3:0]));
  always @(posedge clk) held[70:5] <= in__put[65:0];
  assign y[99:4] = held[99:4];
endmodule
"""

COUNTER = """
module counter(input clk, input rst, input step, output reg [6:0] total);
  always @(posedge clk) if (rst) total <= 0; else if (step) total <= total + 1;
endmodule
"""


def run(texts, top, clocks=2000, seed=0):
    circuit = Lockstep(texts, top)
    return circuit.run(random_stimulus(circuit.source.inputs, clocks, seed)), circuit


def test_every_module_of_the_design(fp8cosim):
    done = fp8cosim("lockstep", "--rows", 2, "--cols", 4, "--clocks", 3000, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"]
    modules = {row["module"]: row for row in result["modules"]}
    assert set(modules) == set(rtl_gen.design(ArrayConfig(2, 4)).modules)
    assert modules["fp8_mac_array"]["lanes"]["fp8_pe"] == 8
    assert modules["fp8_mac_array"]["registers"] > 8 * 3
    assert all(row["clocks"] == 3000 for row in modules.values())


def test_odd_names_parameters_memories_and_wide_ports():
    difference, circuit = run({"odd": ODD}, "odd")
    assert difference is None
    names = {port.name for port in circuit.source.registers}
    assert {r"a.b.q.x", "a.b.memory[3]", "second.wide$1", "held[70:5]"} <= names


@pytest.mark.parametrize("first", range(0, NETLISTS, BATCH))
def test_random_circuits(first):
    texts, top = random_batch(range(first, min(first + BATCH, NETLISTS)))
    difference, circuit = run(texts, top, clocks=1000, seed=first)
    assert difference is None, str(difference)
    assert circuit.source.lanes


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_verilog_does_the_same_under_both(name):
    fault = FAULTS[name]
    design = rtl_gen.design(ArrayConfig(2, 2))
    faulty = fault.plant(design)
    top = find_module(faulty, fault.unit)
    circuit = Lockstep(faulty.modules, top)
    typical = {"commands_payload": random_commands(design)}
    stimulus = random_stimulus(circuit.source.inputs, 20_000, 0, typical)
    assert circuit.run(stimulus) is None
    sound = compile_netlist(read_verilog(design.modules, top))
    if sound.inputs == circuit.source.inputs and sound.registers == circuit.source.registers:
        # It is the fault that was simulated: the sound module does something else.
        trace = load_model(circuit.source).run(stimulus)
        assert not np.array_equal(trace, load_model(sound).run(stimulus))


def test_difference_and_its_file(tmp_path, fp8cosim):
    texts = {"counter": COUNTER}
    faulty = COUNTER.replace("total + 1", "total + (total == 40 ? 2 : 1)")
    circuit = Lockstep(texts, "counter", netlist=read_verilog({"counter": faulty}, "counter"))
    stimulus = np.zeros((100, 2), dtype=np.uint64)
    stimulus[:, 1] = 1
    difference = circuit.run(stimulus)
    assert difference == Difference(clock=41, name="total", vector=42, verilator=41)
    assert str(difference) == "total is 0x2a under vector and 0x29 under Verilator at clock 41"
    path = tmp_path / "found.npz"
    Reproducer(texts, "counter", stimulus[:42], difference).save(path)
    loaded = Reproducer.load(path)
    assert (loaded.modules, loaded.top, loaded.difference) == (texts, "counter", difference)
    # The simulators do agree on what the file holds.
    done = fp8cosim("lockstep", "--again", path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["modules"][0]["clocks"] == 42


def test_difference_ends_the_command(tmp_path, monkeypatch, capsys):
    from cosim.cli.lockstep import lockstep
    from cosim.errors import CheckFailedError

    file = tmp_path / "counter.v"
    file.write_text(COUNTER)
    monkeypatch.setattr(Lockstep, "run", lambda self, stimulus: Difference(7, "total", 1, 2))
    with pytest.raises(CheckFailedError, match=r"counter: total is 0x1 .* recorded in .*\.npz"):
        lockstep(verilog=[file], top="counter", clocks=50, output=tmp_path, as_json=True)
    result = json.loads(capsys.readouterr().out)
    assert not result["passed"]
    assert len(Reproducer.load(tmp_path / "lockstep-counter.npz").stimulus) == 8


def test_not_a_file_of_lockstep(tmp_path):
    (tmp_path / "x.npz").write_text("nothing")
    with pytest.raises(InputError, match="not a file of lockstep"):
        Reproducer.load(tmp_path / "x.npz")


def test_stimulus():
    ports = [Port("rst", 1), Port("wide", 70), Port("rst_n", 1)]
    stimulus, layout = random_stimulus(ports, 500, 3), Layout(ports)
    assert [layout.read(row, "rst") for row in stimulus[:4]] == [0, 1, 1, 0]
    assert [layout.read(row, "rst_n") for row in stimulus[:4]] == [1, 0, 0, 1]
    values = {layout.read(row, "wide") for row in stimulus}
    assert max(values) < 1 << 70
    assert len(values) > 100
    assert np.array_equal(stimulus, random_stimulus(ports, 500, 3))
    assert not np.array_equal(stimulus, random_stimulus(ports, 500, 4))
    chosen = random_stimulus([Port("x", 40)], 500, 0, {"x": [77, 78]})
    assert 150 < sum(row[0] in (77, 78) for row in chosen) < 350


def test_netlist_of_one_module_of_many():
    texts, top = random_batch(range(3))
    netlist = read_verilog(texts, top)
    one = compile_netlist(Netlist(netlist.modules, "n1"))
    assert {port.name for port in one.outputs} == {"y"}


CASES = {
    "two sources": (["--rtl", "x", "--again", "y"], "--rtl and --again both say what to run"),
    "size": (["--again", "y", "--rows", "4"], "leave out --rows"),
    "no top": (["--verilog", "a.v"], "--verilog and --top belong together"),
    "no file": (["--verilog", "a.v", "--top", "a"], "'a.v' cannot be read"),
    "module": (["--rows", "1", "--cols", "1", "--module", "pe"], "no module 'pe' is in use"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(fp8cosim_here, case):
    arguments, complaint = CASES[case]
    done = fp8cosim_here("lockstep", *arguments)
    assert done.returncode == 2, done.stderr
    assert complaint in done.stderr
    assert done.stdout == ""
