#!/usr/bin/env python3
"""events.py RUN: proves the event files of a run against its metrics.csv: every record by its CRCs (computed here, from a table),
every event by a reader of protocol buffers of its own; with --tensorboard by TensorBoard's own loaders (exit code 77 where this
interpreter has none). Each epoch once, in order, each number of metrics.csv as float32."""
import csv
import pathlib
import struct
import sys
import time

TABLE = []
for n in range(256):
    for _ in range(8):
        n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def fields(data):
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or varint()
            assert at + size <= len(data)
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def own(path):
    """(step, wall_time, {tag: value}) of each event with a summary."""
    data, at, first = path.read_bytes(), 0, True
    while at < len(data):
        length, crc = struct.unpack_from("<QI", data, at)
        assert crc == masked(data[at : at + 8]), "CRC of a length"
        event = data[at + 12 : at + 12 + length]
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(event), "CRC of an event"
        at += 16 + length
        found = dict(fields(event))
        if first:
            assert found[3] == b"brain.Event:2", found
            first = False
            continue
        values = {}
        for number, value in fields(found[5]):
            assert number == 1
            value = dict(fields(value))
            values[value[1].decode()] = struct.unpack("<f", value[2])[0]
        yield found.get(2, 0), struct.unpack("<d", found[1])[0], values


def loaded(path):
    from tensorboard.backend.event_processing import event_accumulator, event_file_loader

    for event in event_file_loader.EventFileLoader(str(path)).Load():
        if event.HasField("summary"):
            yield event.step, event.wall_time, {v.tag: v.tensor.float_val[0] if v.HasField("tensor") else v.simple_value for v in event.summary.value}
    accumulator = event_accumulator.EventAccumulator(str(path.parent))
    accumulator.Reload()
    assert "epoch_loss" in accumulator.Tags()["scalars"] + accumulator.Tags()["tensors"], accumulator.Tags()


def main():
    run, real = pathlib.Path(sys.argv[1]), "--tensorboard" in sys.argv
    if real:
        try:
            import tensorboard.backend.event_processing.event_accumulator  # noqa: F401
        except ImportError:
            print("this interpreter has no tensorboard: skipped")
            return 77
    rows = list(csv.DictReader(open(run / "metrics.csv")))
    for folder, prefix in (("train", ""), ("validation", "val_")):
        names = [n for n in rows[0] if n.startswith("val_") == bool(prefix) and n not in ("phase", "epoch", "step", "seconds")]
        events = list((loaded if real else own)(run / "tensorboard" / folder / "events.out.tfevents.thaw"))
        assert [step for step, _, _ in events] == [int(row["epoch"]) for row in rows], [step for step, _, _ in events]
        for (_, wall, values), row in zip(events, rows):
            assert abs(wall - time.time()) < 86400
            assert set(values) == {"epoch_" + n[len(prefix) :] for n in names}, values
            for n in names:
                assert struct.pack("<f", float(row[n])) == struct.pack("<f", values["epoch_" + n[len(prefix) :]]), (n, row[n], values)
    print(f"{len(rows)} epochs, as in metrics.csv")
    return 0


sys.exit(main())
