"""Bring the output of run_inference.py into Maya 2022 or newer. Run in the Script Editor (Python):

    import import_animation
    import_animation.attach("/out/hello.xml", "head_mesh")              # OUTPUT_FORMATS "maya": points of every frame
    import_animation.attach("/out/hello_tongue.xml", "tongue_mesh")
    import_animation.key("/out/hello.json", blendshape="face_shapes", jaw="lower_teeth_grp",
                         eyes=("eye_r", "eye_l"), sound="/data/hello.wav")   # OUTPUT_FORMATS "json": an editable rig

`key` sets a key per frame on the targets that have a weight's name, on the transform over the lower teeth (which must
stand at the origin, unturned, above the teeth at rest) and on the eyes. The scene's rate is set to the animation's.
"""

import json
import os
import xml.etree.ElementTree as ElementTree

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


def key(path, blendshape=None, jaw=None, eyes=None, sound=None, start=0):
    """Key what an animation's .json holds, frame 0 at `start`; returns the names of weights that the rig lacks."""
    import maya.cmds as cmds

    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    if data.get("kind") != "audio2face-animation":
        raise ValueError(f"{path}: expected an animation of OUTPUT_FORMATS json")
    set_rate(data["fps"])
    names, lacking = data["blendshapes"]["names"], []
    if blendshape:
        there = set(cmds.listAttr(blendshape + ".w", multi=True) or [])
        lacking = [name for name in names if name not in there]
        for column, name in enumerate(names):
            if name in there:
                for frame, row in enumerate(data["blendshapes"]["weights"]):
                    cmds.setKeyframe(blendshape + "." + name, time=start + frame, value=row[column])
    if jaw:
        if data["jaw"]["shape"] != [4, 4]:
            raise ValueError(f"{path}: has points of the jaw, not transforms; infer with APPLY_POSTPROCESSING")
        for frame, m in enumerate(data["jaw"]["values"]):
            rows = [m[4 * j + i] for i in range(4) for j in range(4)]  # Maya moves row vectors
            cmds.xform(jaw, worldSpace=True, matrix=rows)
            for part in ("translate", "rotate"):
                cmds.setKeyframe(jaw, attribute=part, time=start + frame)
    if eyes:
        for frame, row in enumerate(data["eyes_degrees"]):
            half = len(row) // 2
            for eye, angles in zip(eyes, (row[:half], row[half:])):  # noqa: B905 (Python 3.9)
                for axis, value in zip("XYZ", angles):  # noqa: B905
                    cmds.setKeyframe(eye, attribute="rotate" + axis, time=start + frame, value=value)
    if sound:
        cmds.sound(file=sound, offset=start)
    cmds.playbackOptions(minTime=start, maxTime=start + data["num_frames"] - 1)
    return lacking


def set_rate(fps):
    """The scene's rate, by the name that Maya has for it."""
    import maya.cmds as cmds

    name = next((name for rate, name in RATES.items() if abs(fps - rate) < 1e-2), None)
    cmds.currentUnit(time=name or f"{round(fps, 3):g}fps")
