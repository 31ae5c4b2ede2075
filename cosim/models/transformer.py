"""The Transformer of Vaswani et al., 'Attention Is All You Need' (arXiv 1706.03762)."""

import math

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from cosim.datasets.tokens import PAD
from cosim.models.checks import require_positive, require_share
from cosim.models.decode import State
from pysim import InputError

Tensor = torch.Tensor


class Attention(nn.Module):
    """Attention by several heads, each with projections of its own, [N, T, width] to the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def keys_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what can be attended to in `x` [N, S, width]: twice [N, heads, S, size]."""
        return self._split(self.key(x)), self._split(self.value(x))

    def forward(
        self,
        x: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Attend from `x`, where `mask` [N, 1, 1, S] is true; or to the past, if `causal`."""
        query = self._split(self.query(x))
        heads = scaled_dot_product_attention(query, keys, values, mask, is_causal=causal)
        return self.output(heads.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two linear layers at each position."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))


class Residual(nn.Module):
    """``norm(x + dropout(y))``, which surrounds each part of a layer."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Add and normalise."""
        return self.norm(x + self.dropout(y))


class EncoderLayer(nn.Module):
    """Attention among the positions of the source, and a perceptron."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.feed_forward = FeedForward(width, hidden)
        self.residuals = nn.ModuleList(Residual(width, dropout) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Take [N, S, width] to the same."""
        keys, values = self.attention.keys_and_values(x)
        x = self.residuals[0](x, self.attention(x, keys, values, mask))
        return self.residuals[1](x, self.feed_forward(x))


class DecoderLayer(nn.Module):
    """Attention to the target so far, attention to the source, and a perceptron."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.source_attention = Attention(width, heads)
        self.feed_forward = FeedForward(width, hidden)
        self.residuals = nn.ModuleList(Residual(width, dropout) for _ in range(3))

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor], source: tuple[Tensor, Tensor], mask: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Take positions [N, T, width] that follow those of `past` one step up.

        Parameters
        ----------
        x : float32, shape [N, T, width]
            The first positions of all, or one that has a past.
        past, source : tuple of float32
            Keys and values, each [N, heads, length, size]; of no length if there is no past.
        mask : bool, shape [N, 1, 1, S]
            Where the source is not filling.

        Returns
        -------
        tuple
            What `x` becomes, and the past with `x` in it.
        """
        now = self.attention.keys_and_values(x)
        keys, values = (torch.cat(pair, 2) for pair in zip(past, now, strict=True))
        x = self.residuals[0](x, self.attention(x, keys, values, causal=x.shape[1] > 1))
        x = self.residuals[1](x, self.source_attention(x, *source, mask))
        return self.residuals[2](x, self.feed_forward(x)), (keys, values)


class Transformer(nn.Module):
    """Encoder and decoder of attention; the defaults are the paper's base model.

    Parameters
    ----------
    vocabulary : int
        Tokens, the same for both languages.
    width, depth, heads, feed_forward : int
        Size of a position, layers of the encoder and of the decoder, heads of each attention, and
        hidden units of each perceptron.
    dropout : float
        Of each residual's summand, and of the embedded tokens.
    share : bool
        Whether both embeddings and the projection to the vocabulary are one matrix, as in the
        paper.

    Raises
    ------
    InputError
        If a size is not positive, the width is odd or not a multiple of the heads, or the dropout
        is not a share.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int = 512,
        depth: int = 6,
        heads: int = 8,
        feed_forward: int = 2048,
        dropout: float = 0.1,
        share: bool = True,
    ) -> None:
        super().__init__()
        require_positive(
            vocabulary=vocabulary, width=width, depth=depth, heads=heads, feed_forward=feed_forward
        )
        require_share(dropout=dropout)
        if width % heads or width % 2:
            raise InputError(
                f"width {width} is out of range: even, and a multiple of {heads} heads"
            )
        self.source_embedding = nn.Embedding(vocabulary, width)
        self.target_embedding = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        settings = (width, heads, feed_forward, dropout)
        self.encoder = nn.ModuleList(EncoderLayer(*settings) for _ in range(depth))
        self.decoder = nn.ModuleList(DecoderLayer(*settings) for _ in range(depth))
        # Last, as it is used: the bridge counts a matrix that is shared as its last owner's.
        self.classifier = nn.Linear(width, vocabulary, bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for embedding in (self.source_embedding, self.target_embedding, self.classifier):
            nn.init.normal_(embedding.weight, std=width**-0.5)
        if share:
            self.source_embedding.weight = self.classifier.weight
            self.target_embedding.weight = self.classifier.weight

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
        logits, _ = self._decode(target, self.start(source))
        return logits

    def start(self, source: Tensor) -> State:
        """Encode [N, S] tokens; return the mask, and keys and values for each layer of the decoder.

        Those of the target so far come first, of no length yet, then those of the source.
        """
        mask = (source != PAD)[:, None, None]
        x = self._embed(self.source_embedding, source, 0)
        for layer in self.encoder:
            x = layer(x, mask)
        state = [mask]
        for layer in self.decoder:
            assert isinstance(layer, DecoderLayer)
            keys, values = layer.source_attention.keys_and_values(x)
            state += [keys[:, :, :0], values[:, :, :0], keys, values]
        return tuple(state)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one token of each target [N]; return logits [N, vocabulary] and the state then."""
        logits, state = self._decode(tokens[:, None], state)
        return logits[:, 0], state

    def _decode(self, target: Tensor, state: State) -> tuple[Tensor, State]:
        # Filling needs no mask here: it follows all else, and nothing attends to what follows.
        mask, *layers = state
        after = [mask]
        x = self._embed(self.target_embedding, target, start=layers[0].shape[2])
        for i, layer in enumerate(self.decoder):
            past_keys, past_values, *source = layers[4 * i : 4 * i + 4]
            x, now = layer(x, (past_keys, past_values), source, mask)
            after += [*now, *source]
        return self.classifier(x), tuple(after)

    def _embed(self, embedding: nn.Embedding, tokens: Tensor, start: int) -> Tensor:
        width = embedding.embedding_dim
        places = positions(start, start + tokens.shape[1], width).to(embedding.weight)
        return self.dropout(embedding(tokens) * math.sqrt(width) + places)


def positions(start: int, stop: int, width: int) -> Tensor:
    """Encode positions by sines and cosines (the paper's section 3.5).

    Returns
    -------
    torch.Tensor of float32, shape [stop - start, width]
        Even columns are sines, odd ones cosines, of wavelengths from 2 pi to 10,000 x 2 pi.
    """
    places = torch.arange(start, stop, dtype=torch.float64)[:, None]
    rates = 10_000 ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = places * rates
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(1).float()
