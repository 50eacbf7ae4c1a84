// Draws people: one pane for the truth, one for the prediction, the same camera for both.

import * as THREE from "./vendor/three.module.min.js";
import { OrbitControls } from "./vendor/OrbitControls.js";

const COLOURS = { skin: 0xd8a48c, tongue: 0xb4525a, body: 0xc7a899 }, FIGURE = 0x86aef0, KEY_POINTS = 0x5ce1e6, INSIDE = "0.11, 0.05, 0.05";
const VIEW_ANGLE = 24;
const TURN = 0.35, ROOM = 1.02; // how far two people turn to each other, and how far apart they stand
export const HEAT = [[0.80, 0.82, 0.85], [0.98, 0.85, 0.35], [0.93, 0.35, 0.15], [0.55, 0.0, 0.15]];

export class Stage {
  constructor(canvas, changed) {
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: !drawsInSoftware(), alpha: true });
    this.renderer.toneMapping = THREE.NeutralToneMapping;
    this.renderer.autoClear = false;
    this.renderer.setClearColor(0x000000, 0); // the page behind it shows
    this.camera = new THREE.PerspectiveCamera(VIEW_ANGLE, 1, 0.1, 1000);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.addEventListener("change", changed);
    this.panes = { truth: new Pane(), prediction: new Pane() };
    this.shown = ["prediction"];
    this.box = null;
    this.coarse = false;
  }

  // Fewer pixels while playing, for machines that are too slow for all of them.
  setCoarse(on) {
    if (on === this.coarse) return;
    this.coarse = on;
    this.resize(this.width, this.height);
  }

  resize(width, height) {
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2) * (this.coarse ? 0.5 : 1));
    this.renderer.setSize(width, height, false);
    this.width = width;
    this.height = height;
  }

  // Where each pane that is shown lies: [x, y, width, height] from the bottom left.
  areas() {
    const n = this.shown.length;
    return this.shown.map((_, i) => (this.width >= this.height
      ? [(i * this.width) / n, 0, this.width / n, this.height]
      : [0, ((n - 1 - i) * this.height) / n, this.width, this.height / n]));
  }

  // Puts the people of all panes where the camera sees them: one as he is, two beside each other and a little turned to each other.
  // `host` and `guest` are positions of what is seen of them, `scale` how large the guest's units are, `heads` whether both have one.
  stand(host, guest, scale, heads) {
    const panes = Object.values(this.panes), boxes = [host, guest].map((positions) => new THREE.Box3().setFromArray(positions));
    for (const person of panes.flatMap((pane) => [pane.host, pane.guest])) person.stand(new THREE.Vector3(), new THREE.Vector3(), 0, 1);
    this.box = boxes[0];
    if (!guest.length) return;
    const [own, its] = boxes.map((box) => box.getSize(new THREE.Vector3())), ratio = (its.y * scale) / own.y;
    const size = ratio > 2 || ratio < 0.5 ? own.y / its.y : scale; // units that nobody told
    const wide = [own, its.multiplyScalar(size)].map(({ x, z }) => Math.cos(TURN) * x + Math.sin(TURN) * z), apart = (ROOM * (wide[0] + wide[1])) / 4;
    const [centre, other] = boxes.map((box) => box.getCenter(new THREE.Vector3()));
    const up = heads ? 0 : (its.y - own.y) / 2; // feet stand on one floor
    const places = [["host", centre, -apart, 0, TURN, 1], ["guest", other, apart, up, -TURN, size]];
    for (const pane of panes) for (const [who, from, x, y, turn, scaled] of places) pane[who].stand(from, centre.clone().add(new THREE.Vector3(x, y, 0)), turn, scaled);
    const [left, right] = places.map(([who], k) => boxes[k].applyMatrix4(panes[0][who].group.matrixWorld));
    this.box = left.union(right);
  }

  // Puts all of them into the picture, seen from a side.
  frame(view) {
    if (!this.box || this.box.isEmpty()) return;
    const [, , width, height] = this.areas()[0];
    const size = this.box.getSize(new THREE.Vector3()), centre = this.box.getCenter(new THREE.Vector3());
    const turn = { front: 0, quarter: 0.62, side: Math.PI / 2 }[view] || 0;
    const wide = Math.abs(Math.cos(turn)) * size.x + Math.abs(Math.sin(turn)) * size.z;
    const deep = Math.abs(Math.cos(turn)) * size.z + Math.abs(Math.sin(turn)) * size.x;
    const half = Math.tan((VIEW_ANGLE * Math.PI) / 360);
    const away = Math.max(size.y / (2 * half), wide / (2 * half * (width / height))) * 1.12 + deep / 2;
    this.camera.near = away / 50;
    this.camera.far = away * 20;
    this.camera.position.set(centre.x + away * Math.sin(turn), centre.y, centre.z + away * Math.cos(turn));
    this.controls.target.copy(centre);
    this.controls.update();
  }

  render() {
    const gl = this.renderer;
    gl.setScissorTest(true);
    this.areas().forEach(([x, y, width, height], i) => {
      const pane = this.panes[this.shown[i]];
      pane.lights.quaternion.copy(this.camera.quaternion);
      this.camera.aspect = width / height;
      this.camera.updateProjectionMatrix();
      gl.setViewport(x, y, width, height);
      gl.setScissor(x, y, width, height);
      gl.clear();
      gl.render(pane.scene, this.camera);
    });
    gl.setScissorTest(false);
  }
}

export class Pane {
  constructor() {
    this.scene = new THREE.Scene();
    this.lights = new THREE.Group();
    for (const [x, y, z, strength] of [[-0.5, 0.55, 0.75, 2.3], [0.85, 0.1, 0.5, 0.75], [0.2, 0.7, -0.7, 1.2]]) {
      const light = new THREE.DirectionalLight(0xffffff, strength);
      light.position.set(x, y, z);
      this.lights.add(light, light.target);
    }
    this.host = new Person();
    this.guest = new Person();
    this.scene.add(this.lights, new THREE.HemisphereLight(0xdfe8ff, 0x4a3a34, 0.75), this.host.group, this.guest.group);
  }
}

export class Person {
  constructor() {
    this.group = new THREE.Group();
    this.meshes = {};
    this.skin = null;
    this.track = null; // which the meshes are for
  }

  // Brings the point `from` of the meshes to another place, turned and scaled about it.
  stand(from, to, turn, scale) {
    this.group.rotation.y = turn;
    this.group.scale.setScalar(scale);
    this.group.position.copy(from).multiplyScalar(-scale).applyAxisAngle(new THREE.Vector3(0, 1, 0), turn).add(to);
    this.group.updateMatrixWorld(true);
  }

  // Builds what a track of an actor needs: `triangles` {mesh: Uint32Array} and `colours` {mesh: Uint8Array} where known,
  // `bones` of a figure, `points` {channel: count}.
  open(track, { triangles, colours, bones }, points, eyes) {
    this.close();
    this.track = track;
    for (const [name, colour] of Object.entries(COLOURS)) {
      if (points[name]) this.meshes[name] = new Surface(this.group, points[name], triangles[name], colour, colours[name]);
    }
    this.skin = this.meshes.skin || null;
    if (points.jaw) this.meshes.jaw = new KeyPoints(this.group, points.jaw, everyPair(points.jaw), { color: KEY_POINTS, depthTest: false }, 7);
    if (points.figure) this.meshes.figure = new KeyPoints(this.group, points.figure, [...(bones || [])], { color: FIGURE }, 3);
    if (points.eyes && eyes) this.meshes.eyes = new Eyeballs(this.group, eyes);
  }

  close() {
    for (const mesh of Object.values(this.meshes)) mesh.remove();
    this.meshes = {};
    this.skin = null;
  }

  // Reads all channels of the track at a time; its frames must be ready.
  show(time) {
    for (const [name, mesh] of Object.entries(this.meshes)) {
      this.track.read(name, time, mesh.values);
      mesh.update();
    }
  }
}

// A mesh with smooth normals, dark from inside; a cloud of points when its triangles are not known.
class Surface {
  constructor(scene, count, triangles, colour, own) {
    this.values = new Float32Array(count * 3);
    this.normals = new Float32Array(count * 3);
    this.colours = null;
    this.own = own && triangles ? Float32Array.from(own, (v) => (v / 255) ** 2.2) : null; // linear
    this.triangles = triangles || null;
    this.turned = !triangles;
    const geometry = (this.geometry = new THREE.BufferGeometry());
    geometry.setAttribute("position", attribute(this.values));
    const parts = [];
    if (triangles) {
      geometry.setAttribute("normal", attribute(this.normals));
      geometry.setIndex(new THREE.BufferAttribute(triangles, 1));
      this.material = new THREE.MeshPhongMaterial({ color: colour, shininess: 22, specular: 0x2b2523, side: THREE.DoubleSide });
      this.material.onBeforeCompile = darkInside;
      this.lines = new THREE.MeshBasicMaterial({ color: 0x10131a, wireframe: true, transparent: true, opacity: 0.35, depthWrite: false, polygonOffset: true, polygonOffsetFactor: -1, polygonOffsetUnits: -1 });
      parts.push(new THREE.Mesh(geometry, this.material), new THREE.Mesh(geometry, this.lines));
      parts[1].visible = false;
    } else {
      this.material = new THREE.PointsMaterial({ color: colour, size: 2.5, sizeAttenuation: false });
      parts.push(new THREE.Points(geometry, this.material));
    }
    this.colour = colour;
    this.colourBy(this.own);
    this.group = new THREE.Group().add(...parts);
    this.group.traverse((part) => { part.frustumCulled = false; });
    scene.add(this.group);
    this.parts = parts;
    this.scene = scene;
  }

  wireframe(on) { if (this.triangles) this.parts[1].visible = on; }

  // Shows `colours` (3 for each vertex) instead of the skin's own, or goes back to those.
  paint(on) {
    if (on && !this.colours) this.colours = new Float32Array(this.values.length);
    const wanted = on ? this.colours : this.own;
    if (wanted !== this.shown) this.colourBy(wanted);
    if (on) this.geometry.attributes.color.needsUpdate = true;
  }

  colourBy(colours) {
    this.shown = colours;
    if (colours) this.geometry.setAttribute("color", attribute(colours));
    this.material.vertexColors = colours !== null;
    this.material.color.set(colours ? 0xffffff : this.colour);
    this.material.needsUpdate = true;
  }

  update() {
    this.geometry.attributes.position.needsUpdate = true;
    if (!this.triangles) return;
    if (!this.turned) this.turnOutwards();
    smoothNormals(this.values, this.triangles, this.normals);
    this.geometry.attributes.normal.needsUpdate = true;
  }

  // Meshes whose triangles run the other way round would be seen from inside.
  turnOutwards() {
    const v = this.values, t = this.triangles, centre = [0, 0, 0];
    this.turned = true;
    for (let i = 0; i < v.length; i++) centre[i % 3] += v[i] / (v.length / 3);
    let sum = 0;
    for (let k = 0; k < t.length; k += 3) {
      const a = 3 * t[k], b = 3 * t[k + 1], c = 3 * t[k + 2];
      const [x, y, z] = cross(v, a, b, c);
      sum += x * (v[a] - centre[0]) + y * (v[a + 1] - centre[1]) + z * (v[a + 2] - centre[2]);
    }
    if (sum >= 0) return;
    for (let k = 0; k < t.length; k += 3) [t[k], t[k + 1]] = [t[k + 1], t[k]];
    this.geometry.index.needsUpdate = true;
  }

  remove() {
    this.scene.remove(this.group);
    this.geometry.dispose();
    for (const material of [this.material, this.lines]) if (material) material.dispose();
  }
}

// Points, and lines between pairs of them.
class KeyPoints {
  constructor(scene, count, pairs, about, size) {
    this.values = new Float32Array(count * 3);
    const geometry = (this.geometry = new THREE.BufferGeometry());
    geometry.setAttribute("position", attribute(this.values));
    geometry.setIndex(pairs);
    const look = { transparent: true, ...about };
    this.lines = new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({ ...look, opacity: look.depthTest === false ? 0.55 : 1 }));
    this.points = new THREE.Points(geometry, new THREE.PointsMaterial({ ...look, size, sizeAttenuation: false }));
    this.group = new THREE.Group().add(this.lines, this.points);
    for (const part of this.group.children) { part.frustumCulled = false; part.renderOrder = 5; }
    scene.add(this.group);
    this.scene = scene;
  }
  update() { this.geometry.attributes.position.needsUpdate = true; }
  remove() { this.scene.remove(this.group); this.geometry.dispose(); }
}

function everyPair(count) {
  const pairs = [];
  for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) pairs.push(a, b);
  return pairs;
}

class Eyeballs {
  constructor(scene, eyes) {
    this.values = new Float32Array(6); // degrees about x, y and z, right eye then left
    this.group = new THREE.Group();
    this.balls = eyes.map(([centre, radius]) => {
      const white = new THREE.Mesh(new THREE.SphereGeometry(radius, 32, 24), new THREE.MeshPhongMaterial({ color: 0xe9e4df, shininess: 60 }));
      for (const [share, colour] of [[0.46, 0x5b7f95], [0.2, 0x0a0a0c]]) {
        const height = radius * (1 - Math.sqrt(1 - share * share));
        const cap = new THREE.SphereGeometry(radius * (colour === 0x0a0a0c ? 1.012 : 1.006), 32, 12, 0, Math.PI * 2, 0, Math.acos(1 - height / radius));
        white.add(new THREE.Mesh(cap.rotateX(Math.PI / 2), new THREE.MeshPhongMaterial({ color: colour, shininess: 80 })));
      }
      white.position.set(...centre);
      this.group.add(white);
      return white;
    });
    scene.add(this.group);
    this.scene = scene;
  }
  update() {
    this.balls.forEach((ball, i) => ball.rotation.set(...[0, 1, 2].map((axis) => (this.values[3 * i + axis] * Math.PI) / 180)));
  }
  remove() { this.scene.remove(this.group); }
}

// Whether there is no graphics card, so that smooth edges would cost more than they are worth.
function drawsInSoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const known = gl && gl.getExtension("WEBGL_debug_renderer_info");
  const name = known ? gl.getParameter(known.UNMASKED_RENDERER_WEBGL) : "";
  if (gl) gl.getExtension("WEBGL_lose_context").loseContext();
  return /swiftshader|llvmpipe|software/i.test(name);
}

// A surface seen from behind is dark: heads have a mouth without a cavity.
function darkInside(shader) {
  const last = "#include <dithering_fragment>";
  shader.fragmentShader = shader.fragmentShader.replace(last, `${last}\nif (!gl_FrontFacing) gl_FragColor.rgb = vec3(${INSIDE});`);
}

function attribute(array) {
  return new THREE.BufferAttribute(array, 3).setUsage(THREE.DynamicDrawUsage);
}

function cross(v, a, b, c) {
  const ux = v[b] - v[a], uy = v[b + 1] - v[a + 1], uz = v[b + 2] - v[a + 2];
  const wx = v[c] - v[a], wy = v[c + 1] - v[a + 1], wz = v[c + 2] - v[a + 2];
  return [uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx];
}

function smoothNormals(v, t, n) {
  n.fill(0);
  for (let k = 0; k < t.length; k += 3) {
    const a = 3 * t[k], b = 3 * t[k + 1], c = 3 * t[k + 2];
    const ax = v[a], ay = v[a + 1], az = v[a + 2];
    const ux = v[b] - ax, uy = v[b + 1] - ay, uz = v[b + 2] - az;
    const wx = v[c] - ax, wy = v[c + 1] - ay, wz = v[c + 2] - az;
    const x = uy * wz - uz * wy, y = uz * wx - ux * wz, z = ux * wy - uy * wx;
    n[a] += x; n[a + 1] += y; n[a + 2] += z;
    n[b] += x; n[b + 1] += y; n[b + 2] += z;
    n[c] += x; n[c + 1] += y; n[c + 2] += z;
  }
  for (let i = 0; i < n.length; i += 3) {
    const length = Math.sqrt(n[i] * n[i] + n[i + 1] * n[i + 1] + n[i + 2] * n[i + 2]) || 1;
    n[i] /= length; n[i + 1] /= length; n[i + 2] /= length;
  }
}

// Colours of the distances between two sets of points; returns their mean and largest, in mm.
export function paintErrors(truth, ours, mm, most, colours) {
  let sum = 0, worst = 0;
  const count = ours.length / 3, last = HEAT.length - 1;
  for (let i = 0; i < ours.length; i += 3) {
    const x = ours[i] - truth[i], y = ours[i + 1] - truth[i + 1], z = ours[i + 2] - truth[i + 2];
    const distance = Math.sqrt(x * x + y * y + z * z) * mm;
    sum += distance;
    if (distance > worst) worst = distance;
    const place = Math.min(distance / most, 1) * last, k = Math.min(Math.floor(place), last - 1), f = place - k;
    for (let c = 0; c < 3; c++) {
      const value = HEAT[k][c] * (1 - f) + HEAT[k + 1][c] * f;
      colours[i + c] = value * value; // about linear light
    }
  }
  return { mean: sum / count, worst };
}
