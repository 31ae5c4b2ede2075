import torch

from cosim.bridge.layout import Layout


def test_joins_and_parts():
    tensor = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    layout = Layout.of("mbkn", tensor.shape, ("b", "nm", "k"))
    batch = layout.join(tensor)
    assert batch.shape == layout.shape == (3, 10, 4)
    # n is before m among the rows: row 2 * n + m.
    assert batch[1, 2 * 4 + 1, 3] == tensor[1, 1, 3, 4]
    assert torch.equal(layout.part(batch), tensor)
    assert layout.tensor_shape == tensor.shape


def test_parts_without_a_dimension():
    layout = Layout.of("k", (7,), ("", "", "k"))
    assert layout.join(torch.zeros(7)).shape == (1, 1, 7)
    assert layout.part(torch.zeros(1, 1, 7)).shape == (7,)
    assert Layout.of("", (), ("", "", "")).part(torch.zeros(1, 1, 1)).shape == ()
