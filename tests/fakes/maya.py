"""As much of Maya's API as the scripts of tools/maya use: one face, one tongue, joints that turn, a sound."""

import math
import sys
import types


def turn(axis, degrees, place=(0, 0, 0)):
    """16 numbers of a matrix of row vectors: a turn about an axis, then a move."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = {
        "x": [[1, 0, 0], [0, c, s], [0, -s, c]],
        "y": [[c, 0, -s], [0, 1, 0], [s, 0, c]],
        "z": [[c, s, 0], [-s, c, 0], [0, 0, 1]],
    }[axis]
    return [float(v) for row in rows for v in (*row, 0)] + [*map(float, place), 1.0]


def _multiply(a, b):
    """16 numbers by 16 numbers, of row vectors."""
    return [sum(a[4 * i + k] * b[4 * k + j] for k in range(4)) for i in range(4) for j in range(4)]


class FakeMaya:
    """A scene: `meshes` {name: f(frame, weights) -> points}, `transforms` {name: f(frame) -> 16 numbers}."""

    def __init__(self):
        self.frame, self.up, self.fps = 7.0, "y", 25.0
        self.meshes, self.transforms, self.groups = {}, {}, {}
        self.weights = {}  # plug -> value, or a function of the frame while it is connected
        self.connected = {}
        self.nodes, self.attributes, self.calls = {}, {}, []
        self.joints = {}  # name -> [parent, 16 numbers in it], moved by xform
        self.keyed = {}  # (joint, time) -> 16 numbers in its parent

    # ---- maya.cmds
    def currentTime(self, value=None, query=False):
        if query:
            return self.frame
        self.frame = float(value)

    def playbackOptions(self, query=False, minTime=None, maxTime=None):
        if query:
            return 1.0 if minTime else 10.0
        self.calls.append(("playbackOptions", minTime, maxTime))

    def file(self, *args, **kwargs):
        return "/scenes/anna.mb"

    def objExists(self, name):
        return any(name in known for known in (self.meshes, self.transforms, self.groups, self.joints))

    def upAxis(self, query, axis):
        return self.up

    def listHistory(self, mesh):
        return [mesh, *self.nodes.get(mesh, [])]

    def ls(self, names=None, type=None):
        if type == "audio":
            return [n.split(".")[0] for n in self.attributes if n.endswith(".filename")]
        if type == "joint":
            return list(self.joints)
        return [n for n in names if n.startswith("blendShape")]

    def listAttr(self, name, multi):
        return [plug.split(".")[1] for plug in self.weights if plug.startswith(name.split(".")[0] + ".")]

    def connectionInfo(self, plug, sourceFromDestination):
        return self.connected.get(plug, ("",))[0]

    def disconnectAttr(self, source, plug):
        assert self.connected.pop(plug)[0] == source
        self.calls.append(("disconnect", plug))

    def connectAttr(self, source, plug):
        self.connected[plug] = (source,)
        self.calls.append(("connect", plug))

    def getAttr(self, plug):
        if plug.endswith(".parentMatrix[0]"):
            parent = self.joints[plug.split(".")[0]][0]
            return self.world(parent) if parent else turn("x", 0)
        return self.attributes[plug] if plug in self.attributes else self.weights[plug]

    def setAttr(self, plug, value):
        assert plug not in self.connected, f"{plug} is locked by its connection"
        (self.weights if plug in self.weights else self.attributes)[plug] = value

    def filterExpand(self, items, selectionMask, expand):
        return items

    def sets(self, name, query):
        return [f"face.vtx[{v}]" for v in self.groups[name]]

    def currentUnit(self, time):
        self.calls.append(("rate", time))

    def setKeyframe(self, node, time, value=None, attribute=None):
        self.calls.append(("key", node if attribute is None else f"{node}.{attribute}", time, value))
        if node in self.joints:
            self.keyed[node, time] = self.joints[node][1]

    def xform(self, node, worldSpace=False, objectSpace=False, matrix=None, query=False):
        if query:
            return self.world(node) if worldSpace else self.joints[node][1]
        self.calls.append(("xform", node, matrix))
        if objectSpace:
            self.joints[node][1] = matrix

    def world(self, joint, time=None):
        """16 numbers, at rest or as keyed."""
        parent, local = self.joints[joint]
        return _multiply(self.keyed.get((joint, time), local), self.world(parent, time) if parent else turn("x", 0))

    def listConnections(self, plug, type):
        return [plug.replace(".", "_")] if any(call[0] == "key" for call in self.calls) else None

    def filterCurve(self, *curves):
        self.calls.append(("filterCurve", curves))

    def attributeQuery(self, name, node, exists):
        return f"{node}.{name}" in self.attributes

    def addAttr(self, node, longName, attributeType, keyable):
        self.attributes[f"{node}.{longName}"] = 0.0

    def sound(self, file, offset):
        self.calls.append(("sound", file, offset))

    def listRelatives(self, mesh, **kwargs):
        return [f"|{mesh}|{mesh}Shape"]

    def cacheFile(self, **kwargs):
        self.calls.append(("cacheFile", kwargs))
        return "cache1"

    # ---- maya.mel and OpenMaya
    def eval(self, text):
        self.calls.append(("mel", text))
        return "switch1"

    def points(self, name):
        weights = {
            plug.split(".")[1]: self.connected[plug][1](self.frame) if len(self.connected.get(plug, ())) > 1 else value
            for plug, value in self.weights.items()
        }
        return self.meshes[name](self.frame, weights)


class _Path:
    def __init__(self, scene, name):
        self.scene, self.name = scene, name

    def extendToShape(self):
        return self

    def inclusiveMatrix(self):
        return self.scene.transforms[self.name](self.scene.frame)


def install(monkeypatch, scene):
    """Put the fake under the names that the scripts import."""

    class Selection:
        def add(self, name):
            self.name = name
            return self

        def getDagPath(self, index):
            return _Path(scene, self.name)

    class Mesh:
        def __init__(self, path):
            self.path = path

        def getPoints(self, space):
            return self.path.scene.points(self.path.name)

        def getTriangles(self):
            return [1, 1], [0, 1, 2, 1, 3, 2]

    class Time:
        kSeconds = "seconds"

        def __init__(self, value, unit):
            self.value = value

        @staticmethod
        def uiUnit():
            return "frames"

        def asUnits(self, unit):
            return self.value * scene.fps

    om = types.SimpleNamespace(
        MSelectionList=Selection, MFnMesh=Mesh, MTime=Time, MSpace=types.SimpleNamespace(kWorld=4)
    )
    maya, api, mel = (types.ModuleType(n) for n in ("maya", "maya.api", "maya.mel"))
    maya.cmds, maya.mel, maya.api, api.OpenMaya, mel.eval = scene, mel, api, om, scene.eval
    for name, module in {
        "maya": maya, "maya.cmds": scene, "maya.mel": mel, "maya.api": api, "maya.api.OpenMaya": om,
    }.items():  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)
