#!/usr/bin/env python3
"""Makes the files of crates/pack/tests/fixtures: odd photos, and what other programs make of them.

    python3 -m venv venv && venv/bin/pip install pillow numpy scipy opencv-python-headless imagecodecs
    venv/bin/python tools/pack-fixtures.py crates/pack/tests/fixtures

NAME.jpg or NAME.png is an input, NAME.rgb.png is Pillow's convert("RGB") of it. scene.png is resized by Pillow and
OpenCV into scene.FILTER.SIZE.png at the packer's geometry. meta*.mat are written by SciPy. The versions used for the
committed files: Pillow 13.0.0, OpenCV 5.0.0, SciPy 1.17.1, imagecodecs 2026.3.6; libjpeg-turbo 2.1.5's jpegtran (of
Debian's libjpeg-turbo-progs) must be on the path.
"""
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import imagecodecs
import numpy
import scipy.io
from PIL import Image

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)


def scene(width, height, channels, phase=0.0):
    """A smooth picture with an edge, the same on every machine."""
    y, x = numpy.mgrid[0:height, 0:width].astype(numpy.float64)
    planes = []
    for c in range(channels):
        wave = numpy.sin(x * (0.21 + 0.05 * c) + phase) * numpy.cos(y * (0.17 + 0.03 * c) + c)
        edge = 60 * (x * 2 + y * (c + 1) > (width + height))
        planes.append(numpy.clip(110 + 70 * wave + edge, 0, 255))
    return numpy.stack(planes, axis=-1).astype(numpy.uint8).squeeze()


def save(name, data):
    (out / name).write_bytes(data)
    Image.open(io.BytesIO(data)).convert("RGB").save(out / (name.rsplit(".", 1)[0] + ".rgb.png"), optimize=True)


def jpeg(image, **options):
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90, **options)
    return data.getvalue()


def png(image):
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    return data.getvalue()


# Four components: Adobe's marker says CMYK (transform 0) or YCCK (2); the same data without any marker.
cmyk = jpeg(Image.fromarray(scene(20, 12, 4), "CMYK"))
marker = cmyk.index(b"Adobe") - 4
length = int.from_bytes(cmyk[marker + 2 : marker + 4], "big") + 2
assert cmyk[marker : marker + 2] == b"\xff\xee" and length == 16
save("cmyk.jpg", cmyk)
ycck = bytearray(cmyk)
ycck[marker + 15] = 2
save("ycck.jpg", bytes(ycck))
save("cmyk-bare.jpg", cmyk[:marker] + cmyk[marker + length :])

# RGB in an RGB JPEG: Adobe's marker says so by the number that means CMYK where there are four components. libjpeg also
# names the components R, G and B; without those names the marker alone tells.
rgb = bytearray(jpeg(Image.fromarray(scene(20, 12, 3)), keep_rgb=True))
save("rgb.jpg", bytes(rgb))
for segment in (b"\xff\xc0", b"\xff\xda"):
    start = rgb.index(segment)
    end = start + 2 + int.from_bytes(rgb[start + 2 : start + 4], "big")
    rgb[start:end] = rgb[start:end].translate(bytes.maketrans(b"RGB", b"\1\2\3"))
save("rgb-adobe.jpg", bytes(rgb))

save("grey.jpg", jpeg(Image.fromarray(scene(20, 12, 1))))
save("progressive.jpg", jpeg(Image.fromarray(scene(20, 12, 3)), progressive=True))
# Subsampled colour with restarts, sequential and progressive: for the walk through the scans.
save("restarts.jpg", jpeg(Image.fromarray(scene(41, 29, 3)), subsampling="4:2:0", restart_marker_blocks=2))
save(
    "progressive-restarts.jpg",
    jpeg(Image.fromarray(scene(41, 29, 3)), subsampling="4:2:0", restart_marker_blocks=5, progressive=True),
)
# Progressive ones of the other layouts, several units high and wide.
for name, channels, mode, options in (
    ("444", 3, "RGB", {"subsampling": "4:4:4"}),
    ("422", 3, "RGB", {"subsampling": "4:2:2"}),
    ("grey", 1, "L", {}),
    ("cmyk", 4, "CMYK", {}),
):
    image = Image.fromarray(scene(43, 37, channels), mode)
    save(f"progressive-{name}.jpg", jpeg(image, progressive=True, **options))
# EXIF says "turned by a quarter"; the packer ignores it, as convert() does.
exif = Image.Exif()
exif[0x0112] = 6
save("turned.jpg", jpeg(Image.fromarray(scene(20, 12, 3)), exif=exif))

# EXIF whose directory lies outside of it, and 1,000 bytes that belong to nothing behind the photo.
broken = b"Exif\0\0MM\0*\xff\xff\xff\xf0" + bytes(range(256))
save("exif-broken.jpg", jpeg(Image.fromarray(scene(20, 12, 3)), exif=broken))
save("trailing.jpg", jpeg(Image.fromarray(scene(20, 12, 3))) + bytes((7 * i) % 251 for i in range(1000)))
# As small and as thin as photos get.
save("pixel.jpg", jpeg(Image.fromarray(scene(2, 2, 3)[:1, :1])))
save("thin.jpg", jpeg(Image.fromarray(scene(8, 2000, 3))))
# Two codings that are refused by name: Pillow reads the arithmetic one, and neither the other.
(out / "twelve-bits.jpg").write_bytes(
    imagecodecs.jpeg8_encode(scene(20, 12, 3).astype(numpy.uint16) * 16, bitspersample=12)
)
colour = jpeg(Image.fromarray(scene(20, 12, 3)))
arithmetic = subprocess.run(["jpegtran", "-arithmetic"], input=colour, stdout=subprocess.PIPE, check=True).stdout
(out / "arithmetic.jpg").write_bytes(arithmetic)

rgba = scene(20, 12, 4)
save("rgba.png", png(Image.fromarray(rgba, "RGBA")))
save("grey-alpha.png", png(Image.fromarray(scene(20, 12, 2), "LA")))
palette = Image.fromarray(scene(20, 12, 3)).quantize(16)
palette.info["transparency"] = 3
save("palette.png", png(palette))
# Interlaced, which Pillow reads and does not write: seven pictures of ever more pixels, one after the other.
def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


whole = scene(21, 13, 3)
passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
rows = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in whole[y::dy, x::dx] if row.size)
header = struct.pack(">IIBBBBB", 21, 13, 8, 2, 0, 0, 1)
parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
save("interlaced.png", b"\x89PNG\r\n\x1a\n" + parts)
# 16-bit RGB: Pillow keeps the upper byte. OpenCV writes it (as BGR).
wide = scene(20, 12, 3).astype(numpy.uint16) * 256 + 255 - scene(20, 12, 3, 1.0)
save("rgb16.png", cv2.imencode(".png", wide[:, :, ::-1])[1].tobytes())
# 16-bit grey: Pillow's convert() clips at 255, which leaves a white square. OpenCV keeps the upper byte.
grey16 = cv2.imencode(".png", wide[:, :, 0])[1]
(out / "grey16.png").write_bytes(grey16.tobytes())
upper = cv2.imdecode(grey16, cv2.IMREAD_COLOR)[:, :, ::-1]
Image.fromarray(numpy.ascontiguousarray(upper)).save(out / "grey16.rgb.png", optimize=True)

# Resizing. Pillow antialiases; OpenCV's AREA and CUBIC are what the 2012 code called.
source = scene(61, 43, 3)
Image.fromarray(source).save(out / "scene.png", optimize=True)


def geometry(width, height, size):
    short, long = min(width, height), max(width, height)
    scaled = max(size, (2 * long * size + short) // (2 * short))
    w, h = (size, scaled) if width <= height else (scaled, size)
    return w, h, (w - size) // 2, (h - size) // 2


for size in (24, 64):
    w, h, left, top = geometry(61, 43, size)
    made = {
        "bilinear": Image.fromarray(source).resize((w, h), Image.Resampling.BILINEAR),
        "catmull-rom": Image.fromarray(source).resize((w, h), Image.Resampling.BICUBIC),
        "lanczos3": Image.fromarray(source).resize((w, h), Image.Resampling.LANCZOS),
        "area": Image.fromarray(
            cv2.resize(source, (w, h), interpolation=cv2.INTER_AREA if size < 43 else cv2.INTER_CUBIC)
        ),
    }
    for name, image in made.items():
        image.crop((left, top, left + size, top + size)).save(out / f"scene.{name}.{size}.png", optimize=True)

# A devkit's table in small, as SciPy writes it: numbers, text beyond ASCII, an empty array, nested cells.
rows = [
    (2, "n00000002", "zwei, deux", 0, numpy.zeros((1, 0)), 7.5),
    (1, "n00000001", "größte ‘eins’", 0, numpy.zeros((1, 0)), -1.0),
    (3, "n00000003", "root", 2, numpy.array([[1, 2]], dtype=numpy.uint16), 0.25),
]
fields = ["ILSVRC2012_ID", "WNID", "words", "num_children", "children", "score"]
table = numpy.zeros((3, 1), dtype=[(f, object) for f in fields])
for i, row in enumerate(rows):
    table[i, 0] = row
cells = numpy.array([[numpy.array([[1, 2], [3, 4]], dtype=numpy.int32), "text"]], dtype=object)
for name, compress in (("meta.mat", False), ("meta-packed.mat", True)):
    with open(out / name, "wb") as file:
        scipy.io.savemat(file, {"synsets": table, "cells": cells}, do_compression=compress)
    data = bytearray((out / name).read_bytes())
    data[:116] = b"MATLAB 5.0 MAT-file, no date".ljust(116)  # the header's text carries a date
    (out / name).write_bytes(data)
