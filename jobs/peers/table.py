"""table.py RESULTS.csv MACHINE WHEN: the lines of peers.py and of 'thaw bench' as tables with ratios (Markdown)."""

import csv
import sys

EPOCHS, IMAGES = 20, 2000


def best(rows):
    """{peer: (value, mode)} with each peer's best mode."""
    found = {}
    for row in rows:
        value = float(row["value"])
        if value > found.get(row["peer"], (0, ""))[0]:
            found[row["peer"]] = value, row["mode"]
    return found


def table(title, unit, rows_by_name, peers):
    """One row per network: thaw, each peer, and thaw against the best of them."""
    print(f"\n## {title}\n\n{unit}; in brackets the mode that was fastest.\n")
    print("| | thaw | " + " | ".join(peers) + " | thaw against the best peer |")
    print("| --- |" + " --- |" * (len(peers) + 2))
    for name, rows in rows_by_name.items():
        found = best(rows)
        ours = found.pop("thaw", None)
        cells = [f"{found[peer][0]:,.1f} ({found[peer][1]})" if peer in found else "" for peer in peers]
        others = [value for value, _ in found.values()]
        ratio = f"{ours[0] / max(others):.2f}×" if ours and others else ""
        print("| " + " | ".join([name, f"{ours[0]:,.1f}" if ours else "", *cells, ratio]) + " |")


def whole_run(rows):
    """A head run of EPOCHS epochs: peers recompute features, thaw computes them once. Derived from the rates above."""
    forward = best(row for row in rows if row["task"] == "forward" and row["network"] == "vgg16").get("thaw")
    head = best(row for row in rows if row["task"] == "head").get("thaw")
    peers = best(row for row in rows if row["task"] == "epoch")
    if not (forward and head and peers):
        return
    first, cached = IMAGES / forward[0] + IMAGES / head[0], IMAGES / head[0]
    ours = first + (EPOCHS - 1) * cached
    print(f"\n## A VGG16 head on {IMAGES:,} images of 224×224, {EPOCHS} epochs\n")
    print("Computed from the rates above: a loop that recomputes the features, and thaw, which keeps them.\n")
    print("| | first epoch | each later epoch | whole run | against thaw |")
    print("| --- | --- | --- | --- | --- |")
    print(f"| thaw | {first:,.0f} s | {cached:,.2f} s | {ours:,.0f} s | |")
    for peer, (rate, _) in peers.items():
        epoch = IMAGES / rate
        print(f"| {peer} | {epoch:,.0f} s | {epoch:,.0f} s | {EPOCHS * epoch:,.0f} s | {EPOCHS * epoch / ours:.1f}× |")


def training(rows):
    """Live layers: images per second and the most memory of the process; thaw from images and from its cache."""
    chosen = [row for row in rows if row["task"] == "train"]
    peers = [peer for peer in dict.fromkeys(row["peer"] for row in chosen) if not peer.startswith("thaw")]
    if not chosen:
        return
    print("\n## Training with live layers, 224×224, batch 32, Adam\n")
    print("Images per second, and in brackets the most memory of the process in GB. Peers in their fastest mode, from")
    print("images; thaw from images, and from the cache of the constant part's features.\n")
    print("| live | thaw | from the cache | " + " | ".join(peers) + " | thaw against the best peer | from the cache |")
    print("| --- |" + " --- |" * (len(peers) + 4))
    for name in dict.fromkeys(row["network"] for row in chosen):
        found = best(row for row in chosen if row["network"] == name)
        held = {row["peer"]: float(row["value"]) for row in rows if row["task"] == "memory" and row["network"] == name}

        def cell(peer):
            size = f" ({held[peer] / 1e3:.1f})" if peer in held else ""
            return f"{found[peer][0]:,.1f}{size}" if peer in found else ""

        others = max((found[peer][0] for peer in peers if peer in found), default=0)
        ratios = [f"{found[k][0] / others:.2f}×" if k in found and others else "" for k in ("thaw", "thaw cached")]
        cells = [cell("thaw"), cell("thaw cached"), *map(cell, peers)]
        print("| " + " | ".join([name, *cells, *ratios]) + " |")


def main():
    with open(sys.argv[1], newline="") as file:
        names = ("task", "network", "peer", "mode", "value")
        rows = list(csv.DictReader(file, fieldnames=names))
    print(f"# thaw and its peers on one core\n\n{sys.argv[2]}; {sys.argv[3]}. Written by jobs/bench-peers.sh.")
    for task, title, unit in (
        ("forward", "Frozen forward, batch 16, float32, each network at its own image size", "Images per second"),
        ("head", "Head training from given features (512 wide, batch 64)", "Samples per second"),
    ):
        chosen = [row for row in rows if row["task"] == task]
        networks = dict.fromkeys(row["network"] for row in chosen)
        peers = [peer for peer in dict.fromkeys(row["peer"] for row in chosen) if peer != "thaw"]
        named = {n or "dense 128, dropout, dense 10": [r for r in chosen if r["network"] == n] for n in networks}
        if chosen:
            table(title, unit, named, peers)
    whole_run(rows)
    training(rows)


main()
