"""Makes tools/gpu/run's table: `table.py table RESULTS`, and reads a run's log: `table.py log LOG BATCH`."""
import json
import pathlib
import statistics
import sys


def log(path, batch):
    rates = [json.loads(line).get("images_per_second") for line in open(path)]
    rates = [rate for rate in rates if rate]
    if not rates:
        sys.exit(f"{path}: no rates")
    # The first records hold the start; the median of the rest is not moved by an epoch's end.
    rate = statistics.median(rates[1:] or rates)
    print(json.dumps({"batch": int(batch), "images_per_second": rate, "ms": 1e3 * int(batch) / rate}))


def row(name, step):
    if "not_run" in step:
        return f"{name:<30} not run: {step['not_run']}"
    if "error" in step:
        return f"{name:<30} FAILED  {step['error']}"
    verdict = {True: "ok", False: "FAILED"}.get(step.get("ok"), "")
    if "cases" in step:
        said = f"{step['cases']} cases, {step['unused']} without a kernel, {len(step['failed'])} wrong"
    elif "twentieth" in step:
        said = (f"losses beside the CPU's: first {step['first']:.1e}, 20th {step['twentieth']:.1e}, last twenty "
                f"{step['last_twenty']:.1e}; exchanged {step['exchanged_bytes']} B a step")
    elif "operations" in step:
        said = f"{step['ms']:.2f} ms in operations, {step['bound_ms']:.2f} ms possible"
    elif "variants" in step:
        said = "; ".join(f"{v['name']} {v['ms']:.2f} ms, {v['images_per_second']:.0f} images/s" for v in step["variants"])
        if "lists" in step:
            said += f"; {step['replayed']} of {step['lists']} lists replayed"
        if step.get("refused"):
            said += f"; graphs refused: {step['refused']}"
    else:
        said = f"{step['ms']:.2f} ms a step, {step['images_per_second']:.0f} images/s"
    return f"{name:<30} {verdict:<7} {said}".rstrip()


def table(folder):
    folder = pathlib.Path(folder)
    steps = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json")) if path.stem != "summary"}
    machine = steps.pop("machine")
    print(f"\nGPU: {machine['gpu']}" + ("; a rehearsal with tiny sizes" if machine["rehearsal"] else ""))
    for name, step in steps.items():
        print(row(name, step))
        for op in sorted(step.get("operations", []), key=lambda op: -op["ms"]):
            share = op["bound_ms"] / op["ms"] if op["ms"] else 0
            print(f"    {op['operation']:<38} {op['calls']:>3} calls {op['ms']:>9.3f} ms, bound {op['bound_ms']:>8.3f} "
                  f"by {op['bound_by']}: {share:>4.0%}")
            if len(op["kernels"]) > 1:
                for kernel, ms in sorted(op["kernels"].items(), key=lambda item: -item[1]):
                    print(f"        {kernel:<45} {ms:>9.3f} ms")
    (folder / "summary.json").write_text(json.dumps({"machine": machine, "steps": steps}, indent=1) + "\n")
    sys.exit(any(step.get("ok") is False for step in steps.values()))


if __name__ == "__main__":
    {"log": log, "table": table}[sys.argv[1]](*sys.argv[2:])
