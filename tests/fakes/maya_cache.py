"""A second writer of Maya caches, straight from the description of the format."""

import struct


def chunk(wide, tag, data, length=None):
    length = len(data) if length is None else length
    head = tag + (b"\0\0\0\0" + struct.pack(">q", length) if wide else struct.pack(">i", length))
    return head + data + b"\0" * (-len(data) % (8 if wide else 4))


def group(wide, kind, body):
    return chunk(wide, b"FOR8" if wide else b"FOR4", b"")[: -8 if wide else -4] + (
        struct.pack(">q" if wide else ">i", 4 + len(body)) + kind + body
    )


def head(wide, first, last):
    times = chunk(wide, b"STIM", struct.pack(">i", first)) + chunk(wide, b"ETIM", struct.pack(">i", last))
    return group(wide, b"CACH", chunk(wide, b"VRSN", b"0.1\0") + times)


def values(wide, name, points, tag=None, count=None):
    tag = tag or (b"DVCA" if points.dtype.itemsize == 8 else b"FVCA")
    data = points.astype(points.dtype.newbyteorder(">")).tobytes()
    count = len(points) if count is None else count
    parts = [(b"CHNM", name.encode() + b"\0"), (b"SIZE", struct.pack(">i", count)), (tag, data)]
    return b"".join(chunk(wide, t, d) for t, d in parts)


def frame(wide, tick, *channels):
    time = b"" if tick is None else chunk(wide, b"TIME", struct.pack(">i", tick))
    return group(wide, b"MYCH", time + b"".join(channels))


def description(ticks, step=200, kind="OneFile", form="mcc", channels=(), sampling=None):
    rows = "".join(
        f'<channel{i} ChannelName="{name}" ChannelType="FloatVectorArray" ChannelInterpretation="{meaning}" '
        f'SamplingType="Regular" SamplingRate="{sampling or step}" StartTime="{ticks[0]}" EndTime="{ticks[-1]}"/>'
        for i, (name, meaning) in enumerate(channels)
    )
    return (
        f'<?xml version="1.0"?>\n<Autodesk_Cache_File><cacheType Type="{kind}" Format="{form}"/>'
        f'<time Range="{ticks[0]}-{ticks[-1]}"/><cacheTimePerFrame TimePerFrame="{step}"/>'
        f'<cacheVersion Version="2.0"/><extra>maya 2024</extra><Channels>{rows}</Channels></Autodesk_Cache_File>'
    )


def build(folder, x, wide=False, per_frame=False, start=0, step=200, others=(), sampling=None):
    """Write x (T, V, 3) as the cache `shot`, with other channels before it; returns the .xml."""
    spacing = sampling or step
    ticks = [start * step + i * spacing for i in range(len(x))]
    suffix = ".mcx" if wide else ".mc"
    rows = [values(wide, name, data[i], tag) for i in range(len(x)) for name, data, tag in others]
    rows = [b"".join(rows[i * len(others) : (i + 1) * len(others)]) + values(wide, "face", x[i]) for i in range(len(x))]
    if per_frame:
        for tick, row in zip(ticks, rows, strict=True):
            number, rest = divmod(tick, step)
            name = f"shotFrame{number}" + (f"Tick{rest}" if rest else "")
            (folder / (name + suffix)).write_bytes(head(wide, tick, tick) + frame(wide, None, row))
    else:
        body = b"".join(frame(wide, t, r) for t, r in zip(ticks, rows, strict=True))
        (folder / ("shot" + suffix)).write_bytes(head(wide, ticks[0], ticks[-1]) + body)
    kind, form = ("OneFilePerFrame" if per_frame else "OneFile"), ("mcx" if wide else "mcc")
    channels = [("face", "positions"), *((name, "") for name, _, _ in others)]
    (folder / "shot.xml").write_text(description(ticks, step, kind, form, channels, sampling))
    return folder / "shot.xml"


def write_channels(stem, channels, step=200):
    """Write {channel: frames (T, V, 3) float32} as one cache of positions, `stem`.xml and .mc."""
    ticks = [step * i for i in range(len(next(iter(channels.values()))))]
    rows = [frame(False, t, *(values(False, name, x[i]) for name, x in channels.items())) for i, t in enumerate(ticks)]
    stem.with_suffix(".mc").write_bytes(head(False, ticks[0], ticks[-1]) + b"".join(rows))
    stem.with_suffix(".xml").write_text(description(ticks, step, channels=[(name, "positions") for name in channels]))
