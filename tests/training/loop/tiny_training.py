"""A run small enough to be killed and shared in a test: a linear layer learns a line, with dropout if asked.

python tiny_training.py FOLDER [--kill-at STEP] [--dropout SHARE]      alone, or under torchrun
"""

import argparse
import os
import random
import signal
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.nn import functional as F

from gifqa.training.loop.distribution import Processes
from gifqa.training.loop.steps import Plan, run_stage

PLAN = Plan(steps=12, log_every=1, validate_every=5, criterion="error", higher_is_better=False)
BATCH_SIZE = 8


class Line:
    """Every process draws the whole batch and takes every n-th row of it."""

    def __init__(self, kill_at, dropout):
        self.accelerator, self.processes = Accelerator(cpu=True), Processes()
        self.chance, self.step, self.kill_at = random.Random(0), 0, kill_at
        torch.manual_seed(self.processes.rank)
        self.layer = torch.nn.Linear(3, 1)
        torch.nn.init.constant_(self.layer.weight, 0.1)
        torch.nn.init.zeros_(self.layer.bias)
        self.dropout = torch.nn.Dropout(dropout)
        self.optimizer = torch.optim.AdamW(self.layer.parameters(), lr=0.05)
        self.model = self.accelerator.prepare(torch.nn.Sequential(self.dropout, self.layer))

    def train_step(self):
        if self.step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        batch = torch.tensor([[self.chance.random() for _ in range(3)] for _ in range(BATCH_SIZE)])
        share = batch[self.processes.rank :: self.processes.count]
        loss = F.mse_loss(self.model(share), share.sum(-1, keepdim=True))
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.step += 1
        return {"loss": loss.item(), "samples": len(share)}

    def weights(self):
        return dict(self.layer.state_dict())

    def state(self):
        return {"layer": self.layer.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state):
        self.layer.load_state_dict(state["layer"])
        self.optimizer.load_state_dict(state["optimizer"])

    def validate(self):
        return {"error": (self.layer.weight - 1).abs().sum().item()}


def greet(folder):
    folder.mkdir(exist_ok=True)
    with (folder / "greetings.txt").open("a") as file:
        file.write("hello\n")
    return "hello"


def train(folder, kill_at=None, dropout=0.0):
    assert Processes().in_main(lambda: greet(folder)) == "hello"
    stage = Line(kill_at, dropout)
    run_stage(stage, folder, PLAN, stage.validate)
    return stage


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--dropout", type=float, default=0.0)
    train(**vars(parser.parse_args()))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
