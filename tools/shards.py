"""Reads a packed set with numpy, as its specification (crates/shard/README.md) says: no program of ours is asked.

A shard is trusted to be whole; `imagenet-pack verify` tells whether it is.
"""
import json
import struct
from pathlib import Path

import numpy as np

LABELS = 1


def shards(folder, split):
    """Photos [n, height, width, 3] (uint8, mapped) and labels [n] of each shard of a split, in order."""
    manifest = Path(folder) / "manifest.json"
    if not manifest.is_file():
        raise SystemExit(f"{manifest} is absent: {folder} is no set of shards, or was not packed to its end")
    splits = json.loads(manifest.read_text())["splits"]
    if split not in splits:
        raise SystemExit(f"{folder} has no split {split}, but {', '.join(splits)}")
    for part in splits[split]["shards"]:
        data = np.memmap(Path(folder) / part["file"], np.uint8, "r")
        width, height = struct.unpack_from("<II", data, 20)
        _, stride, count, records, index = struct.unpack_from("<5Q", data, 32)
        photos = np.ndarray((count, height, width, 3), np.uint8, data, records, (stride, 3 * width, 3, 1))
        (sections,) = struct.unpack_from("<Q", data, index)
        for i in range(sections):
            kind, _, start, size = struct.unpack_from("<IIQQ", data, index + 8 + 24 * i)
            if kind == LABELS:
                yield photos, data[start : start + size].view("<u4").astype(np.int64)
