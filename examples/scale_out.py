"""Training in several processes: DDP and FSDP2, on CPUs or GPUs, resumed by torch.optim.

    torchrun --nproc-per-node=2 examples/scale_out.py

With each strategy a small transformer is trained with `myoptim.AdamW`. Half of the way a
distributed checkpoint is written, from which a second run goes on with `torch.optim.AdamW`. On CPUs
the two halves have the same losses to the last bit, and the exit status is 1 if they have not.

Nothing in it is for CPUs only: where there is an accelerator for each process, each takes one
(NVIDIA's then talk over NCCL), and the losses agree as far as the kernels of the two do.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

import myoptim as optim

SYMBOLS, LENGTH, WIDTH = 16, 12, 32


class Reverser(nn.Module):
    """A transformer that learns to write a sequence backwards; gives the loss of doing so."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, WIDTH)
        self.position = nn.Parameter(torch.randn(LENGTH, WIDTH))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True)
            for _ in range(2)
        )
        self.output = nn.Linear(WIDTH, SYMBOLS)

    def forward(self, sequences: Tensor) -> Tensor:
        hidden = self.embedding(sequences) + self.position
        for layer in self.layers:
            hidden = layer(hidden)
        logits = self.output(hidden)
        return nn.functional.cross_entropy(logits.flatten(0, 1), sequences.flip(1).flatten())


def ddp(model: nn.Module, device: torch.device) -> nn.Module:
    """Every process holds the whole model; gradients are averaged."""
    return DistributedDataParallel(model)


def fsdp2(model: nn.Module, device: torch.device) -> nn.Module:
    """Every process holds its part of each parameter and of its optimizer state."""
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for layer in model.layers:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


@dataclass
class Training:
    """All that is saved to go on later."""

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler

    def state_dict(self) -> dict[str, Any]:
        model, optimizer = get_state_dict(self.model, self.optimizer)
        return {"model": model, "optimizer": optimizer, "scheduler": self.scheduler.state_dict()}

    def load(self, folder: str) -> None:
        state = self.state_dict()
        dcp.load(state, checkpoint_id=folder)
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
        )
        self.scheduler.load_state_dict(state["scheduler"])


def prepare(
    cls: type[Optimizer], strategy: Callable[..., nn.Module], steps: int, device: torch.device
) -> Training:
    torch.manual_seed(0)  # the same model in every process
    model = strategy(Reverser().to(device), device)
    optimizer = cls(model.parameters(), lr=1e-3, weight_decay=0.01)
    return Training(model, optimizer, OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps))


def batch(step: int, device: torch.device) -> Tensor:
    """Sequences of this step and process, made on the spot."""
    source = torch.Generator().manual_seed(step * dist.get_world_size() + dist.get_rank())
    return torch.randint(SYMBOLS, (64, LENGTH), generator=source).to(device)


def train(training: Training, steps: range, device: torch.device) -> list[float]:
    """Take the steps; return their losses, each the mean over the processes."""
    losses = []
    for step in steps:
        loss = training.model(batch(step, device))
        loss.backward()
        clip_grad_norm_(training.model.parameters(), 1.0)
        training.optimizer.step()
        training.optimizer.zero_grad()
        training.scheduler.step()
        mean = loss.detach()
        dist.all_reduce(mean)
        losses.append(mean.item() / dist.get_world_size())
    return losses


def run(strategy: Callable[..., nn.Module], steps: int, folder: str, device: torch.device) -> bool:
    """Train, save half of the way, go on with either library. Whether the losses are equal."""
    half = steps // 2
    training = prepare(optim.AdamW, strategy, steps, device)
    losses = train(training, range(half), device)
    dcp.save(training.state_dict(), checkpoint_id=folder)
    ours = train(training, range(half, steps), device)

    resumed = prepare(torch.optim.AdamW, strategy, steps, device)
    resumed.load(folder)
    torchs = train(resumed, range(half, steps), device)

    difference = max(abs(a - b) for a, b in zip(ours, torchs, strict=True))
    if dist.get_rank() == 0:
        print(f"{strategy.__name__}, {dist.get_world_size()} processes on {device.type}")
        print(f"  loss at step 0: {losses[0]:.6f}, at step {half}: {ours[0]:.6f}")
        print(f"  loss at step {steps - 1}: {ours[-1]:.6f}, by torch.optim: {torchs[-1]:.6f}")
        print(f"  largest difference in the second half: {difference:g}")
    return ours == torchs


def start() -> torch.device:
    """Join the processes that torchrun started; with an accelerator each, if there are enough."""
    if "RANK" not in os.environ:
        sys.exit("Start it with torchrun: torchrun --nproc-per-node=2 examples/scale_out.py")
    device = torch.device("cpu")
    if torch.accelerator.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"]):
        torch.accelerator.set_device_index(int(os.environ["LOCAL_RANK"]))
        device = torch.device(torch.accelerator.current_accelerator().type)
    dist.init_process_group(dist.get_default_backend_for_device(device))
    return device


def shared_folder(parent: str) -> str:
    """A folder that rank 0 names for all."""
    name: list[Any] = [parent]
    dist.broadcast_object_list(name)
    return name[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100, help="steps in all, at least 4")
    steps = parser.parse_args().steps
    if steps < 4:
        parser.error(f"--steps must be at least 4, given was {steps}")
    device = start()
    with tempfile.TemporaryDirectory() as parent:
        folder = shared_folder(parent)
        equal = [run(s, steps, os.path.join(folder, s.__name__), device) for s in (ddp, fsdp2)]
        dist.barrier()  # before rank 0 takes the folder away
    dist.destroy_process_group()
    return 0 if all(equal) or device.type != "cpu" else 1


if __name__ == "__main__":
    sys.exit(main())
