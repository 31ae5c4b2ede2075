"""Files that appear whole or not at all, and folders for results."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pysim import InputError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write bytes; it takes its name when complete, and replaces what was there.

    Yields
    ------
    BinaryIO
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make an output folder, and the folders above it.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file is in its place" if isinstance(error, FileExistsError) else error.strerror
        raise InputError(f"output folder {str(folder)!r} cannot be written: {reason}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"output folder {str(folder)!r} cannot be written: permission denied")
