// Sends sound to /stream as 16-bit PCM and shows the frames that come back, in step with what is heard.
import * as THREE from "./vendor/three.module.min.js";

const $ = (id) => document.getElementById(id);
const state = (text) => { $("state").textContent = text; };
const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
const TOKEN = new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined; // http://…/#token=… where the server asks for one
const PIECE = 2048; // samples sent at once from the microphone
const AHEAD_S = 1.0; // of a file sent before it is heard

// ---- the head

const renderer = new THREE.WebGLRenderer({ canvas: $("head"), antialias: true });
const scene = new THREE.Scene();
scene.background = new THREE.Color(0x1c1f24);
const camera = new THREE.PerspectiveCamera(28, 1, 0.1, 20);
camera.position.set(0, 0.05, 5);
scene.add(new THREE.HemisphereLight(0xffffff, 0x445066, 2.2));
const lamp = new THREE.DirectionalLight(0xffffff, 2);
lamp.position.set(1, 1.5, 3);
scene.add(lamp);

async function loadHead() {
  const info = await (await fetch("head.json")).json();
  const data = await (await fetch("head.bin")).arrayBuffer();
  const size = 3 * info.vertices;
  const part = (i) => new Float32Array(data, 4 * size * i, size);
  const geometry = new THREE.BufferGeometry();
  const positions = new THREE.BufferAttribute(part(0).slice(), 3);
  geometry.setAttribute("position", positions);
  const floats = 1 + info.shapes.length;
  if (info.coloured) geometry.setAttribute("color", new THREE.BufferAttribute(part(floats), 3));
  geometry.setIndex(new THREE.BufferAttribute(new Uint32Array(data, 4 * size * (floats + info.coloured)), 1));
  geometry.computeVertexNormals();
  const colour = info.coloured ? { vertexColors: true } : { color: 0xd8b09a };
  const mesh = new THREE.Mesh(geometry, new THREE.MeshStandardMaterial({ ...colour, roughness: 0.75, side: THREE.DoubleSide }));
  scene.add(mesh);
  return (weights, turns) => {
    const [yaw, pitch, roll] = turns.map(THREE.MathUtils.degToRad);
    mesh.rotation.set(-pitch, yaw, -roll, "YXZ");
    positions.array.set(part(0));
    info.shapes.forEach((place, i) => {
      const weight = weights[place];
      if (Math.abs(weight) < 1e-4) return;
      const delta = part(1 + i);
      for (let k = 0; k < size; k++) positions.array[k] += weight * delta[k];
    });
    positions.needsUpdate = true;
    geometry.computeVertexNormals();
  };
}
const pose = await loadHead();

const SHOWN = ["JawOpen", "MouthFunnel", "MouthPucker", "MouthClose", "MouthSmileLeft", "BrowInnerUp", "EyeBlinkLeft"];
function drawBars(names, weights) {
  const g = $("bars").getContext("2d");
  g.clearRect(0, 0, 512, 96);
  SHOWN.forEach((name, i) => {
    const value = Math.min(1, Math.max(0, weights[names.indexOf(name)] ?? 0));
    g.fillStyle = "#3d7eff";
    g.fillRect(8 + i * 72, 80 - 76 * value, 56, 76 * value + 1);
    g.fillStyle = "#b7bdc8";
    g.font = "11px sans-serif";
    g.fillText(name.slice(0, 9), 8 + i * 72, 93);
  });
}

// ---- one track of sound

let track = null;

class Track {
  constructor(rate) {
    this.frames = [];
    this.shown = -1;
    this.names = [];
    this.socket = new WebSocket(`${address}/stream`);
    this.socket.binaryType = "arraybuffer";
    this.ready = new Promise((resolve, reject) => {
      this.socket.onopen = () => this.socket.send(JSON.stringify({ type: "start", sample_rate: rate, token: TOKEN, want: ["weights", "head"] }));
      this.socket.onerror = () => reject(new Error("the server cannot be reached"));
      this.socket.onmessage = (event) => this.take(JSON.parse(event.data), resolve);
    });
  }

  take(message, resolve) {
    if (message.type === "header") {
      this.names = message.names;
      this.fps = message.fps;
      this.delay = message.delay_s;
      fillEmotions(message.emotions);
      resolve();
    } else if (message.type === "frame") this.frames.push(message);
    else if (message.type === "error") state(message.message);
    else if (message.type === "end") this.ended = true;
  }

  send(samples) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    const pcm = new Int16Array(samples.length);
    for (let i = 0; i < samples.length; i++) pcm[i] = Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32767)));
    this.socket.send(pcm.buffer);
  }

  emotion(name) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type: "emotion", emotion: { [name]: 1 } }));
  }

  end() {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type: "end" }));
  }

  // Show the newest frame that is due at a time of the sound.
  show(time) {
    let at = this.shown;
    while (at + 1 < this.frames.length && this.frames[at + 1].t <= time) at++;
    if (at === this.shown) return;
    this.shown = at;
    const weights = this.frames[at].w;
    pose(weights, this.frames[at].head ?? [0, 0, 0]);
    drawBars(this.names, weights);
    window.face = { frame: this.frames[at].i, time, jaw: weights[this.names.indexOf("JawOpen")], received: this.frames.length };
  }
}

function fillEmotions(names) {
  if ($("emotion").options.length) return;
  for (const name of ["neutral", ...names.filter((n) => n !== "neutral")]) $("emotion").add(new Option(name, name));
}
$("emotion").onchange = () => track?.track.emotion($("emotion").value);

function stop() {
  track?.close();
  track = null;
  $("stop").disabled = true;
}
$("stop").onclick = () => { stop(); state("Stopped."); };

$("file").onchange = async () => {
  const file = $("file").files[0];
  if (!file) return;
  stop();
  const context = new AudioContext();
  try {
    await playBuffer(context, await context.decodeAudioData(await file.arrayBuffer()));
    state(file.name);
  } catch (error) {
    state(`${file.name}: ${error.message}`);
  }
};

async function playBuffer(context, buffer) {
  const own = new Track(buffer.sampleRate);
  const mono = new Float32Array(buffer.length);
  for (let c = 0; c < buffer.numberOfChannels; c++) {
    const channel = buffer.getChannelData(c);
    for (let i = 0; i < mono.length; i++) mono[i] += channel[i] / buffer.numberOfChannels;
  }
  await own.ready;
  let sent = 0;
  const piece = Math.round(buffer.sampleRate / 4);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  const begin = context.currentTime + own.delay + 0.2;
  source.start(begin);
  const clock = () => context.currentTime - (context.outputLatency || 0) - begin;
  const feed = setInterval(() => {
    while (sent < mono.length && sent / buffer.sampleRate < clock() + own.delay + AHEAD_S) {
      own.send(mono.subarray(sent, sent + piece));
      sent += piece;
    }
    if (sent >= mono.length) { own.end(); clearInterval(feed); }
  }, 50);
  track = { track: own, clock, close: () => { clearInterval(feed); source.stop(); own.socket.close(); context.close(); } };
  $("stop").disabled = false;
}
window.playBuffer = playBuffer;

$("mic").onclick = async () => {
  stop();
  try {
    const input = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true } });
    const context = new AudioContext();
    const own = new Track(context.sampleRate);
    await own.ready;
    const code = `registerProcessor("pcm", class extends AudioWorkletProcessor {
      constructor() { super(); this.kept = new Float32Array(${PIECE}); this.count = 0; }
      process([input]) {
        for (const sample of input[0] ?? []) {
          this.kept[this.count++] = sample;
          if (this.count === ${PIECE}) { this.port.postMessage(this.kept.slice()); this.count = 0; }
        }
        return true;
      }
    });`;
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
    const worklet = new AudioWorkletNode(context, "pcm");
    worklet.port.onmessage = (event) => own.send(event.data);
    context.createMediaStreamSource(input).connect(worklet);
    track = { track: own, clock: () => Infinity, close: () => { input.getTracks().forEach((t) => t.stop()); own.socket.close(); context.close(); } };
    $("stop").disabled = false;
    state("Listening.");
  } catch (error) {
    state(`Microphone: ${error.message}`);
  }
};

// ---- pictures

function draw() {
  const canvas = $("head");
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== width * devicePixelRatio || canvas.height !== height * devicePixelRatio) {
    renderer.setPixelRatio(devicePixelRatio);
    renderer.setSize(width, height, false);
    camera.aspect = width / Math.max(height, 1);
    camera.updateProjectionMatrix();
  }
  if (track) track.track.show(track.clock());
  renderer.render(scene, camera);
  requestAnimationFrame(draw);
}
requestAnimationFrame(draw);
