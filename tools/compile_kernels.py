"""Compiles kernels/*.cu with NVRTC (ctypes, no package needed): see tools/compile-kernels."""
import ctypes
import pathlib
import re
import sys

ARCHITECTURES = ("sm_80", "sm_90")
# Registers a thread may use: with blocks of 256 threads, 64 keep four blocks (half of all warps) on a multiprocessor.
BUDGET = 64
# Convolutions keep their sums in registers, for tensor cores: two blocks are enough.
TILES, TILE_BUDGET = re.compile(r"convolve_"), 128
OPTIONS = ("--std=c++17", "--fmad=false", "--ptxas-options=-v", "--ptxas-options=--warn-on-spills")


def load(folder):
    """Both files by full path: this NVRTC does not look for its builtins beside itself."""
    folder = pathlib.Path(folder)
    builtins = sorted(folder.glob("libnvrtc-builtins.so.13*"))
    if not builtins or not (folder / "libnvrtc.so.13").exists():
        sys.exit(f"no libnvrtc.so.13 and builtins in {folder}")
    ctypes.CDLL(str(builtins[0]), mode=ctypes.RTLD_GLOBAL)
    nvrtc = ctypes.CDLL(str(folder / "libnvrtc.so.13"), mode=ctypes.RTLD_GLOBAL)
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
    return nvrtc


def strings(items):
    return (ctypes.c_char_p * len(items))(*items)


def compile_one(nvrtc, path, headers, arch):
    """The compiler's result, log and size of the cubin."""
    program = ctypes.c_void_p()
    code = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), path.read_bytes(), path.name.encode(), len(headers),
        strings([h.read_bytes() for h in headers]), strings([h.name.encode() for h in headers]))
    assert code == 0, nvrtc.nvrtcGetErrorString(code)
    options = [o.encode() for o in (f"--gpu-architecture={arch}", *OPTIONS)]
    code = nvrtc.nvrtcCompileProgram(program, len(options), strings(options))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    size.value = 0
    if code == 0:
        nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return code, log.value.decode(), size.value


def usage(log):
    """{kernel: (registers, spilled bytes, stack bytes)} from the assembler's report."""
    found, kernel, spill, stack = {}, None, 0, 0
    for line in log.splitlines():
        if m := re.search(r"Compiling entry function '(\w+)'", line):
            kernel = m[1]
        if m := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            stack, spill = int(m[1]), int(m[2]) + int(m[3])
        if m := re.search(r"Used (\d+) registers", line):
            found[kernel] = (int(m[1]), spill, stack)
    return found


def main():
    folder, nvrtc = pathlib.Path(sys.argv[1]), load(sys.argv[2])
    headers, complaints, table = sorted(folder.glob("*.cuh")), [], {}
    for path in sorted(folder.glob("*.cu")):
        declared = set(re.findall(r"^(\w+)\(", path.read_text(), re.M))
        for arch in ARCHITECTURES:
            code, log, _ = compile_one(nvrtc, path, headers, arch)
            if code != 0 or re.search(r"\b(warning|error)\b", log, re.I):
                complaints.append(f"{path.name} {arch}: result {code}\n{log}")
                continue
            found = usage(log)
            if missing := declared - set(found):
                complaints.append(f"{path.name} {arch}: no report for {sorted(missing)}")
            for kernel, (registers, spill, stack) in found.items():
                table.setdefault((path.name, kernel), {})[arch] = (registers, spill, stack)
                budget = TILE_BUDGET if TILES.match(kernel) else BUDGET
                if spill or stack or registers > budget:
                    complaints.append(f"{kernel} {arch}: {registers} registers (budget {budget}), "
                                      f"{spill} bytes spilled, {stack} bytes of stack")
    for (name, kernel), by_arch in table.items():
        cells = [f"{by_arch[a][0]} / {by_arch[a][1]}" if a in by_arch else "?" for a in ARCHITECTURES]
        print(f"| {kernel} | {' | '.join(cells)} |" if "--table" in sys.argv else
              f"{name:16} {kernel:22} registers / spilled: " + "   ".join(map(" ".join, zip(ARCHITECTURES, cells))))
    for complaint in complaints:
        print("FAILED", complaint, file=sys.stderr)
    if complaints or not table:
        sys.exit(1)
    print(f"{len(table)} kernels compiled for {', '.join(ARCHITECTURES)}", file=sys.stderr)


main()
