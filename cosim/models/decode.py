"""From a model's predictions to a translation: greedily, or by beam search."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import nn

from cosim.datasets.tokens import BEGIN, END, PAD
from cosim.models.checks import require_positive
from pysim import InputError

Tensor = torch.Tensor

State = tuple[Tensor, ...]
"""What a model knows of sources and of targets so far: tensors whose rows are the sentences."""

LONGER = 50
"""How many tokens more than its source a translation has at most, as in arXiv 1706.03762."""


class Translator(Protocol):
    """A model that predicts a target token by token."""

    training: bool

    def train(self, mode: bool = True) -> nn.Module:
        """Switch what differs between training and use."""
        ...

    def __call__(self, source: Tensor, target: Tensor) -> Tensor:
        """Return logits [N, T, vocabulary] for `source` [N, S] and `target` [N, T]."""
        ...

    def start(self, source: Tensor) -> State:
        """Return the state before the first token of the target."""
        ...

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return logits [N, vocabulary] of what follows `tokens` [N], and the state then."""
        ...


def greedy(model: Translator, source: Tensor, *, length: int | None = None) -> Tensor:
    """Translate by taking the likeliest token, again and again.

    Parameters
    ----------
    model : Translator
        It is in evaluation mode meanwhile.
    source : int64, shape [N, S]
        Tokens, filled up with `PAD`.
    length : int, optional
        Tokens of a translation at most, `END` included; those of the source and `LONGER` more by
        default.

    Returns
    -------
    torch.Tensor of int64, shape [N, up to `length`]
        Without `BEGIN`; `END`, unless there was no room for it, then `PAD`.
    """
    tokens = torch.full((len(source),), BEGIN, device=source.device)
    done = torch.zeros_like(tokens, dtype=torch.bool)
    chosen = []
    with _evaluating(model):
        state = model.start(source)
        for _ in range(_limit(source, length)):
            logits, state = model.step(tokens, state)
            tokens = _allowed(logits).argmax(-1).masked_fill(done, PAD)
            chosen.append(tokens)
            done = done | (tokens == END)
            if bool(done.all()):
                break
    return torch.stack(chosen, 1)


def beam_search(
    model: Translator,
    source: Tensor,
    *,
    beams: int = 4,
    penalty: float = 0.6,
    length: int | None = None,
) -> Tensor:
    """Translate by keeping several of the likeliest translations at a time.

    Of those that ended, the one with the greatest ``log P / lp`` wins, with the length penalty
    ``lp = ((5 + tokens) / 6) ** penalty`` of arXiv 1609.08144, equation 14; its penalty on coverage
    is left out. The search ends when no translation can win any more that has not ended yet.

    Parameters
    ----------
    model, source, length
        As in `greedy`.
    beams : int
        Translations kept.
    penalty : float
        0 favours short translations; 0.6 is that of arXiv 1706.03762.

    Returns
    -------
    torch.Tensor of int64, shape [N, up to `length`]
        As in `greedy`.

    Raises
    ------
    InputError
        If a size is not positive or the penalty is negative.
    """
    require_positive(beams=beams)
    if not penalty >= 0:
        raise InputError(f"penalty {penalty!r} is out of range: at least 0")
    limit = _limit(source, length)
    count = len(source)
    first_beam = torch.arange(count, device=source.device)[:, None] * beams

    alive = torch.full((count, beams), -torch.inf, device=source.device)
    alive[:, 0] = 0  # all beams are the same yet, so only one may go on
    alive_tokens = torch.full((count, beams, limit + 1), PAD, device=source.device)
    alive_tokens[:, :, 0] = BEGIN
    ended = torch.full_like(alive, -torch.inf)
    ended_tokens = alive_tokens.clone()

    with _evaluating(model):
        state = tuple(part.repeat_interleave(beams, 0) for part in model.start(source))
        for size in range(1, limit + 1):
            logits, state = model.step(alive_tokens[:, :, size - 1].flatten(), state)
            each = _allowed(logits).log_softmax(-1).unflatten(0, (count, beams))
            # Of twice as many candidates as beams, enough to fill the beams have not ended.
            scores, flat = (alive[:, :, None] + each).flatten(1).topk(2 * beams)
            origin, token = flat // each.shape[-1], flat % each.shape[-1]
            candidates = _rows(alive_tokens, origin)
            candidates[:, :, size] = token

            at_end = token == END
            final = (scores / _length_penalty(size, penalty)).masked_fill(~at_end, -torch.inf)
            ended, best = torch.cat((ended, final), 1).topk(beams)
            ended_tokens = _rows(torch.cat((ended_tokens, candidates), 1), best)

            alive, best = scores.masked_fill(at_end, -torch.inf).topk(beams)
            alive_tokens = _rows(candidates, best)
            beam = (first_beam + origin.gather(1, best)).flatten()
            state = tuple(part[beam] for part in state)
            # A log-probability only falls, and the greatest penalty raises it the most.
            if bool((alive[:, 0] / _length_penalty(limit, penalty) <= ended[:, 0]).all()):
                break
    none_ended = ended[:, 0].isneginf()
    best_tokens = torch.where(none_ended[:, None], alive_tokens[:, 0], ended_tokens[:, 0])
    return best_tokens[:, 1 : size + 1]


@contextmanager
def _evaluating(model: Translator) -> Iterator[None]:
    training = model.training
    model.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def _limit(source: Tensor, length: int | None) -> int:
    length = source.shape[1] + LONGER if length is None else length
    require_positive(length=length)
    return length


def _allowed(logits: Tensor) -> Tensor:
    """Rule out tokens that no translation has."""
    never = torch.tensor([PAD, BEGIN], device=logits.device)
    return logits.index_fill(-1, never, -torch.inf)


def _length_penalty(size: int, penalty: float) -> float:
    return ((5 + size) / 6) ** penalty


def _rows(tokens: Tensor, which: Tensor) -> Tensor:
    """Choose translations [N, K, L] by `which` [N, J] for each sentence; [N, J, L]."""
    return tokens.gather(1, which[:, :, None].expand(-1, -1, tokens.shape[2]))
