"""A long short-term memory whose matrix products are calls of a function, so that any can be seen.

``torch.nn.LSTM`` calls one fused kernel; its arithmetic, and its parameters' names, are kept.
"""

import math

import torch
from torch import nn
from torch.nn.functional import linear

from cosim.models.checks import require_positive

Tensor = torch.Tensor


class LSTM(nn.Module):
    """One layer in one direction: what a layer of ``torch.nn.LSTM`` computes.

    With x, h, and c the input, the output, and the cell at a position, the gates are
    ``i, f, g, o = x W_ih^T + b_ih + h' W_hh^T + b_hh``, ``c = sigmoid(f) c' + sigmoid(i) tanh(g)``,
    and ``h = sigmoid(o) tanh(c)``, where a prime marks the position before. The inputs of all
    positions are multiplied at once, one GEMM; then there is one GEMM a position.

    Parameters
    ----------
    inputs, width : int
        Sizes of x and of h.
    reverse : bool
        Go from the last position to the first.

    Raises
    ------
    InputError
        If a size is not positive.
    """

    def __init__(self, inputs: int, width: int, *, reverse: bool = False) -> None:
        super().__init__()
        require_positive(inputs=inputs, width=width)
        self.width = width
        self.reverse = reverse
        self.weight_ih = nn.Parameter(torch.empty(4 * width, inputs))
        self.weight_hh = nn.Parameter(torch.empty(4 * width, width))
        self.bias_ih = nn.Parameter(torch.empty(4 * width))
        self.bias_hh = nn.Parameter(torch.empty(4 * width))
        bound = 1 / math.sqrt(width)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(
        self,
        x: Tensor,
        valid: Tensor | None = None,
        state: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run over positions.

        Parameters
        ----------
        x : float32, shape [N, T, inputs]
        valid : bool, shape [N, T], optional
            Where a position is not filling. At filling the output is zero and the state stays, as
            for a packed sequence of PyTorch.
        state : tuple of float32, each of shape [N, width], optional
            h and c before the first position; zeros by default.

        Returns
        -------
        tuple
            Outputs [N, T, width], and h and c after the last position.
        """
        h, c = state or (x.new_zeros(len(x), self.width),) * 2
        inputs = linear(x, self.weight_ih, self.bias_ih).unbind(1)
        masks = [None] * len(inputs) if valid is None else valid.unsqueeze(-1).unbind(1)
        outputs = []
        order = range(len(inputs))
        for t in reversed(order) if self.reverse else order:
            gates = inputs[t] + linear(h, self.weight_hh, self.bias_hh)
            i, f, g, o = gates.chunk(4, -1)
            new_c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            new_h = o.sigmoid() * new_c.tanh()
            mask = masks[t]
            if mask is None:
                h, c = new_h, new_c
                outputs.append(h)
            else:
                h, c = torch.where(mask, new_h, h), torch.where(mask, new_c, c)
                outputs.append(new_h * mask)
        return torch.stack(outputs[::-1] if self.reverse else outputs, 1), (h, c)


class BidirectionalLSTM(nn.Module):
    """Two layers side by side, one in each direction, [N, T, inputs] to [N, T, 2 x width]."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.ahead = LSTM(inputs, width)
        self.back = LSTM(inputs, width, reverse=True)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return the outputs of both at each position."""
        return torch.cat((self.ahead(x, valid)[0], self.back(x, valid)[0]), -1)
