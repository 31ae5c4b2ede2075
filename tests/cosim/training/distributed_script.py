"""What `torchrun` starts in each process: a few steps with every recipe, weights printed."""

import hashlib
import json
import sys
from pathlib import Path

import torch
import torch.distributed
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from cosim.bridge import MasterSpec, Recipe, offload
from cosim.training.lanes import start_lanes
from cosim.training.loss_scaler import LossScaler
from cosim.training.masters import MasterWeights
from pysim import ArrayConfig
from pysim.fast import FastEngine


def train(recipe, rank, world):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 12), nn.Linear(12, 10))
    images, labels = torch.randn(16, 1, 8, 8), torch.arange(16) % 10
    mine = slice(rank * 16 // world, (rank + 1) * 16 // world)
    config = ArrayConfig(random_bits=recipe.random_bits or ArrayConfig().random_bits)
    engine = FastEngine(config, threads=1)
    engine.random_state = start_lanes(engine.config, seed=0, rank=rank)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    masters = MasterWeights(optimiser, engine, MasterSpec(recipe.master.format, "stochastic"))
    scaler = LossScaler(recipe.loss_scale, steps=3)
    parallel = DistributedDataParallel(model)
    with offload(model, engine, recipe) as session:
        for _ in range(3):
            masters.zero_grad()
            scaler.scale(cross_entropy(parallel(images[mine]), labels[mine])).backward()
            scaler.step(masters)
            scaler.update()
    assert not session.not_offloaded, session.not_offloaded
    weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    return {
        "weights": hashlib.sha256(weights).hexdigest(),
        "random_state": engine.random_state.tolist(),
        "skipped": scaler.skipped,
    }


def main(folder):
    torch.distributed.init_process_group("gloo")
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    found = {name: train(Recipe.named(name), rank, world) for name in Recipe.names()}
    (folder / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
