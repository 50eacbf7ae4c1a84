// Making and editing: marks on a strip above the sound, and the takes that the server makes of them.

import { getJson, postJson } from "./data.js";

const $ = (id) => document.getElementById(id);
const POLL_MS = 250, EDGE_PX = 5;

export class EditPanel {
  // `act`: show(info, actor, base) puts a take on the stage, back() the shot's own animation; place() is the moment shown,
  // {frame, count, start_s, fps, duration} of the animation on the stage or null; fail(text), say(text), draw().
  constructor(act) {
    Object.assign(this, { act, about: null, shot: null, request: 0, computing: false });
    this.clear();
    $("edit-generate").onclick = () => this.make(true);
    $("edit-run").onclick = () => this.make(false);
    $("edit-undo").onclick = () => this.undo();
    $("edit-keep").onclick = () => this.keep();
    $("edit-key").onclick = () => this.mark();
    $("edit-clear").onclick = () => { this.ranges = []; this.keys = []; this.paint(); };
    for (const name of ["takes", "guidance"]) $(`edit-${name}`).oninput = () => { $(`edit-${name}-value`).textContent = $(`edit-${name}`).value; };
    this.wireStrip();
  }

  clear() {
    this.ranges = []; // of frames [first, last]
    this.keys = []; // frames whose poses stay
    this.versions = []; // {request, takes, take}, the newest last
    this.drag = null;
  }

  open(about) {
    this.about = about;
    $("edit").hidden = $("strip").hidden = !about;
    document.body.classList.toggle("editing", Boolean(about));
    if (!about) return;
    $("edit-takes").max = about.takes;
    $("edit-partner-row").hidden = !about.partner;
  }

  // Goes to another shot.
  to(shot, shots) {
    this.request++;
    this.shot = shot;
    this.clear();
    if (!this.about || !shot) return;
    const names = this.about.parts[shot.actor] || [];
    $("edit-parts").replaceChildren(...names.map((name) => {
      const row = document.createElement("label"), box = document.createElement("input");
      row.className = "check";
      Object.assign(box, { type: "checkbox", checked: true });
      box.dataset.part = name;
      row.append(box, name);
      return row;
    }));
    const others = shots.filter((s) => s.sound && s.id !== shot.id);
    $("edit-partner").replaceChildren(new Option("nobody", ""), ...others.map((s) => new Option(s.name, s.id)));
    this.state();
  }

  get current() { return this.versions[this.versions.length - 1] || null; }

  get parts() {
    const boxes = [...$("edit-parts").querySelectorAll("input")];
    return boxes.every((box) => box.checked) ? null : boxes.filter((box) => box.checked).map((box) => box.dataset.part);
  }

  // ---- marks

  mark() {
    const at = this.act.place();
    if (!at) return;
    this.keys = this.keys.includes(at.frame) ? this.keys.filter((k) => k !== at.frame) : [...this.keys, at.frame].sort((a, b) => a - b);
    this.state();
  }

  // Begins or ends the range at the moment shown.
  edge(which) {
    const at = this.act.place();
    if (!at) return;
    const [first, last] = this.ranges[this.ranges.length - 1] || [0, at.count - 1];
    const range = which === "in" ? [at.frame, Math.max(last, at.frame)] : [Math.min(first, at.frame), at.frame];
    this.ranges = [...this.ranges.slice(0, -1), range];
    this.state();
  }

  wireStrip() {
    const strip = $("strip");
    const frame = (event) => {
      const at = this.act.place(), box = strip.getBoundingClientRect();
      if (!at) return null;
      const time = ((event.clientX - box.left) / box.width) * at.duration;
      return Math.min(Math.max(Math.round((time - at.start_s) * at.fps), 0), at.count - 1);
    };
    strip.onpointerdown = (event) => {
      const at = frame(event);
      if (at === null || !this.act.editable()) return;
      const width = strip.clientWidth, place = this.act.place(), per = width / (place.duration * place.fps);
      const near = (edge) => Math.abs(edge - at) * per <= EDGE_PX;
      const k = this.ranges.findIndex(([a, b]) => near(a) || near(b));
      if (k >= 0) this.drag = { k, fixed: near(this.ranges[k][0]) ? this.ranges[k][1] : this.ranges[k][0] };
      else this.drag = { k: this.ranges.push([at, at]) - 1, fixed: at };
      strip.setPointerCapture(event.pointerId);
    };
    strip.onpointermove = (event) => {
      if (!this.drag) return;
      const at = frame(event);
      this.ranges[this.drag.k] = [Math.min(at, this.drag.fixed), Math.max(at, this.drag.fixed)];
      this.paint();
    };
    strip.onpointerup = () => {
      if (this.drag && this.ranges[this.drag.k][0] === this.ranges[this.drag.k][1]) this.ranges.splice(this.drag.k, 1); // a click takes it away
      this.drag = null;
      this.state();
    };
  }

  paint() {
    const canvas = $("strip"), ratio = Math.min(devicePixelRatio, 2), at = this.act.place();
    [canvas.width, canvas.height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
    const g = canvas.getContext("2d");
    g.fillStyle = "#22262e";
    g.fillRect(0, 0, canvas.width, canvas.height);
    if (!at) return;
    const x = (frame) => ((at.start_s + frame / at.fps) / at.duration) * canvas.width;
    g.fillStyle = "#f2a27e88";
    for (const [a, b] of this.ranges) g.fillRect(x(a), 0, Math.max(x(b + 1) - x(a), 2 * ratio), canvas.height);
    g.fillStyle = "#ffffff";
    const half = canvas.height / 2 - 1;
    for (const key of this.keys) {
      const c = x(key);
      g.beginPath();
      g.moveTo(c, half - half + 1); g.lineTo(c + half * 0.7, half + 1); g.lineTo(c, 2 * half + 1); g.lineTo(c - half * 0.7, half + 1);
      g.fill();
    }
  }

  // Buttons and texts as they fit what there is.
  state() {
    if (!this.about) return;
    const marked = [...this.ranges.map(([a, b]) => `${a}–${b}`), ...(this.keys.length ? [`keys ${this.keys.join(", ")}`] : [])];
    const can = this.shot && this.shot.sound && !this.computing, edits = can && this.act.editable();
    $("edit-marks").textContent = marked.length ? `Frames ${marked.join("; ")}` : edits ? "Drag over the strip above the sound to mark what is made anew." : "Generate an animation to edit it.";
    $("edit-generate").disabled = !can;
    $("edit-run").disabled = !edits || !(this.ranges.length || this.keys.length || this.parts);
    $("edit-undo").disabled = this.computing || !this.current;
    $("edit-keep").disabled = this.computing || !this.current;
    $("edit-key").disabled = !edits;
    const takes = this.current ? this.current.takes : [];
    $("edit-choose").hidden = takes.length < 2;
    $("edit-choose").replaceChildren(...takes.map((_, k) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: `Take ${k + 1}` });
      button.setAttribute("aria-pressed", String(k === this.current.take));
      button.onclick = () => { this.current.take = k; this.showCurrent(); };
      return button;
    }));
    $("edit-progress").hidden = !this.computing;
    this.paint();
  }

  // ---- making

  async make(whole) {
    if (this.computing || !this.shot) return;
    const request = ++this.request, base = this.current && !whole ? [this.current.request, this.current.take] : null;
    const partner = $("edit-partner").value;
    const wish = {
      shot: this.shot.id, whole, base, ranges: this.ranges, keys: this.keys.map((k) => [k, k]), parts: this.parts,
      takes: Number($("edit-takes").value), guidance: Number($("edit-guidance").value), seed: Math.floor(Math.random() * 2 ** 31),
      partner: partner === "" ? null : Number(partner),
    };
    this.computing = true;
    this.state();
    const started = performance.now();
    try {
      const { request: number } = await postJson("api/make", JSON.stringify(wish));
      for (;;) {
        const found = await getJson(`api/made/${number}`);
        if (found.state === "failed") throw new Error(found.error.join("\n"));
        if (found.state === "ready") {
          if (request !== this.request) return;
          this.versions.push({ request: number, takes: found.takes, take: 0 });
          this.act.say(`${found.takes.length === 1 ? "made" : `${found.takes.length} takes made`} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
          return this.showCurrent();
        }
        await new Promise((done) => setTimeout(done, POLL_MS));
      }
    } catch (error) {
      this.act.fail(error.message);
    } finally {
      this.computing = false;
      this.state();
    }
  }

  // What was changed last is compared with what it was made of.
  showCurrent() {
    const now = this.current, before = this.versions[this.versions.length - 2];
    if (now) this.act.show(now.takes[now.take], before ? before.takes[before.take] : null);
    else this.act.back();
    this.state();
  }

  undo() {
    this.versions.pop();
    this.showCurrent();
  }

  async keep() {
    try {
      const { run } = await postJson("api/keep", JSON.stringify({ request: this.current.request }));
      this.act.say(`kept as inference run ${run}`);
    } catch (error) {
      this.act.fail(error.message);
    }
  }
}
