#!/usr/bin/env python3
"""Writes a training archive as large as ImageNet's, whose photos are holes: for measuring the header walk.

    tools/sparse-archive.py OUT.tar [ENTRIES [PHOTO.jpg ...]]

ENTRIES (default 1,281,167) members in 1,000 class tars, nested as ILSVRC2012_img_train.tar nests them, 110,000 bytes a
photo. The first members are the given photos. The file looks 140 GB long and takes about 5 GB of disk: every header
has a page to itself, as in the real one.
"""
import sys

SIZE, CLASSES = 110_000, 1000


def header(name, size):
    block = bytearray(512)
    block[: len(name)] = name.encode()
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136], block[136:148] = b"%011o\0" % size, b"%011o\0" % 0
    block[148:156], block[156:157], block[257:265] = b" " * 8, b"0", b"ustar  \0"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(size):
    return (size + 511) // 512 * 512


def main(out, entries=1_281_167, *photos):
    entries = int(entries)
    photos = [open(path, "rb").read() for path in photos]
    done = 0
    with open(out, "wb") as file:
        for k in range(min(CLASSES, entries)):
            wnid = f"n{k + 1440764:08d}"
            count = entries * (k + 1) // CLASSES - entries * k // CLASSES if entries > CLASSES else 1
            sizes = [len(photos[done + i]) if done + i < len(photos) else SIZE for i in range(count)]
            file.write(header(f"{wnid}.tar", sum(512 + padded(size) for size in sizes) + 1024))
            for i, size in enumerate(sizes):
                file.write(header(f"{wnid}_{i}.JPEG", size))
                if done < len(photos):
                    file.write(photos[done])
                    file.seek(padded(size) - size, 1)
                else:
                    file.seek(padded(size), 1)
                done += 1
            file.seek(1024, 1)
        file.seek(1024 - 1, 1)
        file.write(b"\0")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
