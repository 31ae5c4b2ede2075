"""Compile once, cache for good: what the machine builds for itself at first use.

The cache is ``$FP8COSIM_CACHE``, else ``$XDG_CACHE_HOME/fp8cosim``, else ``~/.cache/fp8cosim``.
An entry's name holds a digest of everything it was made from, so it never goes stale. Entries are
made in a temporary folder beside their place and renamed when complete: a build killed midway
leaves no entry. A lock lets one of several processes build while the others wait for it.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pysim.errors import InputError, MissingToolError


def cache_folder() -> Path:
    """Return the folder that holds every cached build."""
    if own := os.environ.get("FP8COSIM_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "fp8cosim"
    return Path.home() / ".cache" / "fp8cosim"


def cached(name: str, key: Iterable[str | bytes], make: Callable[[Path], None]) -> Path:
    """Return the folder of a cache entry; make the entry if it is absent.

    Parameters
    ----------
    name : str
        Start of the entry's name, for people.
    key : iterable of str or bytes
        Everything that the entry depends on: sources, options, versions of tools.
    make : callable
        Called with an empty folder to fill; what it raises leaves no entry.

    Raises
    ------
    InputError
        If the cache cannot be written.
    """
    digest = hashlib.sha256()
    for part in key:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    entry = cache_folder() / f"{name}-{digest.hexdigest()[:20]}"
    if entry.is_dir():
        return entry
    with _locked(entry):
        if not entry.is_dir():
            _fill(entry, make)
    return entry


def build_library(
    name: str,
    sources: Sequence[Path],
    *,
    headers: Sequence[Path] = (),
    flags: Sequence[str] = ("-O3",),
    include_dirs: Sequence[Path] = (),
    compiler: str = "g++",
) -> Path:
    """Compile C++ sources to a shared library, once for each state of what it is made from.

    Parameters
    ----------
    name : str
        Name of the library, without prefix and suffix.
    sources : sequence of Path
        Files to compile; they are compiled in parallel.
    headers : sequence of Path
        Files that the sources include and that may change.
    flags : sequence of str
        For compiling and linking; ``-shared -fPIC`` come on top.
    include_dirs : sequence of Path
        Folders to search for headers.
    compiler : str

    Returns
    -------
    Path
        The shared library.

    Raises
    ------
    MissingToolError
        If there is no such compiler.
    InputError
        If the cache cannot be written.
    RuntimeError
        If the compiler fails; with its complaint.
    """
    version = tool_version(compiler)
    includes = [f"-I{folder}" for folder in include_dirs]
    options = [*flags, "-fPIC", *includes]

    def make(folder: Path) -> None:
        objects = [folder / f"{i}.o" for i in range(len(sources))]
        run_all(
            [
                [compiler, *options, "-c", str(source), "-o", str(target)]
                for source, target in zip(sources, objects, strict=True)
            ]
        )
        library = folder / f"lib{name}.so"
        run_all([[compiler, *options, "-shared", *map(str, objects), "-o", str(library)]])
        for target in objects:
            target.unlink()

    contents = [path.read_bytes() for path in (*sources, *headers)]
    return cached(name, [version, *options, *contents], make) / f"lib{name}.so"


def tool_version(tool: str) -> str:
    """Return what a tool prints of its version; MissingToolError if it is absent."""
    if shutil.which(tool) is None:
        raise MissingToolError(
            f"{tool} is missing: install a C++ compiler, such as the package g++ or build-essential"
        )
    result = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True)
    return result.stdout


def compiler_version(compiler: str, *flags: str) -> str:
    """Return what a compiler prints of its version, and the macros that it predefines with flags.

    The macros tell machines that share a cache what ``-march=native`` stands for on each.

    Raises
    ------
    MissingToolError
        If there is no such compiler.
    """
    version = tool_version(compiler)
    command = [compiler, *flags, "-dM", "-E", "-x", "c++", os.devnull]
    return version + subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run_all(commands: Iterable[list[str]]) -> None:
    """Run commands, as many at once as there are cores.

    Raises
    ------
    RuntimeError
        If one fails, with its complaint.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(_run, commands):
            if result.returncode != 0:
                raise RuntimeError(f"{' '.join(result.args)} failed:\n{result.stdout[-4000:]}")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def _locked(entry: Path) -> Iterator[None]:
    """Hold the entry's lock; the system drops it when the holder dies."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = open(entry.with_name(f".{entry.name}.lock"), "w")  # noqa: SIM115
    except OSError as error:
        raise InputError(
            f"cache folder {str(entry.parent)!r} cannot be written ({error.strerror}): "
            "set FP8COSIM_CACHE to one that can"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fill(entry: Path, make: Callable[[Path], None]) -> None:
    # Whoever holds the lock is the only builder: older folders belong to builds that were killed.
    prefix = f".{entry.name}."
    for left_over in entry.parent.glob(f"{prefix}*.tmp"):
        shutil.rmtree(left_over)
    folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=entry.parent))
    try:
        make(folder)
        folder.chmod(0o755)
        folder.rename(entry)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
