#!/usr/bin/env python3
"""Reads a run's event file with TensorBoard's own reader and holds every curve against the run's log.

    python3 -m venv venv && venv/bin/pip install tensorboard
    venv/bin/python tools/check-events.py RUN

Exit code 1 if a curve is missing, has other steps than the log, or a value is not the log's as a 32-bit float; 0 otherwise.
"""
import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

CURVES = {
    "train": {"train/loss": "loss", "train/top1_error": "top1_error", "rate": "rate", "epoch": "epoch",
              "images_per_second": "images_per_second"},
    "validation": {"validation/loss": "loss", "validation/top1_error": "top1_error", "validation/top5_error": "top5_error"},
}  # fmt: skip


def narrow(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    run = Path(sys.argv[1])
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    shown = set(events.Tags()["scalars"])
    expected, points = set(), 0
    for kind, curves in CURVES.items():
        own = [r for r in records if r["kind"] == kind]
        for tag, field in curves.items() if own else ():
            expected.add(tag)
            if tag not in shown:
                sys.exit(f"{run}: TensorBoard finds no curve {tag}")
            theirs = [(e.step, e.value) for e in events.Scalars(tag)]
            ours = [(r["step"], narrow(r[field])) for r in own]
            if theirs != ours:
                sys.exit(f"{run}: {tag} is {theirs} in TensorBoard, {ours} in the log")
            points += len(ours)
    if shown != expected or not points:
        sys.exit(f"{run}: TensorBoard shows {sorted(shown)}, the log has {sorted(expected)}")
    print(f"{run}: {len(expected)} curves of {points} points, in TensorBoard as in the log")


if __name__ == "__main__":
    main()
