#!/usr/bin/env python3
"""Trains in PyTorch on the batches, first weights and dropout masks that the example `replay` exported, with the update
rule of the 2012 code, and holds losses and weights against ours. Three ways:

    replay="cargo run --release -p alexnet-train --example replay --"
    $replay SHARDS OUT original 100 32 0.01
    tools/replay.py OUT                        freely, from the first weights to the last
    tools/replay.py OUT --double               the same beside float64, ours and PyTorch's float32
    tools/replay.py OUT --chaos 12             how far rounding alone drives PyTorch from itself
    $replay SHARDS OUT original 100 32 1
    $replay SHARDS OUT original 100 32 1 1 224 states | tools/replay.py OUT --states
                                               every step from our weights and velocities
    … | tools/replay.py OUT --states --only 44 one step alone, beside float64: which layers and channels part

At the recipe's own first rate (factor 1) two correct programs part within some ten steps, PyTorch with one thread and with
two as well: one window of a max pooling whose two largest values differ in the last bit sends a gradient elsewhere, and the
steps amplify it. --chaos shows it. At a hundredth of the rate `paper` stays within 1e-5; `original` still parts, far more slowly, since
its conv1 begins at weights of 1e-4: --double shows how far PyTorch's own float32 comes from float64, and holds ours to twice
that; at 0.003 it too stays within 1e-3. At the
full rate each step is judged by itself, from the state we were in (--states).

Freely: losses within 1e-3 relative, each layer's final parameters within 1e-3 in norm (with --double: or twice what PyTorch's
float32 needs), logits at test within 1e-4 of the largest. With --states, for each step: the loss within 1e-3 relative, each
layer's parameters within 1e-3 in norm, and the step itself (the change of all parameters) within 1e-3 of its own norm. Where a step differs by more, it is taken once more in
float64 from the same state, and the line says how far ours and PyTorch's float32 are from that: if ours is within the limit,
it was PyTorch's rounding. Of the others at most one in twenty may be, since a wrong gradient is wrong in every step.
"""
import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from to_pytorch import module, read


class Masked(nn.Module):
    """Dropout by a given mask; 0 or 1 as in the paper, unless the net scales in training."""

    def __init__(self, scale):
        super().__init__()
        self.scale, self.mask = scale, None

    def forward(self, x):
        return x * (self.mask * self.scale)


class Batches:
    """What the example wrote: pixels, labels and masks, step by step."""

    def __init__(self, folder, net):
        self.steps = json.loads((folder / "steps.json").read_text())
        self.pixels = np.memmap(folder / "pixels.f32", "<f4", "r").reshape(-1, *net["input"])
        self.labels = np.fromfile(folder / "labels.u32", "<u4").astype(np.int64)
        masked = (folder / "masks.u8").stat().st_size
        self.masks = np.memmap(folder / "masks.u8", "u1", "r") if masked else None
        layers = net["layers"]
        self.units = [row["units"] for row, after in zip(layers, layers[2:]) if after["kind"] == "dropout"]

    def __iter__(self):
        at = place = 0
        for step in self.steps:
            n, masks = step["samples"], []
            for width in self.units:
                masks.append(self.masks[place : place + n * width].reshape(n, width).astype("u1"))
                place += n * width
            yield step, self.pixels[at : at + n].copy(), self.labels[at : at + n], masks
            at += n


class Trained:
    """A PyTorch module, its velocities, and the update rule of the 2012 code."""

    def __init__(self, net, values, kind=torch.float32, threads=2):
        self.kind, self.threads = kind, threads
        self.model = module(net, values, rescale=False).train().to(kind)
        self.drops = []
        for row, (name, _) in zip(net["layers"], self.model.steps):
            if row["kind"] == "dropout":
                drop = Masked(1 / row["keep"] if net["dropout"] == "scaled-in-training" else 1.0)
                setattr(self.model, name, drop)
                self.drops.append(drop)
        self.parameters = list(self.model.named_parameters())
        self.velocity = [torch.zeros_like(w) for _, w in self.parameters]

    def step(self, step, pixels, labels, masks):
        torch.set_num_threads(self.threads)
        for drop, mask in zip(self.drops, masks):
            drop.mask = torch.from_numpy(mask).to(self.kind)
        self.model.zero_grad()
        x = torch.from_numpy(pixels).to(self.kind)
        loss = nn.functional.cross_entropy(self.model(x), torch.from_numpy(labels))
        loss.backward()
        with torch.no_grad():
            for (name, w), v, rate in zip(self.parameters, self.velocity, step["rates"]):
                v.mul_(step["momentum"]).sub_(w.grad, alpha=rate)
                if name.endswith("weight"):
                    v.sub_(w, alpha=rate * step["decay"])
                w.add_(v)
        return loss.item()

    def layers(self):
        """Pairs of a weight's and a bias' name and values."""
        return list(zip(self.parameters[::2], self.parameters[1::2]))


def norm(tensors):
    return sum(float(torch.linalg.vector_norm(t)) ** 2 for t in tensors) ** 0.5


def distance(ours, theirs):
    return norm([a - b for a, b in zip(ours, theirs)])


def free(a, net, first):
    """All steps in a row; with --double beside float64, where PyTorch's float32 says how far rounding alone leads."""
    _, final = read(a.folder / "final.safetensors")
    batches, bad = Batches(a.folder, net), []
    n = batches.steps[0]["samples"]
    ours = np.fromfile(a.folder / "test.f32", "<f4").reshape(n, -1)
    with torch.no_grad():
        theirs = module(net, first)(torch.from_numpy(batches.pixels[:n].copy())).numpy()
    off = np.abs(ours - theirs).max() / np.abs(ours).max()
    print(f"logits at test: largest difference {off:.1e} of the largest logit")
    if not off <= 1e-4:
        bad.append("logits")
    single = Trained(net, first)
    exact = Trained(net, first, torch.float64) if a.double else single
    apart = []
    for number, batch in enumerate(batches):
        loss = single.step(*batch)
        truth = exact.step(*batch) if a.double else loss
        apart.append([abs(x / truth - 1) for x in (batch[0]["loss"], loss)])
        if a.each:
            beside = f", float32 {apart[-1][1]:.1e}" if a.double else ""
            print(f"step {number}: {truth:.6f}; ours {apart[-1][0]:.1e}{beside} apart", flush=True)

    def judge(what, ours, float32):
        if not ours <= (max(1e-3, 2 * float32) if a.double else 1e-3):
            bad.append(what)
        return f"ours {ours:.1e}, PyTorch's float32 {float32:.1e} from its float64" if a.double else f"{ours:.1e} apart"

    losses = [step["loss"] for step in batches.steps]
    said = judge("losses", *np.max(apart, 0))
    over = sum(ours > 1e-3 for ours, _ in apart)
    print(f"{len(losses)} losses, from {losses[0]:.4f} to {losses[-1]:.4f}: at most {said}; {over} of ours over 1e-3")
    whole = [0.0] * 4
    for pair, same in zip(exact.layers(), single.layers()):
        truth, float32 = ([w.detach().float() for _, w in of] for of in (pair, same))
        mine, start = ([torch.from_numpy(values[name]) for name, _ in pair] for values in (final, first))
        parts = [norm(truth), distance(truth, start), distance(mine, truth), distance(float32, truth)]
        whole = [(x**2 + y**2) ** 0.5 for x, y in zip(whole, parts)]
        said = judge(pair[0][0][:-7], parts[2] / parts[0], parts[3] / parts[0])
        print(f"{pair[0][0][:-7]:<8} {said}, in norm; training moved it by {parts[1] / parts[0]:.1e}")
    size, moved, ours, float32 = whole
    print(f"all      {judge('all parameters', ours / size, float32 / size)}; training moved them by {moved / size:.1e}")
    return bad


def states(a, net, first):
    """Each step from where we were; our states come one after another from standard input."""
    run, exact, bad, parted = Trained(net, first), Trained(net, first, torch.float64), [], []
    worst = {"loss": 0.0, "parameters": 0.0, "step": 0.0}
    values = [w for _, w in run.parameters]

    def ours():
        state = []
        for w in values + values:
            data = sys.stdin.buffer.read(4 * w.numel())
            if len(data) < 4 * w.numel():
                sys.exit("our states end before the last step")
            state.append(torch.frombuffer(bytearray(data), dtype=torch.float32).reshape(w.shape))
        return state[: len(values)], state[len(values) :]

    def follow(weights, velocity):
        with torch.no_grad():
            for w, mine in zip(values + run.velocity, weights + velocity):
                w.copy_(mine)

    for number, batch in enumerate(Batches(a.folder, net)):
        before, speed = [w.detach().clone() for w in values], [v.clone() for v in run.velocity]
        if a.only in (None, number):
            loss = run.step(*batch)
        weights, velocity = ours()
        if a.only is not None and a.only != number:
            follow(weights, velocity)
            continue
        with torch.no_grad():
            off = {
                "loss": abs(loss / batch[0]["loss"] - 1),
                "parameters": max(
                    distance(weights[i : i + 2], values[i : i + 2]) / norm(weights[i : i + 2]) for i in range(0, len(values), 2)
                ),
                "step": distance(weights, values) / distance(weights, before),
            }
        note = ""
        if a.only is not None or not off["step"] <= a.limit:
            with torch.no_grad():
                for (_, w), v, start, pace in zip(exact.parameters, exact.velocity, before, speed):
                    w.copy_(start)
                    v.copy_(pace)
            exact.step(*batch)
            with torch.no_grad():
                truth = [w.float() for _, w in exact.parameters]
                mine, theirs = (distance(x, truth) / distance(truth, before) for x in (weights, values))
            note = f"; from float64 ours {mine:.1e}, PyTorch's float32 {theirs:.1e}"
            if not mine <= a.limit:
                parted.append(number)
        worst = {what: max(worst[what], off[what]) for what in off}
        bad += [f"{what} of step {number}" for what in ("loss", "parameters") if not off[what] <= 1e-3]
        if a.each or note:
            apart = ", ".join(f"{what} {x:.1e}" for what, x in off.items())
            print(f"step {number} ({loss:.6f}): {apart} apart{note}", flush=True)
        if number == a.only:
            part(exact, weights, values, before)
            return bad
        follow(weights, velocity)
    print(f"{number + 1} steps, each from our state: at most " + ", ".join(f"{what} {x:.1e}" for what, x in worst.items()) + " apart")
    print(f"steps in which ours is not within {a.limit:g} of float64: {parted or 'none'}")
    if 20 * len(parted) > number + 1:
        bad.append(f"{len(parted)} steps from float64")
    return bad


def part(exact, ours, float32, before):
    """Prints how far each layer's step is from float64's, ours and PyTorch's, and in which channels' biases ours differs."""
    with torch.no_grad():
        for i, (name, truth) in enumerate(exact.parameters):
            moved = norm([truth.float() - before[i]])
            mine, theirs = (distance([x[i]], [truth.float()]) / moved for x in (ours, float32))
            line = f"{name:<16} ours {mine:.1e}, PyTorch's float32 {theirs:.1e} of the step"
            if name.endswith("bias"):
                apart = (ours[i] - truth.float()).abs()
                most = apart.topk(min(3, len(apart))).indices.tolist()
                line += "; most apart " + ", ".join(f"{c}: {apart[c] / moved:.1e}" for c in most)
            print(line)


def chaos(a, net, first):
    """PyTorch beside itself: one thread, two threads, float64; and us."""
    runs = [Trained(net, first, torch.float32, 2), Trained(net, first, torch.float32, 1), Trained(net, first, torch.float64, 2)]
    print("loss of PyTorch's float32 on two threads, and its relative distance to")
    print(f"{'step':>4} {'loss':>9} {'1 thread':>9} {'float64':>9} {'ours':>9}")
    for number, batch in zip(range(a.chaos), Batches(a.folder, net)):
        losses = [run.step(*batch) for run in runs] + [batch[0]["loss"]]
        off = [abs(loss / losses[0] - 1) for loss in losses[1:]]
        print(f"{number:>4} {losses[0]:>9.5f} " + " ".join(f"{x:>9.1e}" for x in off), flush=True)
    return []


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path)
    p.add_argument("--double", action="store_true", help="freely beside float64, twice as far as PyTorch's float32 at most")
    p.add_argument("--each", action="store_true", help="print every step")
    p.add_argument("--states", action="store_true", help="judge each step from our states on standard input")
    p.add_argument("--only", type=int, metavar="STEP", help="with --states: only this step, layer by layer beside float64")
    p.add_argument("--limit", type=float, default=1e-3, help="with --states: how far a step may be before float64 is asked")
    p.add_argument("--chaos", type=int, metavar="STEPS", help="PyTorch beside itself for so many steps")
    a = p.parse_args()
    torch.set_num_threads(2)
    net, first = read(a.folder / "first.safetensors")
    bad = (chaos if a.chaos else states if a.states else free)(a, net, first)
    if bad:
        sys.exit(f"too far apart: {', '.join(bad)}")
    if not a.chaos and a.only is None:
        print("the same training")


if __name__ == "__main__":
    main()
