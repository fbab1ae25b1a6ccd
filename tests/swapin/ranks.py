"""Two processes joined by gloo, kept for many tests: starting them costs seconds."""

import multiprocessing
import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from waiting import PATIENCE

SIZE = 2


def serve(rank: int, meeting_point: str, pipe: Connection) -> None:
    """Run the functions of `jobs` that are asked for; answer None, or what went wrong."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # no host name needs to resolve
    torch.set_num_threads(1)
    from swapin import jobs  # here, because its imports warn, which pytest takes for an error

    dist.init_process_group(
        "gloo",
        init_method=meeting_point,
        rank=rank,
        world_size=SIZE,
        timeout=timedelta(seconds=PATIENCE),
    )
    while True:
        job, args = pipe.recv()
        try:
            torch.manual_seed(0)
            getattr(jobs, job)(*args)
        except Exception:
            pipe.send(f"rank {rank}: {traceback.format_exc()}")
        else:
            pipe.send(None)


def answer(pipe: Connection) -> str | None:
    try:
        return pipe.recv()
    except EOFError:
        return "a process has ended"


class Ranks:
    """The two processes, started at the first job and again after a failure.

    Args:
        new_folder: gives an empty folder, in which the processes find each other.
    """

    def __init__(self, new_folder: Callable[[], Path]) -> None:
        self.new_folder = new_folder
        self.processes: list[Any] = []
        self.pipes: list[Connection] = []

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        meeting_point = (self.new_folder() / "store").as_uri()
        for rank in range(SIZE):
            here, there = context.Pipe()
            process = context.Process(target=serve, args=(rank, meeting_point, there), daemon=True)
            process.start()
            there.close()
            self.processes.append(process)
            self.pipes.append(here)

    def stop(self) -> None:
        """The processes may be waiting for each other, so they are not asked."""
        for process in self.processes:
            process.kill()
            process.join()
        self.processes, self.pipes = [], []

    def run(self, job: str, *args: Any) -> None:
        """Run a function of `jobs` on every rank; fail if it raises on any."""
        if not self.processes:
            self.start()
        for pipe in self.pipes:
            pipe.send((job, args))
        waiting = list(self.pipes)
        while waiting:
            ready = wait(waiting, PATIENCE)
            failures = [failure for pipe in ready if (failure := answer(pipe)) is not None]
            if failures or not ready:
                self.stop()
                pytest.fail("\n".join(failures) or f"no answer within {PATIENCE} seconds")
            waiting = [pipe for pipe in waiting if pipe not in ready]
