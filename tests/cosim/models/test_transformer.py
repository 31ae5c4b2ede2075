"""The Transformer: the paper's size, PyTorch's layers with the same weights, and its state."""

import math

import pytest
import torch
from torch import nn

from cosim.bridge.weights import Weights
from cosim.models.transformer import Transformer, positions
from pysim import InputError

SOURCE = torch.tensor([[4, 5, 6, 7, 3], [8, 3, 0, 0, 0]])
TARGET = torch.tensor([[2, 4, 9, 5], [2, 6, 0, 0]])


def small(**settings):
    torch.manual_seed(0)
    sizes = {"width": 8, "depth": 2, "heads": 2, "feed_forward": 12, **settings}
    return Transformer(11, **sizes).eval()


def test_parameters_at_full_size():
    # Attention: 4 matrices of 512 x 512, and their biases: 4 x 262,656 = 1,050,624.
    # Perceptron: 512 x 2,048 twice, 2,048 + 512 biases:     2,099,712.
    # Normalisation: scales and biases:                      1,024.
    # Encoder layer: 1,050,624 + 2,099,712 + 2 x 1,024     = 3,152,384; six 18,914,304.
    # Decoder layer: 2 x 1,050,624 + 2,099,712 + 3 x 1,024 = 4,204,032; six 25,224,192.
    # The one matrix of tokens: 37,000 x 512               = 18,944,000.
    with torch.device("meta"):
        model = Transformer(37_000)
        apart = Transformer(37_000, share=False)
        source = torch.empty(2, 5, dtype=torch.int64)
        assert model(source, source[:, :3]).shape == (2, 3, 37_000)
    count = sum(p.numel() for p in model.parameters())
    assert count == 18_914_304 + 25_224_192 + 18_944_000 == 63_082_496
    assert sum(p.numel() for p in apart.parameters()) == count + 2 * 18_944_000


def test_shared_matrix_is_the_classifiers():
    model = small()
    assert model.classifier.weight is model.source_embedding.weight
    assert model.classifier.weight is model.target_embedding.weight
    assert Weights(model).layer(model.classifier.weight) == "classifier"


def torch_attention(attention, theirs):
    parts = (attention.query, attention.key, attention.value)
    theirs.in_proj_weight.data = torch.cat([part.weight for part in parts])
    theirs.in_proj_bias.data = torch.cat([part.bias for part in parts])
    theirs.out_proj = attention.output


def torch_layer(layer, make):
    theirs = make(8, 2, 12, dropout=0.0, batch_first=True)
    torch_attention(layer.attention, theirs.self_attn)
    if make is nn.TransformerDecoderLayer:
        torch_attention(layer.source_attention, theirs.multihead_attn)
    theirs.linear1, _, theirs.linear2 = layer.feed_forward
    for i, residual in enumerate(layer.residuals, start=1):
        setattr(theirs, f"norm{i}", residual.norm)
    return theirs


@pytest.mark.parametrize("share", [True, False])
def test_equals_the_layers_of_pytorch(share):
    model = small(dropout=0.0, share=share).train()  # in evaluation PyTorch would fuse its layers
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)

    def embed(embedding, tokens):
        return embedding(tokens) * math.sqrt(8) + positions(0, tokens.shape[1], 8)

    padding = SOURCE == 0
    x = embed(model.source_embedding, SOURCE)
    for layer in model.encoder:
        x = torch_layer(layer, nn.TransformerEncoderLayer)(x, src_key_padding_mask=padding)
    y = embed(model.target_embedding, TARGET)
    causal = torch.ones(4, 4, dtype=torch.bool).triu(1)
    for layer in model.decoder:
        theirs = torch_layer(layer, nn.TransformerDecoderLayer)
        y = theirs(y, x, tgt_mask=causal, memory_key_padding_mask=padding)
    torch.testing.assert_close(model(SOURCE, TARGET), model.classifier(y), rtol=1e-4, atol=1e-5)


def test_steps_predict_what_the_whole_does():
    model = small()
    whole = model(SOURCE, TARGET)
    state = model.start(SOURCE)
    for place in range(TARGET.shape[1]):
        logits, state = model.step(TARGET[:, place], state)
        torch.testing.assert_close(logits, whole[:, place], rtol=1e-4, atol=1e-5)
    assert all(len(part) == 2 for part in state)


def test_filling_does_not_matter():
    model = small()
    alone = model(SOURCE[1:, :2], TARGET[1:, :2])
    torch.testing.assert_close(alone[0], model(SOURCE, TARGET)[1, :2], rtol=1e-4, atol=1e-5)


def test_dropout_is_in_use():
    model = small(dropout=0.5)
    assert torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))
    model.train()
    assert not torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))


def test_positions():
    table = positions(0, 200, 6)
    for place, column in ((0, 0), (1, 1), (7, 2), (150, 5)):
        angle = place / 10_000 ** (2 * (column // 2) / 6)
        wanted = math.cos(angle) if column % 2 else math.sin(angle)
        assert table[place, column].item() == pytest.approx(wanted, rel=1e-6)
    assert torch.equal(positions(3, 5, 6), table[3:5])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"depth": 0}, "depth 0 is out of range"),
        ({"width": 9, "heads": 3}, "width 9 is out of range: even, and a multiple of 3 heads"),
        ({"width": 10, "heads": 4}, "width 10 is out of range: even, and a multiple of 4 heads"),
        ({"dropout": 1.0}, "dropout 1.0 is out of range"),
    ],
)
def test_bad_settings(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        Transformer(11, **settings)
