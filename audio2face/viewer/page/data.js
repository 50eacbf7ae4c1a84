// Talks to the server, and keeps pieces of animations around the moment that is shown.

const KEPT_BYTES = 200e6; // for each track, of which four may be shown
const AHEAD_S = 3; // pieces are fetched this far ahead of the moment shown
const AT_ONCE = 3;

export async function getJson(address) {
  return readJson(await fetch(address));
}

export async function postJson(address, body, name) {
  const headers = name === undefined ? { "Content-Type": "application/json" } : { "X-Name": encodeURIComponent(name) };
  return readJson(await fetch(address, { method: "POST", headers, body }));
}

async function readJson(response) {
  const value = await response.json().catch(() => ({ error: [`${response.status} ${response.statusText}`] }));
  if (!response.ok) throw new Error((value.error || [response.statusText]).join("\n"));
  return value;
}

export async function getTriangles(actor, mesh) {
  const response = await fetch(`triangles/${actor}/${mesh}`);
  return new Uint32Array(await response.arrayBuffer());
}

// Colours of a mesh's vertices, 3 bytes each.
export async function getColours(actor, mesh) {
  const response = await fetch(`colours/${actor}/${mesh}`);
  return new Uint8Array(await response.arrayBuffer());
}

// Pairs of points that a figure's lines join.
export async function getBones(actor) {
  const response = await fetch(`bones/${actor}`);
  return new Uint32Array(await response.arrayBuffer());
}

// Frames of one track. `info` is what the server says of it; a track that is being computed grows.
export class Track {
  constructor(info, changed) {
    this.info = info;
    this.changed = changed; // called when a piece has arrived
    this.pieces = new Map();
    this.pending = new Set();
    this.bytes = 0;
    this.problem = "";
    this.gone = false;
    this.wanted = [0, 0]; // pieces around the moment shown
  }

  get lastFrame() { return this.info.num_frames - 1; }
  get end_s() { return this.info.start_s + this.info.num_frames / this.info.fps; }
  points(name) { return (this.info.channels.find((c) => c.name === name) || { points: 0 }).points; }

  // The frame, with its fraction, that stands at a time of the sound.
  place(time) {
    return Math.min(Math.max((time - this.info.start_s) * this.info.fps, 0), this.lastFrame);
  }

  // Whether the frames around a time are here; asks for them, and for what follows, when they are not.
  ready(time) {
    const first = this.place(time);
    const size = this.info.chunk_frames;
    const from = Math.floor(first / size);
    this.wanted = [from, Math.floor(Math.min(first + Math.max(1, AHEAD_S * this.info.fps), this.lastFrame) / size)];
    this.askForWanted();
    const next = Math.floor(Math.min(Math.floor(first) + 1, this.lastFrame) / size);
    return this.pieces.has(from) && this.pieces.has(next);
  }

  askForWanted() {
    const [from, to] = this.wanted;
    for (let k = from; k <= to && this.pending.size < AT_ONCE; k++) this.ask(k, from);
  }

  async ask(k, around) {
    const end = Math.min((k + 1) * this.info.chunk_frames, this.info.num_frames);
    if (this.pieces.has(k) || this.pending.has(k) || this.problem || this.gone) return;
    if (end > this.info.ready) return; // not computed yet
    this.pending.add(k);
    try {
      const response = await fetch(`data/${this.info.id}/${k}`);
      if (response.status === 422) this.problem = (await response.json()).error.join("\n");
      else if (!response.ok) this.gone = true; // another animation has taken its place
      else this.keep(k, Number(response.headers.get("X-Frames")), await response.arrayBuffer(), around);
    } catch (error) {
      this.problem = "the viewer has been stopped";
    } finally {
      this.pending.delete(k);
      this.changed();
      this.askForWanted();
    }
  }

  // What the server has found out since about a track that is being computed.
  learn(info) {
    if (info.num_frames !== this.info.num_frames) this.pieces.delete(Math.floor(this.lastFrame / info.chunk_frames));
    this.info = info;
  }

  keep(k, count, buffer, around) {
    const piece = { count };
    let at = 0;
    for (const { name, points } of this.info.channels) {
      const head = new Float32Array(buffer, at, 6);
      const values = new Uint16Array(buffer, at + 24, count * points * 3);
      piece[name] = { low: head.slice(0, 3), step: head.slice(3), values };
      at += 24 + 4 * Math.ceil((values.length * 2) / 4);
    }
    piece.bytes = buffer.byteLength;
    this.pieces.set(k, piece);
    this.bytes += piece.bytes;
    while (this.bytes > KEPT_BYTES && this.pieces.size > 4) {
      const far = [...this.pieces.keys()].reduce((a, b) => (Math.abs(b - around) > Math.abs(a - around) ? b : a));
      this.bytes -= this.pieces.get(far).bytes;
      this.pieces.delete(far);
    }
  }

  // Points of a channel at a time into `out`, between frames by a straight line. The frames must be ready.
  read(name, time, out) {
    const place = this.place(time);
    const first = Math.floor(place);
    this.frame(name, first, out, 1, false);
    const mix = place - first;
    if (mix > 1e-4 && first < this.lastFrame) {
      for (let i = 0; i < out.length; i++) out[i] *= 1 - mix;
      this.frame(name, first + 1, out, mix, true);
    }
  }

  frame(name, frame, out, weight, add) {
    const size = this.info.chunk_frames, points = out.length / 3;
    const piece = this.pieces.get(Math.floor(frame / size));
    const { low, step, values } = piece[name];
    for (let axis = 0; axis < 3; axis++) {
      const base = low[axis] * weight, unit = step[axis] * weight;
      const at = (axis * piece.count + (frame % size)) * points;
      if (add) for (let i = 0; i < points; i++) out[3 * i + axis] += base + unit * values[at + i];
      else for (let i = 0; i < points; i++) out[3 * i + axis] = base + unit * values[at + i];
    }
  }
}
