#!/usr/bin/env python3
"""Our checkpoints as PyTorch modules, and back.

    to_pytorch.py export CHECKPOINT model.pt       a state dict, and what it takes to use it: table, classes, mean
    to_pytorch.py import model.pt CHECKPOINT NEW   weights of model.pt in a copy of CHECKPOINT (its table, classes, mean image)
    to_pytorch.py check CHECKPOINT                 there and back, the same bytes of every weight
    to_pytorch.py evaluate CHECKPOINT SHARDS       PyTorch's loss and errors on the packed val split, beside `alexnet evaluate`

model.pt is a dict: "net" (for AlexNet below), "classes" (wnid and words of each output), "mean" [3, height, width] and "unit",
"state_dict". What the network reads is (RGB - mean) / unit, RGB in grey levels 0 to 255 of a photo's centre crop.

PyTorch's dropout multiplies the units it keeps by 1/keep in training and leaves them alone at test. The paper and the
2012 code leave them alone in training and multiply all of them by keep at test. For the same function at test, the
weights of every layer that reads dropped-out units (fc7 and fc8) are therefore multiplied by keep, that is halved, on the
way to PyTorch, and divided again on the way back. Powers of two, so nothing is rounded. Training on in PyTorch with
halved weights is not the same run: the effective rates and decay of those two layers are others.

Needs torch, safetensors and numpy.
"""
import argparse
import json
import struct
import sys

import numpy as np
import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

from shards import shards


class Normalise(nn.Module):
    """x / (k + alpha * sum of squares)^beta: over neighbouring maps of one column, or a square of one map."""

    def __init__(self, row, columns):
        super().__init__()
        self.size, self.alpha, self.k, self.beta = (row[k] for k in ("size", "alpha", "k", "beta"))
        self.across, self.columns = row["kind"] == "local-response", columns

    def forward(self, x):
        square, half = x * x, self.size // 2
        if self.across:
            n, c, h, w = x.shape
            maps = F.pad(square.view(n, self.columns, c // self.columns, h, w), (0, 0, 0, 0, half, half))
            total = sum(maps[:, :, i : i + c // self.columns] for i in range(self.size)).reshape(n, c, h, w)
        else:
            total = F.avg_pool2d(square, self.size, 1, half, divisor_override=1)
        return x * (self.k + self.alpha * total).pow(-self.beta)


class Hanging(nn.Conv2d):
    """A convolution whose last window may hang over the right and bottom edge, where it reads zeros."""

    def forward(self, x):
        def more(side):
            rest = (side + 2 * self.padding[0] - self.kernel_size[0]) % self.stride[0]
            return self.stride[0] - rest if rest else 0

        return super().forward(F.pad(x, (0, more(x.shape[3]), 0, more(x.shape[2]))))


class OwnColumns(nn.Module):
    """A dense layer each of whose columns reads its own share of the units below."""

    def __init__(self, inputs, units, columns):
        super().__init__()
        self.columns = columns
        self.weight = nn.Parameter(torch.zeros(units, inputs // columns))
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(self, x):
        parts = zip(x.chunk(self.columns, 1), self.weight.chunk(self.columns))
        return torch.cat([part @ weight.T for part, weight in parts], 1) + self.bias


class AlexNet(nn.Module):
    """The module of a net's table; parameters are called as in the checkpoint. `net` is the table."""

    def __init__(self, net):
        super().__init__()
        self.net, self.steps = net, []
        columns, (channels, height, width) = net["columns"], net["input"]
        side = lambda n, size, stride, pad: 1 + -(-(n + 2 * pad - size) // stride)
        flat = False
        for i, row in enumerate(net["layers"]):
            kind, name = row["kind"], row.get("name", f"step{i}")
            groups = columns if row.get("reads") == "own-column" else 1
            if kind == "convolution":
                size, stride, pad = row["kernel"], row["stride"], row["padding"]
                step = Hanging(channels, row["maps"], size, stride, pad, groups=groups)
                channels, height, width = row["maps"], side(height, size, stride, pad), side(width, size, stride, pad)
            elif kind == "dense":
                inputs = channels * height * width
                dense = nn.Linear(inputs, row["units"]) if groups == 1 else OwnColumns(inputs, row["units"], groups)
                step, flat = dense, True
                channels, height, width = row["units"], 1, 1
            elif kind in ("max-pool", "average-pool"):
                size, stride = row["size"], row["stride"]
                pool = nn.MaxPool2d if kind == "max-pool" else nn.AvgPool2d
                step = pool(size, stride, ceil_mode=True)
                height, width = side(height, size, stride, 0), side(width, size, stride, 0)
            elif kind in ("local-response", "within-map"):
                step = Normalise(row, columns)
            else:
                step = {"rectifier": nn.ReLU, "tanh": nn.Tanh, "dropout": lambda: nn.Dropout(1 - row["keep"])}[kind]()
            self.add_module(name, step)
            self.steps.append((name, flat))

    def forward(self, x):
        for name, flat in self.steps:
            if flat and x.dim() > 2:
                x = x.flatten(1)
            x = getattr(self, name)(x)
        return x


def factors(net):
    """What a layer's weights are multiplied by on the way to PyTorch."""
    factor, found = 1.0, {}
    for row in net["layers"]:
        if row["kind"] == "dropout" and net["dropout"] == "scaled-at-test":
            factor *= row["keep"]
        elif "name" in row:
            found[row["name"] + ".weight"], factor = factor, 1.0
    return found


def described(path):
    """What a checkpoint says of itself, and its tensors (numpy)."""
    with safe_open(path, "numpy") as f:
        return json.loads(f.metadata()["alexnet"]), {name: f.get_tensor(name) for name in f.keys()}


def read(path):
    """Table and tensors (numpy) of a checkpoint."""
    about, tensors = described(path)
    return about["net"], tensors


def centre(photos, net):
    """The crop of [..., height, width, 3] that the network reads."""
    (_, height, width), (whole_height, whole_width) = net["input"], photos.shape[-3:-1]
    top, left = (whole_height - height) // 2, (whole_width - width) // 2
    return photos[..., top : top + height, left : left + width, :]


def mean(about, tensors):
    """What is subtracted from a centre crop, [3, height, width] in grey levels; None if the checkpoint has no mean image."""
    image = tensors.get("mean_image")
    if image is None:
        return None
    if about["recipe"]["input"]["mean"] == "channel":
        image = np.broadcast_to(image.mean((0, 1), np.float64).astype(np.float32), image.shape)
    return torch.from_numpy(np.ascontiguousarray(centre(image, about["net"]).transpose(2, 0, 1)))


def evaluate(about, tensors, folder, batch=64):
    """Mean cross-entropy, top-1 and top-5 error on the centre crops of the val split, and how many photos."""
    net, subtracted = about["net"], mean(about, tensors)
    if subtracted is None:
        sys.exit("this checkpoint has no mean image: nothing to subtract")
    model, loss, hits = module(net, tensors), 0.0, np.zeros(2, np.int64)
    photos = 0
    for part, labels in shards(folder, "val"):
        for at in range(0, len(labels), batch):
            rgb = torch.from_numpy(np.ascontiguousarray(centre(part[at : at + batch], net)))
            truth = torch.from_numpy(labels[at : at + batch])
            with torch.inference_mode():
                logits = model((rgb.permute(0, 3, 1, 2) - subtracted) / net.get("unit", 1.0))
            loss += F.cross_entropy(logits.double(), truth, reduction="sum").item()
            right = logits.topk(min(5, net["classes"])).indices == truth[:, None]
            hits += [right[:, 0].sum().item(), right.any(1).sum().item()]
            photos += len(truth)
    return loss / photos, *(1 - hits / photos), photos


def module(net, tensors, rescale=True):
    """The module with a checkpoint's weights; without `rescale` they stay as they are."""
    model = AlexNet(net)
    scale = factors(net) if rescale else {}
    state = {n: torch.from_numpy(tensors[n] * np.float32(scale.get(n, 1))) for n, _ in model.named_parameters()}
    model.load_state_dict(state)
    return model.eval()


def weights(model):
    """A module's weights in our convention (numpy)."""
    scale = factors(model.net)
    return {n: (t.detach() / scale.get(n, 1)).numpy().astype("<f4") for n, t in model.named_parameters()}


def rewrite(old, new, tensors):
    """A copy of a checkpoint with other values of these tensors; every other byte stays."""
    data = bytearray(open(old, "rb").read())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for name, values in tensors.items():
        if name not in header or header[name]["shape"] != list(values.shape):
            sys.exit(f"{old}: tensor {name} {list(values.shape)} does not fit {header.get(name)}")
        start, end = (8 + length + at for at in header[name]["data_offsets"])
        data[start:end] = np.ascontiguousarray(values, "<f4").tobytes()
    with open(new, "wb") as f:
        f.write(data)


def say_halved(net):
    halved = [f"{name} x {factor}" for name, factor in factors(net).items() if factor != 1]
    if halved:
        print(f"PyTorch scales dropout in training, this net at test: {', '.join(halved)}", file=sys.stderr)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["export", "import", "check", "evaluate"])
    p.add_argument("paths", nargs="+")
    a = p.parse_args()
    if len(a.paths) != {"export": 2, "import": 3, "check": 1, "evaluate": 2}[a.what]:
        p.error(f"{a.what} takes other paths, see --help")
    if a.what == "import":
        saved, old, new = torch.load(a.paths[0]), *a.paths[1:]
        net, _ = read(old)
        if net["layers"] != saved["net"]["layers"]:
            sys.exit(f"{a.paths[0]} and {old} are different nets")
        model = AlexNet(net)
        model.load_state_dict(saved["state_dict"])
        say_halved(net)
        rewrite(old, new, weights(model))
        return
    about, tensors = described(a.paths[0])
    net = about["net"]
    if a.what == "evaluate":
        loss, top1, top5, photos = evaluate(about, tensors, a.paths[1])
        print(f"{photos} photos: loss {loss:.4f}, top-1 error {100 * top1:.2f} %, top-5 error {100 * top5:.2f} %")
        return
    model = module(net, tensors)
    say_halved(net)
    if a.what == "export":
        state = {"net": net, "classes": about["classes"], "mean": mean(about, tensors), "unit": net.get("unit", 1.0)}
        torch.save(state | {"state_dict": model.state_dict()}, a.paths[1])
        return
    back = weights(model)
    wrong = [name for name, values in back.items() if not np.array_equal(values, tensors[name])]
    if wrong:
        sys.exit(f"changed on the way: {', '.join(wrong)}")
    print(f"{len(back)} tensors there and back unchanged")


if __name__ == "__main__":
    main()
