"""PyTorch's training step of the same network (2 columns, LRN, overlapping pooling, dropout), to compare with:
`torch_step.py BATCH STEPS [cpu]`. Prints one JSON object with TF32, bfloat16 and compiled bfloat16 variants. On the CPU
it only rehearses. What was measured before a time limit is on standard error."""
import json
import os
import signal
import sys
import time

import torch
from torch import nn


def network():
    # alpha is divided by the window's size in PyTorch: 5e-4 / 5 = 1e-4, of one column of 48 or 128 maps.
    class Norm(nn.Module):
        def forward(self, x):
            n, c, h, w = x.shape
            norm = nn.functional.local_response_norm
            return torch.cat([norm(half, 5, 5e-4, 0.75, 2.0) for half in x.chunk(2, 1)], 1)

    def pool():
        return nn.MaxPool2d(3, 2)

    return nn.Sequential(
        nn.ZeroPad2d((0, 3, 0, 3)), nn.Conv2d(3, 96, 11, 4), nn.ReLU(), Norm(), pool(),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), Norm(), pool(),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), pool(),
        nn.Flatten(), nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(),
        nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 1000),
    )


def measure(device, batch, steps, tf32, autocast, compiled):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    net = network().to(device, memory_format=torch.channels_last)
    forward = torch.compile(net) if compiled else net
    optimiser = torch.optim.SGD(net.parameters(), 1e-4, momentum=0.9, weight_decay=5e-4, fused=True)
    x = torch.randn(batch, 3, 224, 224, device=device).to(memory_format=torch.channels_last)
    labels = torch.randint(1000, (batch,), device=device)

    def step():
        with torch.autocast(device, torch.bfloat16, enabled=autocast):
            loss = nn.functional.cross_entropy(forward(x), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(10 if device == "cuda" else 1):
        step()
    wait()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return (time.perf_counter() - start) / steps


def main():
    batch, steps, device = int(sys.argv[1]), int(sys.argv[2]), "cpu" if sys.argv[3:] == ["cpu"] else "cuda"
    variants = []

    def finish(*_):
        print(json.dumps({"batch": batch, "torch": torch.__version__, "device": device, "variants": variants}), flush=True)
        os._exit(len(variants) < 3)

    signal.signal(signal.SIGTERM, finish)  # a time limit keeps what was measured
    for name, options in [
        ("TF32", (True, False, False)),
        ("bfloat16", (True, True, False)),
        ("bfloat16 compiled", (True, True, True)),
    ]:
        try:
            seconds = measure(device, batch, steps, *options)
            variants.append({"name": name, "ms": 1e3 * seconds, "images_per_second": batch / seconds})
            print(variants[-1], file=sys.stderr, flush=True)
        except Exception as error:  # one variant that fails must not hide the others
            print(f"{name}: {error}", file=sys.stderr)
    finish()


if __name__ == "__main__":
    main()
