#!/usr/bin/env python3
"""A linear model on raw pixels: what a network has to beat.

    linear.py SHARDS OUT.json

Ridge regression from every second pixel's mean (128x128x3 values of a 256x256 record) to the classes' indicators, solved
exactly in its dual form; the strength is the one that does best on a fifth of the training photos. Needs numpy.
"""
import json
import sys
from pathlib import Path

import numpy as np

from shards import shards


def split(folder, name):
    """[photos, values] of a split, each 2x2 square averaged, around zero; and [photos] labels."""
    rows, labels = [], []
    for photos, known in shards(folder, name):
        labels.append(known)
        for photo in photos:
            height, width, _ = photo.shape
            squares = photo.reshape(height // 2, 2, width // 2, 2, 3)
            rows.append((squares.mean((1, 3), np.float32) / 128 - 1).ravel())
    return np.stack(rows), np.concatenate(labels)


def main(folder, out):
    (train, truth), (val, val_truth) = split(folder, "train"), split(folder, "val")
    mean = train.mean(0)
    train -= mean
    val -= mean
    y = np.eye(truth.max() + 1, dtype=np.float64)[truth]
    gram = (train @ train.T).astype(np.float64)
    n = len(train)
    order = np.random.default_rng(1).permutation(n)
    own, held = order[n // 5 :], order[: n // 5]
    scale = np.trace(gram) / n
    score = {}
    for strength in 10.0 ** np.arange(-4, 3):
        a = np.linalg.solve(gram[np.ix_(own, own)] + strength * scale * np.eye(len(own)), y[own] - y[own].mean(0))
        score[strength] = float(((gram[np.ix_(held, own)] @ a + y[own].mean(0)).argmax(1) == truth[held]).mean())
    strength = max(score, key=score.get)
    a = np.linalg.solve(gram + strength * scale * np.eye(n), y - y.mean(0))
    right = ((val @ train.T).astype(np.float64) @ a + y.mean(0)).argmax(1) == val_truth
    how = f"ridge, strength {strength:g} of the mean photo's energy, chosen on a fifth of the training photos"
    Path(out).write_text(json.dumps({"top1": float(right.mean()), "images": len(val), "how": how, "held_out": score}))
    print(f"top-1 {100 * right.mean():.1f} % of {len(val)} photos; {how}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
