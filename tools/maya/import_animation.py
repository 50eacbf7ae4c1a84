"""Bring the output of run_inference.py into Maya 2022 or newer. Run in the Script Editor (Python):

    import import_animation
    import_animation.attach("/out/hello.xml", "head_mesh")              # OUTPUT_FORMATS "maya": points of every frame
    import_animation.attach("/out/hello_tongue.xml", "tongue_mesh")
    import_animation.key("/out/hello.json", blendshape="face_shapes", jaw="lower_teeth_grp",
                         eyes=("eye_r", "eye_l"), sound="/data/hello.wav")   # OUTPUT_FORMATS "json": an editable rig
    import_animation.key("/out/hello.json", blendshape="face_shapes", head="head_jnt", attributes="face_ctrl")
    import_animation.key("/out/walk.json", skeleton="sam:")              # joints sam:Hips, sam:Spine, ...

`key` sets a key per frame on the targets that have a weight's name, on the transform over the lower teeth (which must
stand at the origin, unturned, above the teeth at rest) and on the eyes. Of curves it keys weights on targets too, the
turn of the head on a joint or transform (True: on the joint that is called head), from where it rests, skeletons on the
joints of their names after a namespace ("" for none), which must stand as the skeleton rests, root joints moving as far
as they are larger or smaller than it, and what is left on attributes of a node, which are made where they are missing.
The scene's rate is set to the animation's. y is up.
"""

import json
import math
import os
import xml.etree.ElementTree as ElementTree

OF_CAMERAS = [[-1, 0, 0], [0, 1, 0], [0, 0, -1]]
LIVE_LINK = ["headyaw", "headpitch", "headroll"]  # told in the axes of a camera that looks at the person
RATES = {15: "game", 24: "film", 25: "pal", 30: "ntsc", 48: "show", 50: "palf", 60: "ntscf"}


def attach(cache, mesh):
    """Drive a mesh with the data's vertex order by a cache (.xml with .mc beside it); returns the cache's node."""
    import maya.cmds as cmds
    import maya.mel as mel

    root = ElementTree.parse(cache).getroot()
    channel = root.find("Channels")[0].get("ChannelName")
    ticks = int(root.find("cacheTimePerFrame").get("TimePerFrame"))
    set_rate(6000.0 / ticks)
    shapes = cmds.listRelatives(mesh, shapes=True, noIntermediate=True, fullPath=True) or [mesh]
    switch = mel.eval(f'createHistorySwitch("{shapes[0]}", false)')
    folder, name = os.path.split(os.path.splitext(cache)[0])
    node = cmds.cacheFile(
        attachFile=True,
        fileName=name,
        directory=folder,
        createCacheNode=True,
        channelName=channel,
        inAttr=switch + ".inp[0]",
    )
    cmds.setAttr(switch + ".playFromCache", 1)
    return node


def key(path, blendshape=None, jaw=None, eyes=None, sound=None, start=0, head=None, skeleton=None, attributes=None):
    """Key what an animation's .json holds, frame 0 at `start`; returns the names of weights that the rig lacks."""
    import maya.cmds as cmds

    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    if data.get("kind") != "audio2face-animation":
        raise ValueError(f"{path}: expected an animation of OUTPUT_FORMATS json")
    groups, used, lacking = data.get("curves", []), set(), []
    for what, name in (("jaw", jaw), ("eyes_degrees", eyes)):
        if name and what not in data:
            raise ValueError(f"{path}: holds curves without a face: no jaw and no eyes")
    set_rate(data["fps"])
    if blendshape:
        lacking, used = key_weights(blendshape, data, start)
    if jaw:
        key_jaw(path, jaw, data["jaw"], start)
    if eyes:
        key_eyes(eyes, data["eyes_degrees"], start)
    if head:
        group, block, rows = head_of(path, groups)
        joint = head_joint() if head is True else head
        key_turns(joint, at_rest(joint), head_turns(block, rows), start)
        used |= {(group, name) for name in block["names"]}
    if skeleton is not None:
        for group in bodies_of(path, groups):
            key_joints(skeleton, group, start)
            used |= {(group["name"], name) for name in group["names"]}
    if attributes:
        key_attributes(attributes, groups, used, start)
    if sound:
        cmds.sound(file=sound, offset=start)
    cmds.playbackOptions(minTime=start, maxTime=start + data["num_frames"] - 1)
    return lacking


def key_values(plug, values, start):
    import maya.cmds as cmds

    for frame, value in enumerate(values):
        cmds.setKeyframe(plug, time=start + frame, value=value)


def key_weights(blendshape, data, start):
    """Key weights on targets of their names; returns the names that are lacking, and which (group, name) were keyed."""
    import maya.cmds as cmds

    targets = {plain(name): name for name in cmds.listAttr(blendshape + ".w", multi=True) or []}
    tables = {("", n): column for n, column in columns(data["blendshapes"]["names"], data["blendshapes"]["weights"])}
    for group in data.get("curves", []):
        for block, rows in blocks_of(group):
            if block["kind"] == "weights":
                whole = 100.0 if block.get("high") == 100 else 1.0
                for name, column in columns(block["names"], rows):
                    tables[group["name"], name] = [value / whole for value in column]
    used = {where for where in tables if plain(where[1]) in targets}
    last = {plain(name): (group, name) for group, name in tables}  # weights of curves rather than solved ones
    for where, column in tables.items():
        if where in used and last[plain(where[1])] == where:
            key_values(blendshape + "." + targets[plain(where[1])], column, start)
    return [name for group, name in tables if (group, name) not in used], used


def key_jaw(path, jaw, table, start):
    import maya.cmds as cmds

    if table["shape"] != [4, 4]:
        raise ValueError(f"{path}: has points of the jaw, not transforms; infer with APPLY_POSTPROCESSING")
    for frame, m in enumerate(table["values"]):
        rows = [m[4 * j + i] for i in range(4) for j in range(4)]  # Maya moves row vectors
        cmds.xform(jaw, worldSpace=True, matrix=rows)
        for part in ("translate", "rotate"):
            cmds.setKeyframe(jaw, attribute=part, time=start + frame)


def key_eyes(eyes, table, start):
    import maya.cmds as cmds

    for frame, row in enumerate(table):
        half = len(row) // 2
        for eye, angles in zip(eyes, (row[:half], row[half:])):  # noqa: B905 (Python 3.9)
            for axis, value in zip("XYZ", angles):  # noqa: B905
                cmds.setKeyframe(eye, attribute="rotate" + axis, time=start + frame, value=value)


def at_rest(node):
    """A node's matrix in its parent, 16 numbers, and the parent's axes in the world, as they are now."""
    import maya.cmds as cmds

    return cmds.xform(node, query=True, objectSpace=True, matrix=True), rows3(cmds.getAttr(node + ".parentMatrix[0]"))


def key_turns(node, rests, turns, start, moves=None):
    """Turn a node by rotations in the world (column vectors), from where it rests in its parent; move it by `moves`."""
    import maya.cmds as cmds

    rest, above = rests
    back = inverse(above)
    parts = ("rotate",) if moves is None else ("rotate", "translate")
    for frame, turn in enumerate(turns):
        turned = multiply(multiply(multiply(rows3(rest), above), transpose(turn)), back)
        moved = (0, 0, 0) if moves is None else multiply([moves[frame]], back)[0]
        place = [a + b for a, b in zip(rest[12:15], moved)]  # noqa: B905
        cmds.xform(node, objectSpace=True, matrix=[v for row in turned for v in (*row, 0)] + [*place, 1])
        for part in parts:
            cmds.setKeyframe(node, attribute=part, time=start + frame)
    cmds.xform(node, objectSpace=True, matrix=rest)  # what hangs on it finds it at rest; playing shows the keys
    curves = [c for axis in "XYZ" for c in cmds.listConnections(node + ".rotate" + axis, type="animCurve") or []]
    if curves:
        cmds.filterCurve(*curves)  # no jumps by whole turns


def key_joints(namespace, group, start):
    """Move the joints that have a name of the skeleton's."""
    import maya.cmds as cmds

    joints, worlds, moves = pose_of(group)
    place = {joint["name"]: number for number, joint in enumerate(joints)}
    own = [joint["name"] for joint in joints if cmds.objExists(namespace + joint["name"])]
    if not own:
        raise ValueError(f"the scene has no joint of {group['name']}, such as {namespace}{joints[0]['name']}")
    scale, rests = larger(namespace, joints, own), {name: at_rest(namespace + name) for name in own}
    for name in own:
        above = joints[place[name]]["parent"]
        while above is not None and above not in own:
            above = joints[place[above]]["parent"]
        turns = [world[place[name]] for world in worlds]
        if above is not None:
            turns = [multiply(transpose(w[place[above]]), t) for w, t in zip(worlds, turns)]  # noqa: B905
        moved = [[scale * v for v in frame[place[name]]] for frame in moves] if above is None else None
        key_turns(namespace + name, rests[name], turns, start, moved if moved and any(map(any, moved)) else None)


def larger(namespace, joints, own):
    """How much larger the scene's joints are together than the skeleton's at rest."""
    import maya.cmds as cmds

    at = {}
    for joint in joints:
        at[joint["name"]] = [a + b for a, b in zip(joint["offset"], at.get(joint["parent"], (0, 0, 0)))]  # noqa: B905
    there = [cmds.xform(namespace + name, query=True, worldSpace=True, matrix=True)[12:15] for name in own]
    sizes = [length_of([max(v) - min(v) for v in zip(*points)]) for points in (there, [at[n] for n in own])]  # noqa: B905
    return sizes[0] / sizes[1] if min(sizes) > 0 else 1.0


def key_attributes(node, groups, used, start):
    """Key all values that are not in `used` on attributes of their names."""
    import maya.cmds as cmds

    for group in groups:
        for name, column in columns(group["names"], group["values"]):
            if (group["name"], name) in used:
                continue
            attribute = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)
            if not cmds.attributeQuery(attribute, node=node, exists=True):
                cmds.addAttr(node, longName=attribute, attributeType="double", keyable=True)
            key_values(node + "." + attribute, column, start)


def head_joint():
    """The joint that is called head, or else the one with the shortest name that speaks of it."""
    import maya.cmds as cmds

    named = [j for j in cmds.ls(type="joint") if "head" in j.rsplit("|", 1)[-1].rsplit(":", 1)[-1].lower()]
    if not named:
        raise ValueError("no joint is called head: name it, as head='neck_02_jnt'")
    return min(named, key=lambda joint: len(joint.rsplit("|", 1)[-1].rsplit(":", 1)[-1]))


# ---- groups of curves


def columns(names, rows):
    return [(name, [row[column] for row in rows]) for column, name in enumerate(names)]


def blocks_of(group):
    """(block, its rows) of a group."""
    first = 0
    for block in group["blocks"]:
        end = first + len(block["names"])
        yield block, [row[first:end] for row in group["values"]]
        first = end


def head_of(path, groups):
    """(group, block, rows) of the head's rotation: its columns, or its group, are named so."""
    for group in groups:
        for block, rows in [] if "skeleton" in group else blocks_of(group):
            if block["kind"] == "rotation" and (group["name"] == "head" or plain(block["names"][0]).startswith("head")):
                return group["name"], block, rows
    raise ValueError(
        f"{path}: holds no rotation of a head; it has {', '.join(g['name'] for g in groups) or 'no curves'}"
    )


def bodies_of(path, groups):
    bodies = [group for group in groups if "skeleton" in group]
    if not bodies:
        raise ValueError(f"{path}: holds no skeleton; it has {', '.join(g['name'] for g in groups) or 'no curves'}")
    return bodies


def head_turns(block, rows):
    """Rotations of the head in its own axes: x to its left, y up, z forward."""
    turns = [rotation(block, row) for row in rows]
    if [plain(name) for name in block["names"]] != LIVE_LINK:
        return turns
    return [multiply(multiply(OF_CAMERAS, turn), OF_CAMERAS) for turn in turns]


def pose_of(group):
    """The joints of a group's skeleton; their rotations in the world and moves from their offsets, frame by frame."""
    joints = group["skeleton"]["joints"]
    place = {joint["name"]: number for number, joint in enumerate(joints)}
    channels = [(number, channel) for number, joint in enumerate(joints) for channel in joint["channels"]]
    blocks, worlds, moves = list(blocks_of(group)), [], []
    for frame in range(len(group["values"])):
        world, moved, column = [UNTURNED] * len(joints), [[0, 0, 0] for _ in joints], 0
        for block, rows in blocks:
            number = channels[column][0]
            if block["kind"] == "rotation":
                world[number] = rotation(block, rows[frame])
            else:
                for value, (_, channel) in zip(rows[frame], channels[column:]):  # noqa: B905
                    axis = "XYZ".index(channel[0])
                    moved[number][axis] = value - joints[number]["offset"][axis]
            column += len(block["names"])
        for number, joint in enumerate(joints):
            if joint["parent"] is not None:
                world[number] = multiply(world[place[joint["parent"]]], world[number])
        worlds.append(world)
        moves.append(moved)
    return joints, worlds, moves


def plain(name):
    return "".join(letter for letter in name.rsplit(".", 1)[-1].lower() if letter.isalnum())


# ---- rotations, three rows of three, of column vectors

UNTURNED = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def rotation(block, row):
    """The rotation that a row of a block's values means."""
    form = block["form"]
    if form == "matrix":
        return [row[:3], row[3:6], row[6:]]
    if form == "quaternion":
        length = length_of(row[:3])
        return about([v / max(length, 1e-12) for v in row[:3]], 2 * math.atan2(length, row[3]))
    row = [math.radians(v) for v in row] if block.get("unit") == "degrees" else row
    if form == "axis_angle":
        length = length_of(row)
        return about([v / max(length, 1e-12) for v in row], length)
    turn = UNTURNED
    for axis, angle in zip(form, row):  # noqa: B905
        turn = multiply(turn, about([float(axis == other) for other in "XYZ"], angle))
    return turn


def about(axis, angle):
    """A turn about an axis of length 1 (Rodrigues)."""
    x, y, z = axis
    cross = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    twice, sine, rest = multiply(cross, cross), math.sin(angle), 1 - math.cos(angle)
    return [[UNTURNED[i][j] + sine * cross[i][j] + rest * twice[i][j] for j in range(3)] for i in range(3)]


def length_of(values):
    return math.sqrt(sum(v * v for v in values))


def multiply(a, b):
    return [[sum(v * b[k][j] for k, v in enumerate(row)) for j in range(len(b[0]))] for row in a]


def transpose(a):
    return [list(row) for row in zip(*a)]  # noqa: B905


def rows3(matrix):
    """The upper left 3 x 3 of 16 numbers."""
    return [list(matrix[4 * i : 4 * i + 3]) for i in range(3)]


def inverse(a):
    crosses = [
        [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]
        for p, q in ((a[1], a[2]), (a[2], a[0]), (a[0], a[1]))
    ]
    size = sum(x * y for x, y in zip(a[0], crosses[0]))  # noqa: B905
    return transpose([[v / size for v in row] for row in crosses])


def set_rate(fps):
    """The scene's rate, by the name that Maya has for it."""
    import maya.cmds as cmds

    name = next((name for rate, name in RATES.items() if abs(fps - rate) < 1e-2), None)
    cmds.currentUnit(time=name or f"{round(fps, 3):g}fps")
