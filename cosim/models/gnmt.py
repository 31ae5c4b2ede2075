"""GNMT: the translation system of Wu et al., 'Google's Neural Machine Translation System'.

The paper (arXiv 1609.08144) has 8 layers of width 1,024 on each side. The default here is 4, as in
MLPerf's benchmark and NVIDIA's reference of it, which those who train GNMT in few bits measure
with; set `depth=8` for the paper's. From the reference, too: the source's second layer takes both
directions of the first, and a step's attention follows from the first layer of the decoder at that
step and goes to the layers above it, not back into the first. So all positions of a known target
go through a layer at once.
"""

import math

import torch
from torch import nn
from torch.nn.functional import linear

from cosim.datasets.tokens import PAD
from cosim.models.checks import require_positive, require_share
from cosim.models.decode import State
from cosim.models.lstm import LSTM, BidirectionalLSTM
from pysim import InputError

Tensor = torch.Tensor

INITIAL = 0.1
"""Weights start uniformly within this bound, as in the reference."""


class Encoder(nn.Module):
    """A layer in both directions, then layers in one, with residuals from the third layer on."""

    def __init__(self, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.first = BidirectionalLSTM(width, width)
        self.second = LSTM(2 * width, width)
        self.others = nn.ModuleList(LSTM(width, width) for _ in range(depth - 2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Encode [N, S, width], of which `valid` [N, S] is not filling; the same shape."""
        x = self.first(self.dropout(x), valid)
        x, _ = self.second(self.dropout(x), valid)
        for layer in self.others:
            y, _ = layer(self.dropout(x), valid)
            x = x + y
        return x


class BahdanauAttention(nn.Module):
    """Attention by a perceptron (Bahdanau et al., arXiv 1409.0473), normalised.

    The score of query q and key k is ``g v / |v| . tanh(W q + U k + b)`` (Salimans and Kingma,
    arXiv 1602.07868), with v the parameter `direction`, g `gain`, and b `bias`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.direction = nn.Parameter(torch.empty(width).uniform_(-INITIAL, INITIAL))
        self.gain = nn.Parameter(torch.full((), 1 / math.sqrt(width)))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, valid: Tensor) -> Tensor:
        """Attend from `x` [N, T, width] to `values` [N, S, width]; return the shape of `x`.

        `keys` are the values as the layer `key` projects them; `valid` [N, S] is false at filling.
        """
        pairs = self.query(x)[:, :, None] + (keys + self.bias)[:, None]
        scores = linear(pairs.tanh(), self.direction) * (self.gain / self.direction.norm())
        weights = scores.masked_fill(~valid[:, None], -torch.inf).softmax(-1)
        return torch.bmm(weights, values)


class Decoder(nn.Module):
    """A layer that attends to the source, then layers that see what it attended to."""

    def __init__(self, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.first = LSTM(width, width)
        self.attention = BahdanauAttention(width)
        self.others = nn.ModuleList(LSTM(2 * width, width) for _ in range(depth - 1))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, memory: tuple[Tensor, Tensor, Tensor], state: State
    ) -> tuple[Tensor, State]:
        """Take [N, T, width] on from a state; return the same shape and the state then.

        `memory` is the attention's keys and values and where they are valid. The state is h and c
        of each layer; without any, the sentence begins.
        """
        states = list(zip(state[::2], state[1::2], strict=True)) or [None] * (1 + len(self.others))
        x, after = self.first(self.dropout(x), state=states[0])
        context = self.attention(x, *memory)
        then = [*after]
        for i, layer in enumerate(self.others):
            both = self.dropout(torch.cat((x, context), -1))
            y, after = layer(both, state=states[i + 1])
            # The reference begins its residuals above the second layer.
            x = y if i == 0 else x + y
            then += after
        return x, tuple(then)


class GNMT(nn.Module):
    """Encoder and decoder of LSTM layers; the defaults are the reference's.

    Parameters
    ----------
    vocabulary : int
        Tokens, the same for both languages, which share one embedding.
    width, depth : int
        Of each layer, and layers of the encoder and of the decoder.
    dropout : float
        Of the input of each layer.
    initial : float
        Weights start uniformly within this bound; narrow models want a greater one.

    Raises
    ------
    InputError
        If a size is not positive, the depth is less than 2, or the dropout is not a share.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 1024,
        depth: int = 4,
        dropout: float = 0.2,
        initial: float = INITIAL,
    ) -> None:
        super().__init__()
        require_positive(vocabulary=vocabulary, width=width, depth=depth)
        require_share(dropout=dropout)
        if depth < 2:
            raise InputError(f"depth {depth} is out of range: at least 2")
        self.embedding = nn.Embedding(vocabulary, width)
        self.encoder = Encoder(width, depth, dropout)
        self.decoder = Decoder(width, depth, dropout)
        self.classifier = nn.Linear(width, vocabulary)
        for module in self.modules():
            if isinstance(module, LSTM):
                for parameter in module.parameters():
                    nn.init.uniform_(parameter, -initial, initial)
                nn.init.zeros_(module.bias_hh)
        for module in (self.embedding, self.classifier):
            for parameter in module.parameters():
                nn.init.uniform_(parameter, -initial, initial)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Predict each token of a target from those before it.

        Parameters
        ----------
        source : int64, shape [N, S]
            Tokens, filled up with `PAD`.
        target : int64, shape [N, T]
            Tokens from `BEGIN` on, filled up with `PAD`.

        Returns
        -------
        torch.Tensor of float32, shape [N, T, vocabulary]
            Logits of the token that follows each.
        """
        # Filling follows all else in a target, so nothing of it reaches a token that counts.
        x, _ = self.decoder(self.embedding(target), self._encode(source), ())
        return self.classifier(x)

    def start(self, source: Tensor) -> State:
        """Encode [N, S] tokens; return keys, values, mask, and h and c of each layer."""
        memory = self._encode(source)
        values = memory[1]
        return *memory, *(values.new_zeros(values[:, 0].shape) for _ in range(2 * self._depth))

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one token of each target [N]; return logits [N, vocabulary] and the state then."""
        keys, values, valid, *states = state
        memory = keys, values, valid
        x, after = self.decoder(self.embedding(tokens[:, None]), memory, tuple(states))
        return self.classifier(x[:, 0]), (*memory, *after)

    @property
    def _depth(self) -> int:
        return 1 + len(self.decoder.others)

    def _encode(self, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        valid = source != PAD
        values = self.encoder(self.embedding(source), valid)
        return self.decoder.attention.key(values), values, valid
