"""Faults to put into the small data set, each with the finding that must come of it."""

import json
import shutil
import struct
from dataclasses import dataclass

import numpy as np
import soundfile

from audio2face.formats import ANIMATION_WRITERS
from fakes.actor import ACTOR, FPS, NUM_FRAMES, RATE, SHOTS, Face, syllables

SHOT = SHOTS[2]  # a3_joy; most faults are put into it


@dataclass(frozen=True)
class Fault:
    """How data are spoiled and the finding that must come of it. `text` must be in what it says or where."""

    name: str
    spoil: object
    check: str
    text: str = ""
    level: str = "error"
    quick: bool = False


def fault(name, check, text="", level="error", quick=False):
    def add(spoil):
        FAULTS.append(Fault(name, spoil, check, text, level, quick))
        return spoil

    return add


FAULTS: list[Fault] = []


def rename(path, name):
    path.rename(path.with_name(name))


def move_shot(data, kind, old, new):
    folder = data.home / f"cache/{kind}/{old}"
    rename(folder / f"{old}.npy", f"{new}.npy")
    rename(folder, new)


# ---- files


@fault("system file among shots", "files.system_file", ".DS_Store", "warning", quick=True)
def _(data):
    (data.home / "cache/skin/.DS_Store").write_bytes(b"\0\0\0\1Bud1")


@fault("system file among sounds", "files.system_file", "Thumbs.db", "warning", quick=True)
def _(data):
    (data.home / "audio/Thumbs.db").write_bytes(b"x")


@fault("file beside the shot folders", "files.stray", "notes.txt", "warning", quick=True)
def _(data):
    (data.home / "cache/skin/notes.txt").write_text("x")


@fault("animation of another name", "files.stray", "old.npy", "warning", quick=True)
def _(data):
    shutil.copy(data.skin(SHOT), data.skin(SHOT).with_name("old.npy"))


@fault("shot without sound", "files.no_sound", SHOT, "warning", quick=True)
def _(data):
    data.sound(SHOT).unlink()


@fault("sound without shot", "files.no_cache", "a9_neutral", "warning", quick=True)
def _(data):
    shutil.copy(data.sound(SHOT), data.sound("a9_neutral"))


@fault("sound of another case", "files.sound_name", "A3_Joy.wav", quick=True)
def _(data):
    rename(data.sound(SHOT), "A3_Joy.wav")


@fault("sound in a format that is not read", "files.sound_format", "1 .m4a file (a3_joy.m4a)", "warning", quick=True)
def _(data):
    rename(data.sound(SHOT), "a3_joy.m4a")


@fault("folder among sounds", "files.folder", "1 folder (retakes)", "warning", quick=True)
def _(data):
    (data.home / "audio/retakes").mkdir()


@fault("sounds beside the folders of voices", "files.sound_format", "1 .wav file (a3_joy.wav)", "warning", quick=True)
def _(data):
    (data.home / "audio/aug").mkdir()
    shutil.copy(data.sound(SHOT), data.home / "audio/aug")


@fault("folder among the files of a shot", "files.folder", "1 folder (old)", "warning", quick=True)
def _(data):
    (data.skin(SHOT).parent / "old").mkdir()


@fault("text beside sounds", "files.stray", "1 .txt file (a3_joy.txt)", "info", quick=True)
def _(data):
    data.sound(SHOT).with_suffix(".txt").write_text("hello")


@fault("two sounds of a shot", "files.two_sounds", SHOT, "warning", quick=True)
def _(data):
    soundfile.write(data.sound(SHOT).with_suffix(".flac"), soundfile.read(data.sound(SHOT))[0], RATE)


@fault("no tongue for a shot", "files.no_tongue", SHOT, "warning", quick=True)
def _(data):
    shutil.rmtree(data.tongue(SHOT).parent)


@fault("tongue without skin", "files.tongue_alone", "a9_joy", "warning", quick=True)
def _(data):
    shutil.copytree(data.tongue(SHOT).parent, data.home / "cache/tongue/a9_joy")
    rename(data.home / f"cache/tongue/a9_joy/{SHOT}.npy", "a9_joy.npy")


@fault("shots with similar names", "files.similar_names", "A3-joy", "warning", quick=True)
def _(data):
    shutil.copytree(data.skin(SHOT).parent, data.home / "cache/skin/A3-joy")
    rename(data.home / f"cache/skin/A3-joy/{SHOT}.npy", "A3-joy.npy")


@fault("missing file", "structure", "SKIN_NEUTRAL_FPATH", quick=True)
def _(data):
    (data.home / "geom/skin/neutral_pose.npy").unlink()


@fault("missing folder", "structure", "SKIN_CACHE_ROOT", quick=True)
def _(data):
    shutil.rmtree(data.home / "cache/skin")


@fault("two caches of a shot", "structure", SHOT, quick=True)
def _(data):
    ANIMATION_WRITERS["pc2"](data.skin(SHOT).with_suffix(""), np.load(data.skin(SHOT)), FPS, "")


@fault("truncated cache", "structure", SHOT, quick=True)
def _(data):
    data.skin(SHOT).write_bytes(data.skin(SHOT).read_bytes()[:-1000])


@fault("another topology", "structure", SHOT, quick=True)
def _(data):
    data.edit(data.skin(SHOT), lambda x: x[:, :-1])


@fault("flattened cache", "structure", SHOT, quick=True)
def _(data):
    data.edit(data.skin(SHOT), lambda x: x.reshape(len(x), -1))


@fault("empty cache", "structure", SHOT, quick=True)
def _(data):
    data.edit(data.skin(SHOT), lambda x: x[:0])


@fault("cache of another rate", "structure", SHOT, quick=True)
def _(data):
    frames = np.load(data.skin(SHOT))
    data.skin(SHOT).unlink()
    ANIMATION_WRITERS["maya"](data.skin(SHOT).with_suffix(""), frames, 24.0, "face")


@fault("tongue of another length", "structure", SHOT, quick=True)
def _(data):
    data.edit(data.tongue(SHOT), lambda x: x[:-3])


@fault("neutral of another mesh", "structure", "SKIN_NEUTRAL_FPATH", quick=True)
def _(data):
    data.edit(data.home / "geom/skin/neutral_pose.npy", lambda x: x[:-1])


# ---- frames


@fault("NaN frame", "cache.nan", SHOT)
def _(data):
    def change(x):
        x[50, 3] = np.nan
        return x

    data.edit(data.skin(SHOT), change)


@fault("NaN at the first frame", "cache.nan", SHOT, quick=True)
def _(data):
    def change(x):
        x[0, 3] = np.inf
        return x

    data.edit(data.skin(SHOT), change)


@fault("NaN in the tongue", "cache.nan", SHOT)
def _(data):
    def change(x):
        x[50, 3] = np.nan
        return x

    data.edit(data.tongue(SHOT), change)


@fault("vertex flies away", "cache.exploded", SHOT)
def _(data):
    def change(x):
        x[70, 5] += 40
        return x

    data.edit(data.skin(SHOT), change)


@fault("jump", "cache.jump", SHOT, "warning")
def _(data):
    def change(x):
        x[70] += [0, 3, 0]
        return x

    data.edit(data.skin(SHOT), change)


@fault("shot stands still", "cache.static", SHOT)
def _(data):
    data.edit(data.skin(SHOT), lambda x: np.repeat(x[:1], len(x), axis=0))


@fault("capture lost while speaking", "cache.frozen", SHOT, "warning")
def _(data):
    def change(x):
        x[60:100] = x[60]
        return x

    data.edit(data.skin(SHOT), change)


@fault("every second frame repeated", "cache.repeated", SHOT, "warning")
def _(data):
    data.edit(data.skin(SHOT), lambda x: x[np.arange(len(x)) // 2 * 2])


@fault("very short shot", "cache.short", SHOT, "warning", quick=True)
def _(data):
    data.edit(data.skin(SHOT), lambda x: x[:5])


@fault("animation exported twice", "cache.duplicate", SHOTS[4])
def _(data):
    shutil.copy(data.skin(SHOT), data.skin(SHOTS[4]))


@fault("shot twice", "cache.duplicate", SHOTS[4], "warning")
def _(data):
    shutil.copy(data.skin(SHOT), data.skin(SHOTS[4]))
    shutil.copy(data.sound(SHOT), data.sound(SHOTS[4]))


# ---- geometry


@fault("metres", "geometry.units", "metres", quick=True)
def _(data):
    for pattern in ("cache/*/*/*.npy", "geom/*/*.npy", "xform/jaw_keypoints_neutral.npy"):
        data.edit_all(lambda x: x / 100, pattern)


@fault("metres without lists", "geometry.units", "metres", quick=True)
def _(data):
    del data.dataset["SKIN_EYE_DIST_VERTEX_LIST_FPATH"]
    for pattern in ("cache/*/*/*.npy", "geom/*/*.npy"):
        data.edit_all(lambda x: x / 100, pattern)


@fault("impossible size", "geometry.units", "impossible", "warning", quick=True)
def _(data):
    data.edit_all(lambda x: x * 3.3, "cache/skin/*/*.npy")
    data.edit_all(lambda x: x * 3.3, "geom/*/*.npy")


def z_up(x):
    return np.stack([x[..., 0], -x[..., 2], x[..., 1]], axis=-1)


@fault("z up", "geometry.up_axis", "z axis", quick=True)
def _(data):
    for pattern in ("cache/*/*/*.npy", "geom/*/*.npy"):
        data.edit_all(z_up, pattern)


@fault("z up, only sound and skin", "geometry.up_axis", "z axis")
def _(data):
    for key in [
        k for k in data.dataset if k.startswith(("SKIN_", "TONGUE_", "JAW_", "EYE_")) and k != "SKIN_CACHE_ROOT"
    ]:
        del data.dataset[key]
    data.edit_all(z_up)


@fault("x up", "geometry.up_axis", "x axis", quick=True)
def _(data):
    for pattern in ("cache/*/*/*.npy", "geom/*/*.npy"):
        data.edit_all(lambda x: np.stack([x[..., 1], -x[..., 0], x[..., 2]], axis=-1), pattern)


@fault("looks backwards", "geometry.forward", "-z", "warning", quick=True)
def _(data):
    for pattern in ("cache/*/*/*.npy", "geom/*/*.npy"):
        data.edit_all(lambda x: x * [-1, 1, -1], pattern)


@fault("lids in pairs instead of rows", "lists.far", "SKIN_EYE_DIST_VERTEX_LIST_FPATH", quick=True)
def _(data):
    place = Face().place
    path = data.home / "geom/skin/eye_dist_vertex_list.npy"
    np.save(path, np.stack([place["lid_up"], place["lid_low"]], axis=1))
    data.dataset["SKIN_EYE_DIST_VERTEX_LIST_FPATH"] = {ACTOR: str(path)}


@fault("mirrored", "geometry.mirrored", "look inward", "warning", quick=True)
def _(data):
    for pattern in ("cache/*/*/*.npy", "geom/*/*.npy"):
        data.edit_all(lambda x: x * [-1, 1, 1], pattern)
    path = data.home / "geom/skin/triangles.npy"
    np.save(path, Face().triangles())
    data.dataset["SKIN_TRIANGLES_FPATH"] = {ACTOR: str(path)}


@fault("upside down", "geometry.upside_down", "below", quick=True)
def _(data):
    for pattern in ("cache/*/*/*.npy", "geom/*/*.npy"):
        data.edit_all(lambda x: x * [-1, -1, 1], pattern)


@fault("rest in another place", "geometry.neutral", "SKIN_NEUTRAL_FPATH", quick=True)
def _(data):
    data.edit(data.home / "geom/skin/neutral_pose.npy", lambda x: x + [0, 4, 0])


@fault("rest not aligned", "geometry.neutral", "SKIN_NEUTRAL_FPATH", "warning", quick=True)
def _(data):
    data.edit(data.home / "geom/skin/neutral_pose.npy", lambda x: x + [0, 0.7, 0])


@fault("head not held still", "geometry.not_stabilised", "", "warning")
def _(data):
    sway = np.sin(np.arange(NUM_FRAMES) / 20)[:, None, None] * [1.0, 0.2, 0]
    data.edit_all(lambda x: x + sway)


@fault("one shot in metres", "geometry.shot", "a3_joy, SKIN_CACHE_ROOT", quick=True)
def _(data):
    data.edit(data.skin(SHOT), lambda x: x * 0.01)


@fault("axes of one shot exchanged", "geometry.shot", "taken as x, z, -y they would fit", quick=True)
def _(data):
    data.edit(data.skin(SHOT), lambda x: x[..., [0, 2, 1]] * [1, -1, 1])


@fault("one shot in another place", "geometry.shot", "a3_joy", "warning", quick=True)
def _(data):
    data.edit(data.skin(SHOT), lambda x: x + [0, 0.05 * np.ptp(x[0], axis=0).max(), 0])


@fault("pose instead of a difference", "geometry.delta", "LIP_OPEN", quick=True)
def _(data):
    rest = np.load(data.home / "geom/skin/neutral_pose.npy")
    data.edit(data.home / "geom/skin/lip_open_pose_delta.npy", lambda x: x + rest)


@fault("lips do not open", "geometry.lip_open", "LIP_OPEN", "warning", quick=True)
def _(data):
    data.edit(data.home / "geom/skin/lip_open_pose_delta.npy", lambda x: -x)


@fault("eyes do not close", "geometry.eye_close", "EYE_CLOSE", "warning", quick=True)
def _(data):
    data.edit(data.home / "geom/skin/eye_close_pose_delta.npy", lambda x: x * 0)


@fault("tongue in another unit", "geometry.tongue", "TONGUE_NEUTRAL_FPATH", quick=True)
def _(data):
    data.edit(data.home / "geom/tongue/neutral_pose.npy", lambda x: x / 100)


@fault("pruning distance of another unit", "config.prune_distance", "SKIN_PRUNE_SIM_DIST", "warning", quick=True)
def _(data):
    data.preproc["SKIN_PRUNE_SIM_DIST"] = 4000.0


@fault("lid threshold too large", "config.lid_threshold", "EYE_DIST_THRESHOLD", "warning", quick=True)
def _(data):
    data.train["EYE_DIST_THRESHOLD"] = 1.0


# ---- vertex lists


@fault("vertex out of range", "structure", "LIP_DIST", quick=True)
def _(data):
    data.edit_json("skin/lip_dist_vertex_list.json", lambda x: {**x, "upper": [9999, *x["upper"][1:]]})


@fault("lists of unequal length", "structure", "lip_dist", quick=True)
def _(data):
    data.edit_json("skin/lip_dist_vertex_list.json", lambda x: {**x, "upper": x["upper"][1:]})


@fault("upper and lower exchanged", "lists.exchanged", "EYE_DIST", quick=True)
def _(data):
    data.edit_json("skin/eye_dist_vertex_list.json", lambda x: {"upper": x["lower"], "lower": x["upper"]})


@fault("lips exchanged", "lists.exchanged", "LIP_DIST")
def _(data):
    data.edit_json(
        "skin/lip_size_vertex_list.json", lambda x: {side: {k: v[::1] for k, v in x[side].items()} for side in x}
    )
    data.edit_json("skin/lip_dist_vertex_list.json", lambda x: {"upper": x["lower"], "lower": x["upper"]})


@fault("lips on the forehead", "lists.lips_still", "LIP_DIST")
def _(data):
    data.edit_json("skin/lip_dist_vertex_list.json", lambda x: {"upper": [409, 410], "lower": [389, 390]})


@fault("pairs far apart", "lists.far", "LIP_DIST", quick=True)
def _(data):
    data.edit_json("skin/lip_dist_vertex_list.json", lambda x: {**x, "lower": [0, *x["lower"][1:]]})


@fault("one eye twice", "lists.one_eye", "EYE_DIST", quick=True)
def _(data):
    data.edit_json("skin/eye_dist_vertex_list.json", lambda x: {k: [v[0], v[0]] for k, v in x.items()})


@fault("three eyes", "lists.eyes", "EYE_DIST", "warning", quick=True)
def _(data):
    data.edit_json("skin/eye_dist_vertex_list.json", lambda x: {k: [*v, v[1]] for k, v in x.items()})


@fault("vertex on both sides", "lists.shared", "LIP_DIST", quick=True)
def _(data):
    data.edit_json("skin/lip_dist_vertex_list.json", lambda x: {**x, "lower": [x["upper"][0], *x["lower"][1:]]})


@fault("vertex listed twice", "lists.repeated", "LIP_DIST", "warning", quick=True)
def _(data):
    data.edit_json("skin/lip_dist_vertex_list.json", lambda x: {k: [v[0], *v] for k, v in x.items()})


@fault("pairs in another order", "lists.pairing", "LIP_DIST", "warning", quick=True)
def _(data):
    data.edit_json("skin/lip_dist_vertex_list.json", lambda x: {**x, "lower": x["lower"][::-1]})


@fault("lids below lips", "lists.regions", "EYE_DIST", quick=True)
def _(data):
    data.edit_json("skin/eye_dist_vertex_list.json", lambda x: {"upper": [144, 155], "lower": [124, 135]})


@fault("lip lists in different places", "lists.regions", "LIP_SIZE", quick=True)
def _(data):
    lip = {"top": [409, 410], "bottom": [389, 390]}
    data.edit_json("skin/lip_size_vertex_list.json", lambda x: {"upper_lip": lip, "lower_lip": lip})


@fault("rigid vertices at the tip", "tongue.not_rigid", "RIGID", "warning")
def _(data):
    rest = np.load(data.home / "geom/tongue/neutral_pose.npy")
    order = np.argsort(rest[:, 2])
    data.edit_json("tongue/rigid_vertex_list.json", lambda x: [int(v) for v in order[[0, 1, 2, 3, -1, -2]]])


@fault("rigid vertices on a line", "tongue.line", "line")
def _(data):
    def line(x):
        x[..., data_root, :2] = [0, -5]
        return x

    data_root = json.loads((data.home / "geom/tongue/rigid_vertex_list.json").read_text())
    data.edit(data.home / "geom/tongue/neutral_pose.npy", line)


# ---- sound


@fault("8 kHz", "audio.rate", SHOT, quick=True)
def _(data):
    data.edit_sound(lambda x: x[::2], SHOT, rate=8000)


@fault("six channels", "audio.channels", SHOT, "warning", quick=True)
def _(data):
    data.edit_sound(lambda x: np.repeat(x, 6, axis=1), SHOT)


@fault("clipping", "audio.clipping", SHOT, "warning")
def _(data):
    data.edit_sound(lambda x: np.clip(x * 12, -0.99, 0.99), SHOT)


@fault("silence", "audio.silence", SHOT)
def _(data):
    data.edit_sound(lambda x: x * 0, SHOT)


@fault("very quiet", "audio.quiet", SHOT, "warning")
def _(data):
    data.edit_sound(lambda x: x * 0.07, SHOT)


@fault("mostly silent", "audio.mostly_silent", SHOT, "warning")
def _(data):
    def change(x):
        x[RATE // 3 :] *= 0.001
        x[: RATE // 3] = np.random.default_rng(0).normal(0, 0.2, (RATE // 3, 1))
        return x

    data.edit_sound(change, SHOT)


@fault("offset", "audio.offset", SHOT, "warning")
def _(data):
    data.edit_sound(lambda x: x + 0.05, SHOT)


@fault("channels in opposite phase", "audio.phase", SHOT, quick=True)
def _(data):
    data.edit_sound(lambda x: np.concatenate([x, -x * 0.9], axis=1), SHOT)


def edit_header(data, **lengths):
    """Enter other lengths, by their byte, into the header of a sound of 44 bytes of header."""
    content = bytearray(data.sound(SHOT).read_bytes())
    for at, length in lengths.values():
        struct.pack_into("<I", content, at, length)
    data.sound(SHOT).write_bytes(content)


@fault("sound from a pipe", "audio.header", "no length, as a pipe leaves it", "info", quick=True)
def _(data):
    edit_header(data, whole=(4, 0x7FFFF024), sound=(40, 0x7FFFF000))


@fault(
    "length of the file for that of the sound",
    "audio.header",
    "160044 bytes of sound; all 160000 in the file are read",
    "warning",
    quick=True,
)
def _(data):
    edit_header(data, sound=(40, data.sound(SHOT).stat().st_size))


@fault("empty channel", "audio.dead_channel", SHOT, "warning")
def _(data):
    data.edit_sound(lambda x: np.concatenate([x, x * 0], axis=1), SHOT)


@fault("telephone", "audio.narrow", SHOT, "warning")
def _(data):
    def change(x):
        spectrum = np.fft.rfft(x[:, 0])
        spectrum[int(len(spectrum) * 0.45) :] = 0
        return np.fft.irfft(spectrum, len(x))[:, None]

    # 16 bits add noise above the cut: written as floats, as a converter would keep them
    samples, _ = soundfile.read(data.sound(SHOT), always_2d=True)
    soundfile.write(data.sound(SHOT), change(samples), RATE, subtype="FLOAT")


@fault("sound ends early", "audio.length", "140 frames would match", "warning", quick=True)
def _(data):
    data.edit_sound(lambda x: x[: 140 * RATE // FPS], SHOT)


@fault("sound ends long before", "audio.length", "90 frames would match", quick=True)
def _(data):
    data.edit_sound(lambda x: x[: 90 * RATE // FPS], SHOT)


@fault("sound too long", "audio.length", "180 frames would match", "warning", quick=True)
def _(data):
    data.edit_sound(lambda x: np.pad(x, ((0, RATE), (0, 0))), SHOT)


@fault("another frame rate", "cache.fps", "24", quick=True)
def _(data):
    data.edit_all(lambda x: x[:120])
    data.edit_all(lambda x: x[:120], "cache/tongue/*/*.npy")
    for name in ("jaw_keypoints_cache_all.npz", "eye_rotations_all.npz"):
        data.edit_npz(name, lambda x: {k: v[:120] for k, v in x.items()})


@fault("same sound twice", "audio.duplicate", SHOTS[4])
def _(data):
    shutil.copy(data.sound(SHOT), data.sound(SHOTS[4]))


@fault("sound file cut short", "structure", f"{SHOT}.wav", quick=True)
def _(data):
    data.sound(SHOT).write_bytes(data.sound(SHOT).read_bytes()[:-5000])


@fault("no sound at all", "structure", "AUDIO_ROOT", quick=True)
def _(data):
    for path in (data.home / "audio").iterdir():
        path.unlink()


# ---- lip sync


def delayed(frames):
    gap = np.zeros((abs(frames) * RATE // FPS, 1))
    return lambda x: np.concatenate([gap, x])[: len(x)] if frames > 0 else np.concatenate([x[len(gap) :], gap])


@fault("sound late", "sync.shot", "late")
def _(data):
    data.edit_sound(delayed(4), SHOT)


@fault("sound early", "sync.shot", "early")
def _(data):
    data.edit_sound(delayed(-4), SHOT)


@fault("sound a little late", "sync.shot", SHOT, "warning")
def _(data):
    data.edit_sound(delayed(2), SHOT)


@fault("all sounds late", "sync.all", "In all shots")
def _(data):
    for shot in SHOTS:
        data.edit_sound(delayed(6), shot)


@fault("sound of something else", "sync.unrelated", SHOT, "warning")
def _(data):
    rng = np.random.default_rng(78)
    noise = rng.normal(0, 0.1, NUM_FRAMES * RATE // FPS)
    data.edit_sound(lambda x: (noise * syllables(rng, NUM_FRAMES / FPS))[:, None], SHOT)


# ---- jaw and eyes


@fault("jaw of an unknown shot", "jaw.unknown_shot", "b1", "warning", quick=True)
def _(data):
    data.edit_npz("jaw_keypoints_cache_all.npz", lambda x: {**x, "b1": x[SHOT]})


@fault("jaw shot of another case", "jaw.name", SHOT, quick=True)
def _(data):
    data.edit_npz("jaw_keypoints_cache_all.npz", lambda x: {k.replace("a3_joy", "A3_Joy"): v for k, v in x.items()})


@fault("jaw missing for a shot", "jaw.missing", SHOT, "warning", quick=True)
def _(data):
    data.edit_npz("jaw_keypoints_cache_all.npz", lambda x: {k: v for k, v in x.items() if k != SHOT})


@fault("jaw of another length", "structure", SHOT, quick=True)
def _(data):
    data.edit_npz("jaw_keypoints_cache_all.npz", lambda x: {**x, SHOT: x[SHOT][:-2]})


@fault("jaw with fewer points", "structure", "key points", quick=True)
def _(data):
    data.edit_npz("jaw_keypoints_cache_all.npz", lambda x: {k: v[:, :4] for k, v in x.items()})


@fault("jaw as places", "jaw.absolute", "differences", quick=True)
def _(data):
    rest = np.load(data.home / "xform/jaw_keypoints_neutral.npy")
    data.edit_npz("jaw_keypoints_cache_all.npz", lambda x: {k: v + rest for k, v in x.items()})


@fault("jaw in another unit", "jaw.place", "outside", quick=True)
def _(data):
    data.edit(data.home / "xform/jaw_keypoints_neutral.npy", lambda x: x * 10)


@fault("jaw points on a line", "jaw.line", "line", quick=True)
def _(data):
    data.edit(data.home / "xform/jaw_keypoints_neutral.npy", lambda x: x * [1, 0, 0] + [0, -5, 6])


@fault("jaw stands still", "jaw.static", SHOT, "warning", quick=True)
def _(data):
    data.edit_npz("jaw_keypoints_cache_all.npz", lambda x: {**x, SHOT: x[SHOT] * 0})


@fault("radians", "eye.radians", "radians", quick=True)
def _(data):
    data.edit_npz("eye_rotations_all.npz", lambda x: {k: np.radians(v) for k, v in x.items()})


@fault("wrapped rotation", "eye.range", SHOT, "warning", quick=True)
def _(data):
    data.edit_npz("eye_rotations_all.npz", lambda x: {**x, SHOT: x[SHOT] + 360})


@fault("eye of an unknown shot", "eye.unknown_shot", "b1", "warning", quick=True)
def _(data):
    data.edit_npz("eye_rotations_all.npz", lambda x: {**x, "b1": x[SHOT]})


@fault("eyes stand still", "eye.static", SHOT, "warning", quick=True)
def _(data):
    data.edit_npz("eye_rotations_all.npz", lambda x: {**x, SHOT: x[SHOT] * 0})


@fault("blink keys in percent", "eye.blink_keys", "BLINK", quick=True)
def _(data):
    data.edit(data.home / "xform/eye_blink_keys.npy", lambda x: x * 100)


@fault("huge saccades", "eye.saccades", "SACCADE", "warning", quick=True)
def _(data):
    data.edit(data.home / "xform/eye_saccade_rotations.npy", lambda x: x * 57)


# ---- shots and clips


@fault("emotion without a shot", "shots.no_emotion", "anger", "warning", quick=True)
def _(data):
    data.dataset["SHOT_EMOTION_NAMES"] = ["neutral", "joy", "anger"]


@fault("no emotion in a name", "shots.emotion", "a3_", "warning", quick=True)
def _(data):
    for kind in ("skin", "tongue"):
        move_shot(data, kind, SHOT, "a3_happy")
    rename(data.sound(SHOT), "a3_happy.wav")


@fault("two emotions in a name", "structure", "a3_joy_neutral", quick=True)
def _(data):
    for kind in ("skin", "tongue"):
        move_shot(data, kind, SHOT, "a3_joy_neutral")


@fault("no language code", "shots.language", "English", quick=True)
def _(data):
    data.dataset["SHOT_LANGUAGE_MAP"] = {ACTOR: {SHOT: "English"}}


@fault("language without clips", "clips.phoneme_language", "zh", "warning", quick=True)
def _(data):
    data.train["PHONEME_FORCING_LANGS"] = ["en", "zh"]


def with_clip(data, row):
    data.train["CLIPS"] = [*data.train["CLIPS"], row]


@fault("clip beyond the shot", "clips.row", SHOT, quick=True)
def _(data):
    with_clip(data, (ACTOR, SHOT, (0, NUM_FRAMES), "", "en", f"{SHOT}.wav", 0))


@fault("clip of an unknown shot", "clips.row", "a3_jooy", quick=True)
def _(data):
    with_clip(data, (ACTOR, "a3_jooy", (0, 9), "", "en", f"{SHOT}.wav", 0))


@fault("clip without its sound", "clips.row", "other.wav", quick=True)
def _(data):
    with_clip(data, (ACTOR, SHOT, (0, 9), "", "en", "other.wav", 0))


@fault("clip twice", "clips.overlap", SHOT, "warning", quick=True)
def _(data):
    with_clip(data, (ACTOR, SHOT, (10, 60), "", "en", f"{SHOT}.wav", 0))


@fault("clip of one frame", "clips.short", SHOT, "warning", quick=True)
def _(data):
    data.train["CLIPS"] = [(ACTOR, SHOT, (0, 0), "", "en", f"{SHOT}.wav", 0)]


@fault("no clip of the default emotion", "clips.default_emotion", "neutral", "warning", quick=True)
def _(data):
    data.train["CLIPS"] = [row for row in data.train["CLIPS"] if row[1] == SHOT]


@fault("clip runs out of sound", "clips.row", SHOT, "warning", quick=True)
def _(data):
    data.train["CLIPS"] = [(ACTOR, SHOT, (0, NUM_FRAMES - 1), "", "en", f"{SHOT}.wav", 5)]


@fault("muted frame out of range", "clips.muted", "999", quick=True)
def _(data):
    data.train["AUG_MUTED_SHOTS"] = [(ACTOR, (SHOT, 999), 60, "joy")]


@fault("unknown muted source", "clips.muted", "a7_joy", quick=True)
def _(data):
    data.train["AUG_MUTED_SHOTS"] = [(ACTOR, ("a7_joy", 0), 60, "joy")]


@fault("muted source twice", "clips.muted", "twice", quick=True)
def _(data):
    data.train["AUG_MUTED_SHOTS"] = [(ACTOR, (SHOT, 0), 60, "joy")] * 2


@fault("muted source with an open mouth", "clips.muted_open", SHOT, "warning")
def _(data):
    lips = np.load(data.skin(SHOT))[:, 443, 1]
    data.train["AUG_MUTED_SHOTS"] = [(ACTOR, (SHOT, int(lips.argmin())), 60, "joy")]


# ---- what leaves nothing to judge


@fault("sound file without sound", "audio.empty", f"{SHOT}.wav", quick=True)
def _(data):
    soundfile.write(data.sound(SHOT), np.zeros((0, 1)), RATE)


@fault("mesh in one place", "geometry.empty", "one place", quick=True)
def _(data):
    data.edit_all(lambda x: x * 0)
    data.edit(data.home / "geom/skin/neutral_pose.npy", lambda x: x * 0)


@fault("jaw without its rest", "jaw.no_neutral", "JAW_KEYPOINTS_NEUTRAL_FPATH", "warning", quick=True)
def _(data):
    del data.dataset["JAW_KEYPOINTS_NEUTRAL_FPATH"]


@fault("one pair upside down", "lists.below", "EYE_DIST", "warning", quick=True)
def _(data):
    def change(x):
        return {"upper": [x["lower"][0], x["upper"][1]], "lower": [x["upper"][0], x["lower"][1]]}

    data.edit_json("skin/eye_dist_vertex_list.json", change)


@fault("sounds of something else", "sync.unclear", "clearly", "warning")
def _(data):
    for index, shot in enumerate(SHOTS[:4]):
        rng = np.random.default_rng(200 + index)
        noise = rng.normal(0, 0.1, NUM_FRAMES * RATE // FPS)
        other = (noise * syllables(rng, NUM_FRAMES / FPS))[:, None]
        data.edit_sound(lambda x, other=other: other, shot)


@fault("clip in another language than its shot", "clips.language", SHOT, "info", quick=True)
def _(data):
    data.dataset["SHOT_LANGUAGE_MAP"] = {ACTOR: {SHOT: "zh"}}


@fault("sound that is not finite", "audio.damaged", SHOT)
def _(data):
    samples = np.zeros((NUM_FRAMES * RATE // FPS, 1), np.float32)
    samples[700] = np.nan
    soundfile.write(data.sound(SHOT), samples, RATE, subtype="FLOAT")
