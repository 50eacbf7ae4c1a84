"""Write the training data of a face from Maya 2022 or newer: motion, rest, shapes, teeth, eyes, vertex lists, sound.

Put this file into a folder of PYTHONPATH (or Maya's scripts folder) and run in the Script Editor (Python):

    import export_face_data
    export_face_data.export("/data/anna", face="head_mesh", tongue="tongue_mesh", shot="s001_joy", jaw="jaw_joint",
                            eyes=("eye_r_joint", "eye_l_joint"), head="head_joint", sound=True)

or without opening Maya: mayapy export_face_data.py anna.mb --out /data/anna --face head_mesh --shot s001_joy --sound

The first frame of `frames` (start, end; else the playback range), or `rest_frame`, is taken as the rest of joints;
blend shapes are all switched off for the face at rest. `jaw` is one transform that carries the lower teeth, or five
(points of them); `head` is the transform whose motion is removed. Sets of vertices become lists: lip_dist_upper,
lip_dist_lower, lip_size_upper_top, lip_size_upper_bottom, lip_size_lower_top, lip_size_lower_bottom, eye_dist_upper,
eye_dist_lower, prune_mask, tongue_rigid; pairs go from the face's left to its right. Lengths are centimetres (Maya's
own), y up. Needs nothing but Maya: arrays are written without NumPy. Run it again for other shots: they are added to
the files that hold all shots.
"""

import argparse
import array
import json
import math
import os
import struct
import sys
import unicodedata
import wave
import zipfile

LISTS = {
    "lip_dist": {"upper": "lip_dist_upper", "lower": "lip_dist_lower"},
    "eye_dist": {"upper": "eye_dist_upper", "lower": "eye_dist_lower"},
    "lip_size": {
        "upper_lip": {"top": "lip_size_upper_top", "bottom": "lip_size_upper_bottom"},
        "lower_lip": {"top": "lip_size_lower_top", "bottom": "lip_size_lower_bottom"},
    },
}
EYE_CLOSE = (("eye_close",), ("eyeBlinkLeft", "eyeBlinkRight"), ("eyeBlink_L", "eyeBlink_R"))
LIP_OPEN = (
    ("lip_open",),
    ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    ("mouthLowerDown_L", "mouthLowerDown_R", "mouthUpperUp_L", "mouthUpperUp_R"),
)
IDENTITY = [1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0]
Z_UP = [1.0, 0, 0, 0, 0, 0, -1.0, 0, 0, 1.0, 0, 0, 0, 0, 0, 1.0]  # rows: x stays, y becomes -z, z becomes y
JAW_POINTS = ((0, -2, 6), (2.5, -1.5, 2), (-2.5, -1.5, 2), (1.5, -3, 4), (-1.5, -3, 4))  # cm from a joint, y up


def export(
    out, face, tongue=None, shot=None, frames=None, jaw=None, eyes=None, head=None, sound=False, rest_frame=None
):
    """Write one shot and the still parts below folder `out`; returns the rate. Raises ValueError naming the fault."""
    import maya.cmds as cmds

    scene = Scene(out, head)
    now = cmds.currentTime(query=True)
    first, last = frames or (
        cmds.playbackOptions(query=True, minTime=True),
        cmds.playbackOptions(query=True, maxTime=True),
    )
    first, last = int(round(first)), int(round(last))
    shot = shot or os.path.splitext(os.path.basename(cmds.file(query=True, sceneName=True)))[0]
    if not shot or not all(unicodedata.category(c)[0] in "LMN" or c in "_-." for c in shot):
        raise ValueError(f"shot {shot!r}: use letters, digits, '_', '-' and '.' only")
    if last < first:
        raise ValueError(f"shot {shot}: frames {first} to {last} are an empty range")
    named = [face, tongue, head] + list(eyes or ()) + _names(jaw)
    missing = [name for name in named if name and not cmds.objExists(name)]
    if missing or len(_names(jaw)) not in (0, 1, 5):
        raise ValueError(
            "not in the scene: {}; jaw is one transform or five".format(", ".join(missing) or "(all there)")
        )
    try:
        cmds.currentTime(first if rest_frame is None else rest_frame)
        scene.rest_here()
        for kind, mesh in (("skin", face), ("tongue", tongue)):
            if mesh:
                write_still(scene, kind, mesh)
        rests = {name: scene.matrix(name) for name in list(eyes or ()) + _names(jaw)}
        write_moving(scene, shot, (first, last), face, tongue, _names(jaw), list(eyes or ()), rests)
    finally:
        cmds.currentTime(now)
    fps = frame_rate()
    if sound:
        write_sound(scene, shot, first, last, fps)
    print(f"{shot}: {last - first + 1} frames at {fps:g} a second -> {out}")
    return fps


def _names(jaw):
    return [jaw] if isinstance(jaw, str) else list(jaw or ())


# ---- the scene


class Scene:
    """Where files go, and how Maya's world becomes the data's: the head's motion taken out, y up."""

    def __init__(self, out, head):
        import maya.cmds as cmds

        self.out, self.head = out, head
        self.stand = Z_UP if cmds.upAxis(query=True, axis=True) == "z" else IDENTITY
        self.head_rest = None

    def rest_here(self):
        """Take the current frame's head as the one at rest."""
        self.head_rest = world_matrix(self.head) if self.head else None

    def to_data(self):
        """The matrix (of row vectors) from the current frame's world to the data's space."""
        if not self.head:
            return self.stand
        return multiply(multiply(inverse(world_matrix(self.head)), self.head_rest), self.stand)

    def matrix(self, name):
        """A transform's place in the data's space."""
        return multiply(world_matrix(name), self.to_data())

    def vertices(self, name):
        """Vertices of a mesh in the data's space, flat: array of 3 V floats."""
        m = self.to_data()
        flat = array.array("f")
        for p in mesh_function(name).getPoints(_open_maya().MSpace.kWorld):
            x, y, z = p[0], p[1], p[2]
            flat.append(x * m[0] + y * m[4] + z * m[8] + m[12])
            flat.append(x * m[1] + y * m[5] + z * m[9] + m[13])
            flat.append(x * m[2] + y * m[6] + z * m[10] + m[14])
        return flat

    def place(self, name):
        path = os.path.join(self.out, *name.split("/"))
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        return path


def _open_maya():
    import maya.api.OpenMaya as om

    return om


def mesh_function(name):
    om = _open_maya()
    path = om.MSelectionList().add(name).getDagPath(0)
    path.extendToShape()
    return om.MFnMesh(path)


def world_matrix(name):
    """16 numbers by rows, of row vectors, in centimetres whatever the scene's unit."""
    return [float(v) for v in _open_maya().MSelectionList().add(name).getDagPath(0).inclusiveMatrix()]


def frame_rate():
    om = _open_maya()
    return om.MTime(1, om.MTime.kSeconds).asUnits(om.MTime.uiUnit())


# ---- what does not move


def write_still(scene, kind, mesh):
    import maya.cmds as cmds

    rest, shapes = shapes_of(scene, mesh)
    count = len(rest) // 3
    write_npy(scene.place(f"geom/{kind}/neutral_pose.npy"), rest, (count, 3))
    triangles = array.array("i", mesh_function(mesh).getTriangles()[1])
    write_npy(scene.place(f"geom/{kind}/triangles.npy"), triangles, (len(triangles) // 3, 3))
    if shapes:
        write_blendshapes(scene, kind, rest, shapes)
    if kind == "tongue":
        if cmds.objExists("tongue_rigid"):
            write_json(scene, "geom/tongue/rigid_vertex_list.json", members("tongue_rigid", mesh))
        return
    for name, choices in (("eye_close_pose_delta", EYE_CLOSE), ("lip_open_pose_delta", LIP_OPEN)):
        names = next((names for names in choices if set(names) <= set(shapes)), None)
        if names:
            delta = array.array("f", map(sum, zip(*(shapes[n] for n in names))))  # noqa: B905 (Python 3.9)
            write_npy(scene.place(f"geom/skin/{name}.npy"), delta, (count, 3))
    write_lists(scene, mesh, rest)


def shapes_of(scene, mesh):
    """The face at rest without blend shapes, and the difference that each target makes: flat arrays."""
    import maya.cmds as cmds

    nodes = cmds.ls(cmds.listHistory(mesh) or [], type="blendShape") or []
    plugs = [(n, f"{n}.{a}") for n in nodes for a in cmds.listAttr(n + ".w", multi=True) or []]
    before = []
    try:
        for _, plug in plugs:
            source = cmds.connectionInfo(plug, sourceFromDestination=True)
            if source:
                cmds.disconnectAttr(source, plug)
            before.append((plug, source, cmds.getAttr(plug)))
            cmds.setAttr(plug, 0.0)
        rest = scene.vertices(mesh)
        shapes = {}
        for _, plug in plugs:
            cmds.setAttr(plug, 1.0)
            moved = scene.vertices(mesh)
            cmds.setAttr(plug, 0.0)
            shapes[plug.split(".")[-1]] = array.array("f", (a - b for a, b in zip(moved, rest)))  # noqa: B905
    finally:
        for plug, source, value in before:
            cmds.setAttr(plug, value)
            if source:
                cmds.connectAttr(source, plug)
    return rest, shapes


def write_blendshapes(scene, kind, rest, shapes):
    shapes = {n: d for n, d in shapes.items() if n not in ("neutral", "poseNames", "frontalMask", "rig_version")}
    if not any(any(delta) for delta in shapes.values()):  # the runtime wants one that does something
        return
    count, names = len(rest) // 3, list(shapes)
    arrays = {name: npy(data, (count, 3)) for name, data in dict(shapes, neutral=rest).items()}
    arrays["poseNames"] = npy_text(["neutral"] + names)
    arrays["rig_version"] = npy_text(["1"])
    if kind == "skin":
        front = sorted(range(count), key=lambda v: -rest[3 * v + 2])[: max(1, count // 3)]
        arrays["frontalMask"] = npy(array.array("i", sorted(front)), (len(front),))
    write_npz(scene.place(f"bs_data/bs_{kind}.npz"), arrays)
    pairs = [-1] * len(names)
    for index, name in enumerate(names):
        other = name.replace("Left", "Right") if "Left" in name else name[:-2] + "_R" if name.endswith("_L") else name
        if other != name and other in names:
            pairs[index] = pairs[names.index(other)] = index
    size = math.sqrt(sum((max(rest[a::3]) - min(rest[a::3])) ** 2 for a in range(3)))
    solver = {
        "strengthL1regularization": 0.01,
        "strengthL2regularization": 0.02,
        "strengthTemporalSmoothing": 0.002,
        "strengthSymmetry": 0.02,
        "templateBBSize": max(1.0, size),
        "numPoses": len(names),
        "bsSolveActivePoses": [int(any(shapes[n])) for n in names],
        "bsSolveCancelPoses": [-1] * len(names),
        "bsSolveSymmetryPoses": pairs,
        "bsWeightMultipliers": [1.0] * len(names),
        "bsWeightOffsets": [0.0] * len(names),
    }
    write_json(scene, f"bs_data/bs_{kind}_config.json", {"blendshape_params": solver})


def members(name, mesh):
    """Vertices of a mesh in a set."""
    import maya.cmds as cmds

    found = cmds.filterExpand(cmds.sets(name, query=True) or [], selectionMask=31, expand=True) or []
    return sorted(int(v.rsplit("[", 1)[1].rstrip("]")) for v in found)


def write_lists(scene, mesh, rest):
    import maya.cmds as cmds

    def ordered(name):
        return sorted(members(name, mesh), key=lambda v: -rest[3 * v])  # the face's left has the larger x

    for name, layout in LISTS.items():
        groups = [g for part in layout.values() for g in (part.values() if isinstance(part, dict) else [part])]
        there = [g for g in groups if cmds.objExists(g)]
        if not there:
            continue
        if len(there) < len(groups):
            lacking = ", ".join(g for g in groups if g not in there)
            raise ValueError(f"sets {lacking} are missing beside {there[0]}")
        content = {
            key: {k: ordered(g) for k, g in part.items()} if isinstance(part, dict) else ordered(part)
            for key, part in layout.items()
        }
        for pair in [content] if name != "lip_size" else content.values():
            if len({len(side) for side in pair.values()}) > 1:
                raise ValueError(f"the sets of {name} are pairs and must be equally large")
        write_json(scene, f"geom/skin/{name}_vertex_list.json", content)
    if cmds.objExists("prune_mask"):
        mask = array.array("q", members("prune_mask", mesh))
        write_npy(scene.place("geom/skin/prune_mask.npy"), mask, (len(mask),))


# ---- what moves


def write_moving(scene, shot, frames, face, tongue, jaw, eyes, rests):
    import maya.cmds as cmds

    first, last = frames
    count = last - first + 1
    caches = {"skin": (face, array.array("f")), "tongue": (tongue, array.array("f"))}
    teeth, gazes = array.array("f"), array.array("f")
    at_rest = jaw_points(jaw, rests) if jaw else []
    for frame in range(first, last + 1):
        cmds.currentTime(frame)
        for mesh, flat in caches.values():
            if mesh:
                flat.extend(scene.vertices(mesh))
        here = {name: scene.matrix(name) for name in jaw + eyes}
        if jaw:
            teeth.extend(a - b for a, b in zip(jaw_points(jaw, here, rests), at_rest))  # noqa: B905
        for eye in eyes:
            gazes.extend(gaze(here[eye], rests[eye]))
    for kind, (mesh, flat) in caches.items():
        if mesh:
            path = scene.place(f"cache/{kind}/{shot}/{shot}.npy")
            write_npy(path, flat, (count, len(flat) // count // 3, 3))
    if jaw:
        write_npy(scene.place("xform/jaw_keypoints_neutral.npy"), array.array("f", at_rest), (5, 3))
        add_to_npz(scene.place("xform/jaw_keypoints_cache_all.npz"), shot, npy(teeth, (count, 5, 3)))
    if eyes:
        add_to_npz(scene.place("xform/eye_rotations_all.npz"), shot, npy(gazes, (count, 2, 2)))


def jaw_points(jaw, here, rests=None):
    """Five points, flat: five transforms' places, or points that ride on one."""
    if len(jaw) == 5:
        return [here[name][12 + axis] for name in jaw for axis in range(3)]
    rest = (rests or here)[jaw[0]]
    moved = multiply(inverse(rest), here[jaw[0]])  # from rest to now, in the data's space
    points = [[rest[12 + axis] + p[axis] for axis in range(3)] for p in JAW_POINTS]
    return [sum(p[i] * moved[4 * i + axis] for i in range(3)) + moved[12 + axis] for p in points for axis in range(3)]


def gaze(now, rest):
    """Turn of an eye from rest about x (down is positive) and y (to the face's left is positive), degrees."""
    turn = multiply(inverse(unscaled(rest)), unscaled(now))
    x, y, z = turn[8:11]  # where z goes
    return [math.degrees(math.atan2(-y, math.hypot(x, z))), math.degrees(math.atan2(x, z))]


def write_sound(scene, shot, first, last, fps):
    """Cut the shot's part out of the scene's one sound, a PCM .wav."""
    import maya.cmds as cmds

    nodes = cmds.ls(type="audio") or []
    if len(nodes) != 1:
        raise ValueError("expected one sound in the scene, found {}".format(", ".join(nodes) or "none"))
    path, offset = cmds.getAttr(nodes[0] + ".filename"), cmds.getAttr(nodes[0] + ".offset")
    with wave.open(path, "rb") as source:
        rate, width = source.getframerate(), source.getnchannels() * source.getsampwidth()
        start, count = int(round((first - offset) / fps * rate)), int(round((last - first + 1) / fps * rate))
        source.setpos(min(max(start, 0), source.getnframes()))
        data = b"\0" * (max(-start, 0) * width) + source.readframes(max(count + min(start, 0), 0))
        with wave.open(scene.place(f"audio/{shot}.wav"), "wb") as cut:
            cut.setparams(source.getparams())
            cut.writeframes(data[: count * width])


# ---- matrices of row vectors, 16 numbers by rows


def multiply(a, b):
    return [sum(a[4 * i + k] * b[4 * k + j] for k in range(4)) for i in range(4) for j in range(4)]


def inverse(m):
    """Of a matrix that turns, scales and moves."""
    a, b, c, d, e, f, g, h, i = m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]
    det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    r = [e * i - f * h, c * h - b * i, b * f - c * e, f * g - d * i, a * i - c * g, c * d - a * f, d * h - e * g,
         b * g - a * h, a * e - b * d]  # fmt: skip
    r = [v / det for v in r]
    t = [-sum(m[12 + k] * r[3 * k + j] for k in range(3)) for j in range(3)]
    return [*r[0:3], 0.0, *r[3:6], 0.0, *r[6:9], 0.0, *t, 1.0]


def unscaled(m):
    rows = [m[4 * i : 4 * i + 3] for i in range(3)]
    lengths = [math.sqrt(sum(v * v for v in row)) or 1.0 for row in rows]
    return [v for row, n in zip(rows, lengths) for v in (*[x / n for x in row], 0.0)] + [0.0, 0.0, 0.0, 1.0]  # noqa: B905


# ---- NumPy's files without NumPy


def npy(data, shape):
    """The bytes of an .npy with an array.array."""
    if sys.byteorder == "big":
        data.byteswap()
    return npy_bytes({"f": "<f4", "i": "<i4", "q": "<i8"}[data.typecode], shape, data.tobytes())


def npy_text(names):
    width = max(len(n.encode()) for n in names)
    return npy_bytes(f"|S{width}", (len(names),), b"".join(n.encode().ljust(width, b"\0") for n in names))


def npy_bytes(kind, shape, data):
    head = str({"descr": kind, "fortran_order": False, "shape": tuple(shape)}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def write_npy(path, data, shape):
    with open(path, "wb") as file:
        file.write(npy(data, shape))


def write_npz(path, arrays):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in arrays.items():
            archive.writestr(name + ".npy", data)


def add_to_npz(path, name, data):
    """Put one array into an .npz with the arrays of other shots."""
    arrays = {}
    if os.path.exists(path):
        with zipfile.ZipFile(path) as archive:
            arrays = {n[: -len(".npy")]: archive.read(n) for n in archive.namelist()}
    write_npz(path, dict(arrays, **{name: data}))


def write_json(scene, name, content):
    with open(scene.place(name), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", help=".ma or .mb")
    parser.add_argument("--out", required=True, help="folder of the actor")
    parser.add_argument("--face", required=True)
    parser.add_argument("--tongue")
    parser.add_argument("--shot")
    parser.add_argument("--frames", nargs=2, type=float, metavar=("FIRST", "LAST"))
    parser.add_argument("--jaw", nargs="+")
    parser.add_argument("--eyes", nargs=2, metavar=("RIGHT", "LEFT"))
    parser.add_argument("--head")
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--rest-frame", type=float)
    args = vars(parser.parse_args())
    import maya.standalone

    maya.standalone.initialize(name="python")
    import maya.cmds as cmds

    cmds.file(args.pop("scene"), open=True, force=True)
    try:
        export(**args)
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
