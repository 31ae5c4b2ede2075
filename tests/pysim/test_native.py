"""The build cache: one build whoever asks, and none left half done."""

import ctypes
import subprocess
import sys
import time

import pytest

from pysim import InputError, native
from pysim.errors import MissingToolError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("FP8COSIM_CACHE", str(folder))
    return folder


def test_folder_by_environment(monkeypatch, tmp_path):
    assert native.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("FP8COSIM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert native.cache_folder() == tmp_path / "shared" / "fp8cosim"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert native.cache_folder() == tmp_path / ".cache" / "fp8cosim"


def test_library_is_built_once_for_each_source(tmp_path):
    source, header = tmp_path / "answer.cpp", tmp_path / "answer.h"
    header.write_text("#define ANSWER 42\n")
    source.write_text('#include "answer.h"\nextern "C" int answer() { return ANSWER; }\n')

    def build():
        return native.build_library("answer", [source], headers=[header], flags=["-O1"])

    first = build()
    built = first.stat().st_mtime_ns
    assert ctypes.CDLL(str(first)).answer() == 42
    assert build() == first
    assert first.stat().st_mtime_ns == built
    header.write_text("#define ANSWER 43\n")
    second = build()
    assert second != first
    assert ctypes.CDLL(str(second)).answer() == 43


def test_failed_build_leaves_nothing(tmp_path, cache):
    source = tmp_path / "wrong.cpp"
    source.write_text("int wrong( {\n")
    with pytest.raises(RuntimeError, match=r"wrong\.cpp"):
        native.build_library("wrong", [source])
    assert [path.name for path in cache.iterdir() if not path.name.endswith(".lock")] == []


def test_missing_compiler(tmp_path):
    with pytest.raises(MissingToolError, match="no-such-compiler"):
        native.build_library("none", [], compiler="no-such-compiler")


def test_version_of_a_compiler_tells_its_target():
    generic = native.compiler_version("g++")
    assert generic.startswith(native.tool_version("g++"))
    assert "#define __SIZEOF_POINTER__" in generic
    assert native.compiler_version("g++", "-O2") != generic


def test_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FP8COSIM_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(InputError, match="FP8COSIM_CACHE"):
        native.cached("entry", ["key"], lambda folder: None)


SLOW_BUILD = """
import os, sys, time
from pathlib import Path
from pysim import native

marks = Path(sys.argv[1])

def make(folder):
    (marks / str(os.getpid())).touch()
    (folder / "part").touch()
    time.sleep(0.5)
    (folder / "whole").touch()

sys.exit(not (native.cached("slow", ["key"], make) / "whole").exists())
"""


@pytest.fixture
def marks(tmp_path):
    """A folder with a file for each process that began to build."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def start_slow_build(marks):
    return subprocess.Popen([sys.executable, "-c", SLOW_BUILD, str(marks)])


def test_two_processes_build_once(marks):
    builders = [start_slow_build(marks) for _ in range(2)]
    assert [builder.wait(60) for builder in builders] == [0, 0]
    assert len(list(marks.iterdir())) == 1


def test_killed_build_recovers(marks, cache):
    builder = start_slow_build(marks)
    while not list(marks.iterdir()):
        assert builder.poll() is None
        time.sleep(0.01)
    builder.kill()
    builder.wait()
    assert list(cache.glob(".slow*.tmp"))
    assert start_slow_build(marks).wait(60) == 0
    assert not list(cache.glob(".slow*.tmp"))
