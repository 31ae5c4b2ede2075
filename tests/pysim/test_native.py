"""The build cache: one build whoever asks, and none left half done."""

import ctypes
import multiprocessing
import os
import signal
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


def test_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FP8COSIM_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(InputError, match="FP8COSIM_CACHE"):
        native.cached("entry", ["key"], lambda folder: None)


def _slow_entry(marks):
    def make(folder):
        (marks / f"{os.getpid()}").touch()
        (folder / "part").touch()
        time.sleep(0.5)
        (folder / "whole").touch()

    return native.cached("slow", ["key"], make)


def _entry_is_whole(marks):
    return (_slow_entry(marks) / "whole").exists()


def test_two_processes_build_once(tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_entry_is_whole, [marks, marks], chunksize=1) == [True, True]
    assert len(list(marks.iterdir())) == 1


def test_killed_build_recovers(tmp_path, cache):
    marks = tmp_path / "marks"
    marks.mkdir()
    builder = multiprocessing.get_context("spawn").Process(target=_slow_entry, args=(marks,))
    builder.start()
    while not list(marks.iterdir()):
        time.sleep(0.01)
    os.kill(builder.pid, signal.SIGKILL)
    builder.join()
    assert list(cache.glob(".slow*.tmp"))
    assert _entry_is_whole(marks)
    assert not list(cache.glob(".slow*.tmp"))
