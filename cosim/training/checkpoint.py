"""Checkpoints: a run goes on from one bit for bit."""

import pickle
from pathlib import Path

import torch

from cosim.files import replacing
from pysim import InputError

CHECKPOINT = "checkpoint.pt"
FORMAT_VERSION = 3


def save(folder: Path, step: int, learner: dict, twin: dict | None, seconds: float) -> None:
    """Write the checkpoint of a run; it replaces the one before when it is complete.

    Parameters
    ----------
    folder : Path
    step : int
        Steps done.
    learner : dict
        From `Learner.state`.
    twin : dict or None
        Of the twin in FP32.
    seconds : float
        Wall-clock time so far.
    """
    state = {
        "version": FORMAT_VERSION,
        "step": step,
        "learner": learner,
        "twin": twin,
        "seconds": seconds,
    }
    with replacing(folder / CHECKPOINT) as file:
        torch.save(state, file)


def load(folder: Path) -> dict:
    """Return what `save` wrote, by name.

    Raises
    ------
    InputError
        If there is no checkpoint, or it cannot be read.
    """
    path = folder / CHECKPOINT
    try:
        state = torch.load(path, weights_only=True)
        version = state["version"]
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"checkpoint {str(path)!r} cannot be read: {reason}") from error
    if version != FORMAT_VERSION:
        raise InputError(f"checkpoint {str(path)!r} is of version {version}, not {FORMAT_VERSION}")
    return state
