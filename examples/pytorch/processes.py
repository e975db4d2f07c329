"""Many processes train one model: who we are among them, and what is agreed on.

`mini_gpt.py` uses this. Started by `python`, there is one process, and everything here
does next to nothing. Started by `torchrun`, a program that comes with PyTorch, there
are several, on this machine or on many. Each is told its number (its *rank*) and how
many there are (the *world size*) in environment variables. Every process holds the
whole model and takes its own share of each batch. DistributedDataParallel, DDP for
short, takes the mean of all gradients while backward() is still running; then every
process takes the same step, and so the models stay equal without being compared.

Appendix A3 of the course does the same with lists and pipes.

Paper: Li et al., "PyTorch distributed: experiences on accelerating data parallel
training", 2020.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

import need_torch  # noqa: F401  (says in one line how to install PyTorch)
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from microgpt.tools.terminal import CtrlC

PATIENCE = 60.0  # seconds that a process waits for the others at the end


class PeerLost(Exception):
    """Another process of this job has ended, and no step can be completed any more."""


@dataclass
class Place:
    """Which of the processes this one is, and the device that it works on."""

    device: torch.device
    rank: int = 0
    world: int = 1
    store: Any = None  # a small dictionary that all processes can reach

    @property
    def is_first(self) -> bool:
        """Whether this is the process that speaks and saves."""
        return self.rank == 0

    def shared(self, model: nn.Module) -> nn.Module:
        """Return the model as it has to be called in training."""
        if self.world == 1:
            return model
        ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids)

    def sums(self, *numbers: Tensor | float) -> list[float]:
        """Return each number, added up over all processes."""
        if self.world == 1:
            return [float(number) for number in numbers]
        parts = [
            torch.as_tensor(number, dtype=torch.float64, device=self.device)
            for number in numbers
        ]
        together = torch.stack(parts)
        try:
            dist.all_reduce(together)  # every process now holds the sum
        except RuntimeError as error:
            raise PeerLost(str(error).split("\n")[0]) from None
        return together.tolist()

    def claims(self, what: str) -> bool:
        """Say whether this is the first process to ask: one answers for all."""
        if self.store is None:
            return True
        try:
            return bool(self.store.add(what, 1) == 1)
        except RuntimeError:  # torchrun itself has gone; better said twice than never
            return True

    def leave(self) -> None:
        """End together: wait until all processes have got this far, then disconnect.

        A process that has got its sum and ends at once can hang up on one that is
        still waiting for the same sum. So they meet in the store, which torchrun keeps.
        """
        if self.world == 1:
            return
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(RuntimeError):  # torchrun has gone: nobody to wait for
            self.store.add("left", 1)
            while self.store.add("left", 0) < self.world:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
        dist.destroy_process_group()


def best_device() -> torch.device:
    """Return CUDA (GPUs of NVIDIA and AMD), else MPS (Apple's), else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def chosen_device(name: str | None) -> torch.device:
    """Return the device of this name, or the best; one that is not here: ValueError."""
    if name is None:
        return best_device()
    if name == "cuda":
        if not torch.cuda.is_available():
            raise ValueError("--device cuda, but PyTorch finds no CUDA device here")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if name == "mps" and not torch.backends.mps.is_available():
        raise ValueError("--device mps, but PyTorch finds none here")
    return torch.device(name)


def join(device: torch.device) -> Place:
    """Return our place; under torchrun, wait until all processes are there."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Place(device)
    if int(os.environ["WORLD_SIZE"]) == 1:
        return Place(device)
    if device.type == "mps":
        raise ValueError("several processes cannot share MPS: use --device cpu")
    store, rank, world = next(rendezvous("env://"))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # How the processes talk: gloo over the network, nccl from one GPU to another.
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=world)
    return Place(device, rank, world, store)


class Signals(CtrlC):
    """Notes Ctrl-C as every command here does, and the request to end as well.

    SIGTERM is how a cluster says that the time is up, and how torchrun tells the others
    that one of them has died. Both are only noted, and the step is completed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.terminated = False
        self.term_before: Any = None

    @property
    def asked_to_stop(self) -> bool:
        """Whether somebody wants this process to save and end."""
        return self.presses > 0 or self.terminated

    def __enter__(self) -> Signals:
        super().__enter__()
        if threading.current_thread() is threading.main_thread():
            self.term_before = signal.signal(signal.SIGTERM, self._terminate)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        if self.term_before is not None:
            signal.signal(signal.SIGTERM, self.term_before)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self.terminated = True
