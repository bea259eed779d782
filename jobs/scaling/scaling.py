#!/usr/bin/env python3
"""Scaling of a training step beyond one machine, simulated with SimGrid's SMPI (Debian: libsimgrid-dev).

Every rank computes for measured times, layer by layer, and takes part in the step's exact sum by the program's own code
(jobs/scaling/step.c with src/comm). The arithmetic of the sum is charged to the processor. Beside it: the same step with one
MPI_Allreduce of the same integers at its end, replayed from traces, for which more ranks can be simulated.

    jobs/scaling/scaling.py --measured head:64=0.14/0.12/0.01 --measured block5:8=51.8/84.7/5.5 ... > scaling.md

--measured NAME:SAMPLES=FORWARD/BACKWARD/UPDATE: milliseconds of one step of one rank (thaw bench).
"""
import argparse
import os
import subprocess
import tempfile

WORD, FLAGS, INFO, PADDING, CHUNK = 8, 4, 5, 8, 1 << 28
SUM_SECONDS_PER_BYTE = 1 / 4e9  # of MPI's int64 sums, one core: 64 MB in about 16 ms
SUM_SECONDS_PER_VALUE = 1.05e-9  # of the program's: thaw bench --reduce, 14.7 million values in 15.4 ms with THAW_NODE_RANKS=1


def padded(words):
    return (words + PADDING - 1) // PADDING * PADDING


def message(tensors):
    """Words of the message of a step, as src/comm/exact.c lays it out."""
    return padded(FLAGS + INFO * len(tensors)) + sum(padded(t) for t in tensors)


def vgg(first, last=13):
    """(values of kernel and bias, multiplications per image) of VGG16's convolutions number first .. last."""
    channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    sides = [224, 224, 112, 112, 56, 56, 56, 28, 28, 28, 14, 14, 14]
    return [([9 * channels[i - 1] * channels[i], channels[i]], 9 * channels[i - 1] * channels[i] * sides[i - 1] ** 2)
            for i in range(first, last + 1)]


HEAD = [([512 * 128, 128], 512 * 128), ([128 * 10, 10], 1280)]
# Layers from the lowest live one to the output.
CASES = {
    "head": ("head, from the cache", HEAD),
    "images": ("head, from images", HEAD),
    "block5": ("block5, from the cache", vgg(11) + HEAD),
    "all": ("all of VGG16", vgg(1) + HEAD),
}
NETWORKS = {
    "10 GbE": ("1.25GBps", "10us"),
    "100 Gb/s": ("12.5GBps", "1us"),
}
PLATFORM = """<?xml version='1.0'?><!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1"><cluster id="c" prefix="node-" suffix=".dt" radical="0-1023" speed="1Gf" bw="%s" lat="%s"
 topology="FAT_TREE" topo_parameters="3;16,8,8;1,8,8;1,1,1" loopback_bw="10GBps" loopback_lat="100ns"/></platform>
"""
# SMPI's algorithms of MPI_Allreduce; "hierarchical" is put together in algorithm_table().
LIBRARY = ["smpi/coll-selector:ompi"]
ALGORITHMS = {
    "library": LIBRARY,
    "ring": LIBRARY + ["smpi/allreduce:lr"],
    "recursive doubling": LIBRARY + ["smpi/allreduce:rdb"],
    "tree": ["smpi/allreduce:redbcast", "smpi/reduce:binomial", "smpi/bcast:binomial_tree"],
}
PER_NODE = 8


def write_machine(folder, network, ranks, per_node):
    platform, hosts = os.path.join(folder, "platform.xml"), os.path.join(folder, "hosts")
    with open(platform, "w") as f:
        f.write(PLATFORM % NETWORKS[network])
    with open(hosts, "w") as f:
        f.write("".join("node-%d.dt\n" % (r // per_node) for r in range(ranks)))
    return platform, hosts


def tensors_of(layers):
    return [values for sizes, work in layers for values in sizes]


def own_step(folder, step, network, ranks, layers, forward, backward, early, per_node=1):
    """Seconds of one step by the program's code. The time of backward is dealt to the layers by their
    multiplications: the same for parameters and for inputs, none for the inputs of the lowest layer."""
    platform, hosts = write_machine(folder, network, ranks, per_node)
    forward += SUM_SECONDS_PER_VALUE * sum(tensors_of(layers))
    total = sum(work * (2 if i else 1) for i, (sizes, work) in enumerate(layers))
    words = []
    for i, (sizes, work) in enumerate(layers):
        seconds = backward * work / total
        words.append("%.9f:%.9f:%s" % (seconds, seconds if i else 0, ":".join("%d" % v for v in sizes)))
    command = ["smpirun", "-np", str(ranks), "-hostfile", hosts, "-platform", platform, "--cfg=smpi/simulate-computation:no",
               "--cfg=smpi/display-timing:no", "--log=root.thres:warning", "--cfg=contexts/stack-size:256", "--cfg=smpi/test:0",
               "--cfg=smpi/shared-malloc-blocksize:67108864", "--cfg=smpi/coll-selector:ompi", step, str(int(early)), "1",
               "%.9f" % forward] + words
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    for line in done.stdout.splitlines():
        if line.startswith("%d " % ranks):
            return float(line.split()[2])
    raise SystemExit("smpirun failed: " + done.stderr[-400:])


def simulate(folder, network, options, ranks, words, seconds, per_node, steps):
    """Seconds of simulated time for `steps` steps."""
    platform, hosts = write_machine(folder, network, ranks, per_node)
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
    options.add_argument("--measured", required=True, action="append", metavar="NAME:SAMPLES=F/B/U", help="head, images, block5, all")
    options.add_argument("--ranks", default="2,8,32,128,512,1024")
    options.add_argument("--network", action="append", choices=list(NETWORKS))
    options.add_argument("--own-most", type=int, default=128, help="ranks up to which long messages are simulated by the program's code")
    options.add_argument("--own-most-head", type=int, default=512, help="the same for the short message of a head")
    options.add_argument("--algorithms-at", type=int, default=0, help="ranks at which MPI's algorithms are compared")
    return options.parse_args()


def row(title, network, samples, compute, words, cells):
    print("| %s | %s | %d | %.4g | %.2f | %s |" % (title, network, samples, compute, words * WORD / 1e6, " | ".join(cells)), flush=True)


def percent(compute, step):
    return "%.1f %%" % (100 * compute / step)


def efficiency_rows(folder, step, name, samples, times, network, ranks, most, known):
    title, layers = CASES[name]
    forward, backward, update = times
    words, compute = message(tensors_of(layers)), sum(times)
    short = layers is HEAD
    own, plain = [], []
    for r in ranks:
        if (network, words, r) not in known:
            known[network, words, r] = simulate(folder, network, LIBRARY, r, words, 0, 1, 1)
        plain.append(percent(compute, compute + known[network, words, r]))
        if r > most:
            own.append("")
        elif short:  # nothing to overlap: the sum takes as long after any computation
            if (network, "own", r) not in known:
                known[network, "own", r] = own_step(folder, step, network, r, layers, 1e-4, 1e-4, False) - 2e-4
            own.append(percent(compute, compute + known[network, "own", r]))
        else:
            own.append(percent(compute, own_step(folder, step, network, r, layers, forward, backward, True) + update))
    row(title, network, samples, compute, words, own)
    row("*one MPI_Allreduce at the end*", network, samples, compute, words, plain)


def efficiency_table(folder, step, options):
    ranks = [int(r) for r in options.ranks.split(",")]
    print("| trained | network | samples per rank | computation, s | message, MB | " + " | ".join("%d" % r for r in ranks) + " |")
    print("| --- | --- | ---: | ---: | ---: |" + " ---: |" * len(ranks))
    known = {}
    for network in options.network or NETWORKS:
        for measured in options.measured:
            case, values = measured.split("=")
            name, samples = case.split(":")
            times = [float(v) / 1000 for v in values.split("/")]
            most = options.own_most_head if CASES[name][1] is HEAD else options.own_most
            efficiency_rows(folder, step, name, int(samples), times, network, ranks, most, known)


def algorithm_table(folder, ranks):
    """PER_NODE ranks on each node. Hierarchical: each rank of a node sums its part of all its neighbours' messages in shared
    memory, the nodes reduce among themselves, each rank copies the result."""
    print("\n| trained | network | " + " | ".join(ALGORITHMS) + " | hierarchical |")
    print("| --- | --- |" + " ---: |" * (len(ALGORITHMS) + 1))
    for network in NETWORKS:
        for name, (title, layers) in CASES.items():
            if name == "images":
                continue
            words = -(-message(tensors_of(layers)) // ranks) * ranks  # SimGrid's ring wants equal parts
            cells = ["%.2f" % (1000 * simulate(folder, network, flags, ranks, words, 0, PER_NODE, 1)) for flags in ALGORITHMS.values()]
            between = simulate(folder, network, LIBRARY, ranks // PER_NODE, words, 0, 1, 1)
            cells.append("%.2f" % (1000 * (between + 2 * words * WORD * SUM_SECONDS_PER_BYTE)))
            print("| %s | %s | %s |" % (title, network, " | ".join(cells)), flush=True)


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        step = os.path.join(folder, "step")
        subprocess.run([os.path.join(os.path.dirname(os.path.abspath(__file__)), "build.sh"), step], check=True)
        efficiency_table(folder, step, options)
        if options.algorithms_at:
            algorithm_table(folder, options.algorithms_at)


if __name__ == "__main__":
    main()
