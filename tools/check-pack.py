#!/usr/bin/env python3
"""Compares every record of a packed set with Pillow's antialiased bilinear at the same geometry.

    python3 -m venv venv && venv/bin/pip install pillow numpy
    venv/bin/python tools/check-pack.py SET TRAIN.tar VAL.tar

Reads the shards as crates/shard/README.md describes them, without any code of the project, finds each photo in the
archives by its name, and prints the mean absolute difference in grey levels: its mean over the records and the worst
record. Exit code 1 if the mean is above 1.0, the worst above 3.0, or a photo cannot be found; 0 otherwise.
"""
import io
import json
import struct
import sys
import tarfile
from pathlib import Path

import numpy
from PIL import Image

MEAN_LIMIT, WORST_LIMIT = 1.0, 3.0


def photos(path):
    """Name to (file, offset, length) for every JPEG of an archive, inner tars included."""
    found = {}

    def walk(file, start):
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                name = member.name.rsplit("/", 1)[-1]
                if name.endswith(".tar"):
                    walk(tar.extractfile(member), start + member.offset_data)
                elif name.lower().endswith((".jpeg", ".jpg")) and not name.startswith("."):
                    found[name] = (path, start + member.offset_data, member.size)

    with open(path, "rb") as file:
        walk(file, 0)
    return found


def shard(path):
    """Yields (name, record as an array) of a shard, and returns what its report names as repaired."""
    data = numpy.memmap(path, numpy.uint8, "r")
    header = bytes(data[:4096])
    assert header[:8] == b"ALXSHARD" and struct.unpack_from("<I", header, 8)[0] == 1, path
    width, height = struct.unpack_from("<II", header, 20)
    record_bytes, stride, count, records, index = struct.unpack_from("<5Q", header, 32)
    sections = {}
    for row in range(struct.unpack_from("<Q", data, index)[0]):
        kind, _, offset, size = struct.unpack_from("<IIQQ", data, index + 8 + 24 * row)
        sections[kind] = bytes(data[offset : offset + size])
    offsets = struct.unpack_from(f"<{count + 1}Q", sections[4])
    text = sections[4][8 * (count + 1) :]
    repaired = {entry["name"] for entry in json.loads(sections[6]) if entry["kind"] == "repaired"}
    for i in range(count):
        record = data[records + i * stride :][:record_bytes].reshape(height, width, 3)
        yield text[offsets[i] : offsets[i + 1]].decode(), record, repaired


def pillow(data, size):
    image = Image.open(io.BytesIO(data)).convert("RGB")
    short, long = min(image.size), max(image.size)
    scaled = max(size, (2 * long * size + short) // (2 * short))
    sides = (size, scaled) if image.width <= image.height else (scaled, size)
    if sides != image.size:
        image = image.resize(sides, Image.Resampling.BILINEAR)
    left, top = (sides[0] - size) // 2, (sides[1] - size) // 2
    return numpy.asarray(image.crop((left, top, left + size, top + size)))


def main(folder, *archives):
    manifest = json.loads((Path(folder) / "manifest.json").read_text())
    if manifest["recipe"]["filter"] != "bilinear":
        sys.exit(f"{folder}: filter {manifest['recipe']['filter']}; only bilinear is compared")
    size = manifest["recipe"]["size"][0]
    known = {}
    for archive in archives:
        known.update(photos(archive))
    good = True
    for split, content in manifest["splits"].items():
        differences, largest = {}, 0
        for part in content["shards"]:
            for name, record, repaired in shard(Path(folder) / part["file"]):
                if name in repaired:
                    print(f"skipped: {split} {name} is repaired")
                    continue
                if name not in known:
                    print(f"{split} {name}: in none of the archives")
                    good = False
                    continue
                path, offset, length = known[name]
                with open(path, "rb") as file:
                    file.seek(offset)
                    expected = pillow(file.read(length), size)
                difference = numpy.abs(record.astype(numpy.int16) - expected)
                differences[name] = float(difference.mean())
                largest = max(largest, int(difference.max()))
        if not differences:
            continue
        mean = sum(differences.values()) / len(differences)
        worst = max(differences, key=differences.get)
        print(
            f"{split}: {len(differences)} records, mean absolute difference {mean:.4f} grey levels, "
            f"worst record {differences[worst]:.4f} ({worst}), largest of any component {largest}"
        )
        good &= mean <= MEAN_LIMIT and differences[worst] <= WORST_LIMIT
    print("ok" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
