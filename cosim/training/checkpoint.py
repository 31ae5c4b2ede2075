"""Checkpoints: a run goes on from one bit for bit."""

import pickle
from pathlib import Path

import torch

from cosim.files import replacing
from pysim import InputError

CHECKPOINT = "checkpoint.pt"
FORMAT_VERSION = 4
KEYS = {"version", "settings", "data", "step", "learner", "twin", "ranks", "seconds"}


def save(
    folder: Path,
    *,
    settings: dict,
    data: str,
    step: int,
    learner: dict,
    twin: dict | None,
    ranks: list[dict],
    seconds: float,
) -> None:
    """Write the checkpoint of a run; it replaces the one before when it is complete.

    The order of the data follows from the seed of the settings and the step.

    Parameters
    ----------
    folder : Path
    settings : dict
        From `TrainingSettings.to_dict`.
    data : str
        Fingerprint of the data.
    step : int
        Steps done.
    learner : dict
        From `Learner.state`: model, optimiser, masters with their lanes, loss scaler.
    twin : dict or None
        Of the twin in FP32.
    ranks : list of dict
        From `Learner.own_state` of the learner of each process: lanes of random bits, histories of
        scales, counts.
    seconds : float
        Wall-clock time so far.
    """
    state = {
        "version": FORMAT_VERSION,
        "settings": settings,
        "data": data,
        "step": step,
        "learner": learner,
        "twin": twin,
        "ranks": ranks,
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
    except (
        *(OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError),
        pickle.UnpicklingError,
    ) as error:
        from_the_system = isinstance(error, OSError) and error.filename is not None
        reason = error.strerror if from_the_system else "it is damaged or cut short"
        raise InputError(f"checkpoint {str(path)!r} cannot be read: {reason}") from error
    if version != FORMAT_VERSION:
        raise InputError(f"checkpoint {str(path)!r} is of version {version}, not {FORMAT_VERSION}")
    if state.keys() != KEYS:
        raise InputError(f"checkpoint {str(path)!r} cannot be read: it lacks a part")
    return state
