// Making and editing: marks on a strip above the sound, and the takes that the server makes of them.

import { getJson, postJson } from "./data.js";

const $ = (id) => document.getElementById(id);
const POLL_MS = 250, EDGE_PX = 5;

// A slider for how strongly a condition counts.
function scaleRow(name, scale) {
  const row = document.createElement("label"), text = document.createElement("span"), input = document.createElement("input");
  row.className = "slider";
  text.textContent = { audio: "Sound", partner: "Partner", style: "Style" }[name];
  Object.assign(input, { type: "range", min: 0, max: Math.max(5, scale), step: 0.1, value: scale });
  input.dataset.scale = name;
  row.append(text, input, document.createElement("output"));
  return row;
}

function set(id, value) {
  $(id).value = value;
  $(id).nextElementSibling.textContent = $(id).value;
}

export class EditPanel {
  // `act`: show(version, before) puts a take on the stage, with the voice of the partner's shot if there is one, back() the shot's own animation; place() is the moment shown,
  // {frame, count, start_s, fps, duration} of the animation on the stage or null; both(partner) whether the other side is made too; fail(text), say(text), draw().
  constructor(act) {
    Object.assign(this, { act, about: null, shot: null, request: 0, computing: false });
    this.clear();
    $("edit-generate").onclick = () => this.make(true);
    $("edit-run").onclick = () => this.make(false);
    $("edit-undo").onclick = () => this.undo();
    $("edit-keep").onclick = () => this.keep();
    $("edit-key").onclick = () => this.mark();
    $("edit-clear").onclick = () => { this.ranges = []; this.keys = []; this.paint(); };
    $("edit").oninput = (event) => this.tell(event.target);
    $("edit-guide").onchange = () => this.guided();
    $("edit-answered").onchange = () => this.tellRecording();
    $("edit-actor").onchange = () => this.listParts();
    this.wireStrip();
  }

  clear() {
    this.ranges = []; // of frames [first, last]
    this.keys = []; // frames whose poses stay
    this.versions = []; // {request, takes, others, take, actor, partner}, the newest last; `others` are of the other side
    this.drag = null;
  }

  open(about) {
    this.about = about;
    $("edit").hidden = $("strip").hidden = !about;
    document.body.classList.toggle("editing", Boolean(about));
    if (!about) return;
    for (const name of ["takes", "steps"]) $(`edit-${name}`).max = about.most[name];
    $("edit-guidance").replaceChildren(...Object.entries(about.guidance).map(([name, scale]) => scaleRow(name, scale)));
    $("edit-guide").replaceChildren(new Option("none", ""), ...about.guides.map(({ name }) => new Option(name, name)));
    $("edit-guide").value = about.guide || "";
    $("edit-guide-rows").hidden = !about.guides.length;
    $("edit-partner-rows").hidden = !about.partner;
    $("edit-actor").replaceChildren(...Object.keys(about.parts).map((name) => new Option(name, name)));
    for (const input of $("edit").querySelectorAll("input[type=range]")) this.tell(input);
    if (/^\d+$/.test(about.steps)) set("edit-steps", Math.min(Number(about.steps), Number($("edit-steps").max)));
    else $("edit-steps").nextElementSibling.textContent = about.steps || "all"; // until it is moved
    this.steps = null;
    this.guided();
  }

  // Writes a slider's value beside it.
  tell(input) {
    if (input.type !== "range") return;
    input.nextElementSibling.textContent = input.value;
    if (input.id === "edit-steps") this.steps = Number(input.value);
  }

  // The sliders of the guide that is chosen, as its config has them.
  guided() {
    const guide = this.about.guides.find(({ name }) => name === $("edit-guide").value);
    for (const [id, value] of [["edit-top-p", guide && guide.top_p], ["edit-temperature", guide && guide.temperature]]) {
      $(id).disabled = !guide;
      if (guide) set(id, value);
    }
  }

  // Goes to another shot.
  to(shot, shots) {
    this.request++;
    this.shot = shot;
    this.clear();
    if (!this.about || !shot) return;
    $("edit-actor-row").hidden = $("edit-actor").length < 2 || shot.truth || shot.prediction || shot.source; // a sound of the user's
    this.listParts();
    const sounds = shots.filter((s) => s.sound), answered = $("edit-answered").value;
    const called = (s) => ($("edit-actor").length > 1 && (s.truth || s.prediction) ? `${s.name}, ${s.actor}` : s.name);
    const list = (first, some) => [new Option(first, ""), ...some.map((s) => new Option(called(s), s.id))];
    $("edit-partner").replaceChildren(...list("as recorded", sounds.filter((s) => s.id !== shot.id)));
    $("edit-answered").replaceChildren(...list("nobody", sounds));
    $("edit-answered").value = answered;
    this.tellRecording();
    this.state();
  }

  // Who moves: whom the shot shows, or whom the user chose for a sound.
  get actor() { return $("edit-actor-row").hidden ? this.shot.actor : $("edit-actor").value; }

  listParts() {
    const names = this.about.parts[this.actor] || [];
    $("edit-parts").replaceChildren(...names.map((name) => {
      const row = document.createElement("label"), box = document.createElement("input");
      row.className = "check";
      Object.assign(box, { type: "checkbox", checked: true });
      box.dataset.part = name;
      row.append(box, name);
      return row;
    }));
  }

  get current() { return this.versions[this.versions.length - 1] || null; }

  // The shot whose voice plays while one records, and who hears it; null for none.
  get answered() {
    if (!this.about || !this.about.partner || $("edit-answered").value === "") return null;
    return { shot: Number($("edit-answered").value), actor: $("edit-actor").value };
  }

  tellRecording() {
    $("edit-record-about").textContent = this.answered === null
      ? "Record: you speak alone. The animation is made when you stop."
      : "Record: you hear the partner and answer. The animation is made when you stop; headphones keep the partner out of your microphone.";
  }

  // Makes an animation of what was recorded, to the voice that was heard meanwhile.
  recorded(answered) {
    $("edit-partner").value = answered === null ? "" : String(answered.shot);
    return this.make(true);
  }

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
    const partner = $("edit-partner").value === "" ? null : Number($("edit-partner").value), guide = $("edit-guide").value || null;
    const seed = $("edit-seed").value === "" ? Math.floor(Math.random() * 2 ** 31) : Number($("edit-seed").value);
    const scales = [...$("edit-guidance").querySelectorAll("input")].map((input) => [input.dataset.scale, Number(input.value)]);
    const actor = whole ? this.actor : this.current ? this.current.actor : this.shot.actor;
    const wish = {
      shot: this.shot.id, actor, whole, base, ranges: this.ranges, keys: this.keys.map((k) => [k, k]), parts: this.parts, partner, both: whole && this.act.both(partner),
      takes: Number($("edit-takes").value), steps: this.steps, seed, guidance: Object.fromEntries(scales),
      guide, top_p: guide && Number($("edit-top-p").value), temperature: guide && Number($("edit-temperature").value),
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
          const before = this.current, others = whole || !before ? found.others : found.takes.map(() => before.others[before.take]);
          this.versions.push({ request: number, takes: found.takes, others, take: 0, partner, actor });
          this.act.say(`${found.takes.length === 1 ? "made" : `${found.takes.length} takes made`} in ${((performance.now() - started) / 1000).toFixed(1)} s, seed ${seed}`);
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
    if (now) this.act.show(now, before || null);
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
