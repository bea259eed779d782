#!/usr/bin/env python3
"""Scaling of a training step beyond one machine, simulated with SimGrid's SMPI (Debian: libsimgrid-dev).

Every rank replays steps of measured computation followed by the step's one reduction (src/comm/exact.c): a sum of 64-bit integers,
flags, five words per tensor and each tensor padded to eight words. Its length is that of the program, which tells it with
`thaw train -v` ("each step reduces ..."). The sum's own arithmetic is charged to the processor.

    jobs/scaling/scaling.py --seconds head=2e-5,images=0.26,block5=0.136,all=0.72 > scaling.md
"""
import argparse
import os
import subprocess
import tempfile

WORD, FLAGS, INFO, PADDING, CHUNK = 8, 4, 5, 8, 1 << 28
SUM_SECONDS_PER_BYTE = 1 / 4e9  # of int64 sums, one core: 64 MB in about 16 ms


def padded(words):
    return (words + PADDING - 1) // PADDING * PADDING


def message(tensors):
    """Words of the message of a step, as src/comm/exact.c lays it out."""
    return padded(FLAGS + INFO * len(tensors)) + sum(padded(t) for t in tensors)


def vgg(first, last=13):
    """Kernels and biases of VGG16's convolutions number first .. last."""
    channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    return [size for i in range(first, last + 1) for size in (9 * channels[i - 1] * channels[i], channels[i])]


HEAD = [512 * 128, 128, 128 * 10, 10]
# name, tensors, seconds of computation per sample and core, samples per rank
CASES = {
    "head, from the cache": (HEAD, "head", (64, 512, 4096)),
    "head, from images": (HEAD, "images", (16,)),
    "block5, from the cache": (HEAD + vgg(11), "block5", (8, 32)),
    "all of VGG16": (HEAD + vgg(1), "all", (8, 32)),
}
NETWORKS = {
    "10 GbE": ("1.25GBps", "10us"),
    "100 Gb/s": ("12.5GBps", "1us"),
}
PLATFORM = """<?xml version='1.0'?><!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1"><cluster id="c" prefix="node-" suffix=".dt" radical="0-1023" speed="1Gf" bw="%s" lat="%s"
 topology="FAT_TREE" topo_parameters="3;16,8,8;1,8,8;1,1,1" loopback_bw="10GBps" loopback_lat="100ns"/></platform>
"""
# SMPI's algorithms of MPI_Allreduce; "hierarchical" is put together in main().
LIBRARY = ["smpi/coll-selector:ompi"]
ALGORITHMS = {
    "library": LIBRARY,
    "ring": LIBRARY + ["smpi/allreduce:lr"],
    "recursive doubling": LIBRARY + ["smpi/allreduce:rdb"],
    "tree": ["smpi/allreduce:redbcast", "smpi/reduce:binomial", "smpi/bcast:binomial_tree"],
}
PER_NODE = 8


def simulate(folder, network, options, ranks, words, seconds, per_node, steps):
    """Seconds of simulated time for `steps` steps."""
    platform = os.path.join(folder, "platform.xml")
    with open(platform, "w") as f:
        f.write(PLATFORM % NETWORKS[network])
    hosts = os.path.join(folder, "hosts")
    with open(hosts, "w") as f:
        f.write("".join("node-%d.dt\n" % (r // per_node) for r in range(ranks)))
    names = []
    for r in range(ranks):
        names.append(os.path.join(folder, "rank-%d" % r))
        step = ["%d compute %.0f" % (r, seconds * 1e9)]
        for first in range(0, words, CHUNK // WORD):
            count = min(words - first, CHUNK // WORD)
            step.append("%d allreduce %d %.0f 4" % (r, count, count * WORD * SUM_SECONDS_PER_BYTE * 1e9 if ranks > 1 else 0))
        with open(names[-1], "w") as f:
            f.write("%d init\n" % r + ("\n".join(step) + "\n") * steps + "%d finalize\n" % r)
    trace = os.path.join(folder, "traces")
    with open(trace, "w") as f:
        f.write("\n".join(names) + "\n")
    command = ["smpirun", "-np", str(ranks), "-hostfile", hosts, "-platform", platform, "-replay", trace, "--cfg=smpi/host-speed:1Gf",
               "--cfg=smpi/display-timing:no", "--cfg=contexts/stack-size:256"] + ["--cfg=" + o for o in options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    for line in done.stdout.splitlines() + done.stderr.splitlines():
        if "Simulation time" in line:
            return float(line.split()[-1])
    raise SystemExit("smpirun failed: " + done.stderr[-400:])


def arguments():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", required=True, metavar="NAME=S,...", help="of computation per sample: head, images, block5, all")
    options.add_argument("--ranks", default="2,8,32,128,512,1024")
    options.add_argument("--algorithms-at", type=int, default=128, help="ranks at which algorithms are compared")
    return options.parse_args()


def efficiency_table(folder, seconds, ranks):
    print("| trained | network | samples per rank | computation, s | message, MB | " + " | ".join("%d" % r for r in ranks) + " |")
    print("| --- | --- | ---: | ---: | ---: |" + " ---: |" * len(ranks))
    known = {}
    for network in NETWORKS:
        for name, (tensors, key, batches) in CASES.items():
            words = message(tensors)
            for r in ranks:
                if (network, words, r) not in known:
                    known[network, words, r] = simulate(folder, network, LIBRARY, r, words, 0, 1, 1)
            for batch in batches:
                compute = seconds[key] * batch
                row = " | ".join("%.1f %%" % (100 * compute / (compute + known[network, words, r])) for r in ranks)
                print("| %s | %s | %d | %.3g | %.2f | %s |" % (name, network, batch, compute, words * WORD / 1e6, row), flush=True)
            row = " | ".join("%.2f ms" % (1000 * known[network, words, r]) for r in ranks)
            print("| | %s | | reduction | %.2f | %s |" % (network, words * WORD / 1e6, row), flush=True)


def algorithm_table(folder, ranks):
    """PER_NODE ranks on each node. Hierarchical: each rank of a node sums its part of all its neighbours' messages in shared
    memory, the nodes reduce among themselves, each rank copies the result."""
    print("| trained | network | " + " | ".join(ALGORITHMS) + " | hierarchical |")
    print("| --- | --- |" + " ---: |" * (len(ALGORITHMS) + 1))
    for network in NETWORKS:
        for name, (tensors, key, batches) in CASES.items():
            if key == "images":
                continue
            words = -(-message(tensors) // ranks) * ranks  # SimGrid's ring wants equal parts
            row = ["%.2f" % (1000 * simulate(folder, network, flags, ranks, words, 0, PER_NODE, 1)) for flags in ALGORITHMS.values()]
            between = simulate(folder, network, LIBRARY, ranks // PER_NODE, words, 0, 1, 1)
            row.append("%.2f" % (1000 * (between + 2 * words * WORD * SUM_SECONDS_PER_BYTE)))
            print("| %s | %s | %s |" % (name, network, " | ".join(row)), flush=True)


def main():
    options = arguments()
    seconds = {k: float(v) for k, v in (pair.split("=") for pair in options.seconds.split(","))}
    with tempfile.TemporaryDirectory() as folder:
        print("## Efficiency by number of ranks: computation / (computation + reduction)\n")
        efficiency_table(folder, seconds, [int(r) for r in options.ranks.split(",")])
        print("\n## The reduction of %d ranks, %d on each node, ms\n" % (options.algorithms_at, PER_NODE))
        algorithm_table(folder, options.algorithms_at)


if __name__ == "__main__":
    main()
