#!/usr/bin/env python3
"""Trains in PyTorch on the batches, first weights and dropout masks that the example `replay` exported, with the update
rule of the 2012 code, and holds every loss and the final weights against ours.

    cargo run --release -p alexnet-train --example replay -- SHARDS OUT original 100 32 0.01
    tools/replay.py OUT

At the recipe's own first rate (factor 1) two correct programs part within some ten steps, PyTorch in float32 and in float64
too (--double): one window of a max pooling whose two largest values differ in the last bit sends a gradient elsewhere, and
the steps amplify it. The comparison is therefore made at a hundredth of it, where rounding stays rounding.

Losses must agree within 1e-3 relative, each layer's final parameters within 1e-3 in norm, logits at test within 1e-4 of the largest.
"""
import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from to_pytorch import AlexNet, module, read


class Masked(nn.Module):
    """Dropout by a given mask; 0 or 1 as in the paper, unless the net scales in training."""

    def __init__(self, scale):
        super().__init__()
        self.scale, self.mask = scale, None

    def forward(self, x):
        return x * (self.mask * self.scale)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--double", action="store_true", help="float64 in PyTorch: how far rounding alone drives it")
    p.add_argument("--save", type=Path, help="write PyTorch's final weights (npz)")
    p.add_argument("--each", action="store_true", help="print every step")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    net, first = read(a.folder / "first.safetensors")
    _, final = read(a.folder / "final.safetensors")
    steps = json.loads((a.folder / "steps.json").read_text())
    size = int(np.prod(net["input"]))
    pixels = np.memmap(a.folder / "pixels.f32", "<f4", "r").reshape(-1, *net["input"])
    labels = np.fromfile(a.folder / "labels.u32", "<u4").astype(np.int64)
    masks = np.memmap(a.folder / "masks.u8", "u1", "r") if (a.folder / "masks.u8").stat().st_size else None
    assert pixels.size == len(labels) * size

    n = steps[0]["samples"]
    ours = np.fromfile(a.folder / "test.f32", "<f4").reshape(n, -1)
    with torch.no_grad():
        theirs = module(net, first)(torch.from_numpy(pixels[:n].copy())).numpy()
    off = np.abs(ours - theirs).max() / np.abs(ours).max()
    print(f"logits at test: largest difference {off:.1e} of the largest logit")
    bad = [] if off < 1e-4 else ["logits"]

    kind = torch.float64 if a.double else torch.float32
    model = module(net, first, rescale=False).train().to(kind)
    drops = []
    for row, (name, _) in zip(net["layers"], model.steps):
        if row["kind"] == "dropout":
            drop = Masked(1 / row["keep"] if net["dropout"] == "scaled-in-training" else 1.0)
            setattr(model, name, drop)
            drops.append(drop)
    units = [row["units"] for row, after in zip(net["layers"], net["layers"][2:]) if after["kind"] == "dropout"]
    parameters = list(model.named_parameters())
    velocity = [torch.zeros_like(w) for _, w in parameters]
    at, place, worst = 0, 0, 0.0
    for number, step in enumerate(steps):
        n = step["samples"]
        for drop, width in zip(drops, units):
            drop.mask = torch.from_numpy(masks[place : place + n * width].reshape(n, width).astype("u1")).to(kind)
            place += n * width
        x, y = torch.from_numpy(pixels[at : at + n].copy()).to(kind), torch.from_numpy(labels[at : at + n])
        at += n
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        with torch.no_grad():
            for (name, w), v, rate in zip(parameters, velocity, step["rates"]):
                v.mul_(step["momentum"]).sub_(w.grad, alpha=rate)
                if name.endswith("weight"):
                    v.sub_(w, alpha=rate * step["decay"])
                w.add_(v)
        off = abs(loss.item() / step["loss"] - 1)
        worst = max(worst, off)
        if off > 1e-3:
            bad.append(f"loss of step {number}")
        if a.each or off > 1e-3:
            print(f"step {number}: {loss.item():.6f}, ours {step['loss']:.6f}, {off:.1e} apart")
    print(f"{len(steps)} losses, from {steps[0]['loss']:.4f} to {steps[-1]['loss']:.4f}: at most {worst:.1e} apart")
    if a.save:
        np.savez(a.save, **{name: w.detach().numpy() for name, w in parameters})
    for name, w in parameters:
        theirs = w.detach().numpy()
        off = np.linalg.norm(theirs - final[name]) / np.linalg.norm(final[name])
        moved = np.linalg.norm(final[name] - first[name]) / np.linalg.norm(final[name])
        print(f"{name:<14} {off:.1e} apart in norm; training moved it by {moved:.1e}")
    for (name, weight), (_, bias) in zip(parameters[::2], parameters[1::2]):
        both = [np.linalg.norm(w.detach().numpy() - final[n]) for n, w in ((name, weight), (name[:-6] + "bias", bias))]
        if np.linalg.norm(both) > 1e-3 * np.linalg.norm(final[name]):
            bad.append(name)
    if bad:
        sys.exit(f"too far apart: {', '.join(bad)}")
    print("the same training")


if __name__ == "__main__":
    main()
