// The live model: emotion sliders, and the animation that is computed while one watches.

import { getJson, postJson } from "./data.js";

const DEBOUNCE_MS = 180, POLL_MS = 120;
const $ = (id) => document.getElementById(id);

export class LivePanel {
  // `show(info)` is called with a track's state, `first` true when it is a new one; `fail(text)` with what went wrong.
  constructor(show, fail) {
    Object.assign(this, { show, fail });
    this.about = null;
    this.weights = {};
    this.request = 0; // number of the newest request; answers to older ones are dropped
    this.shot = null;
    this.computing = false;
    $("rerun").onclick = () => this.run();
    $("calm").onclick = () => { this.set({}); this.run(); };
    $("model-actor").onchange = $("post").onchange = () => this.run();
  }

  get ready() { return this.about !== null && this.about.state === "ready"; }

  // Waits until the model is loaded.
  async open(about) {
    if (!about) return;
    $("model").hidden = false;
    for (;;) {
      this.about = about;
      $("model-state").textContent = { loading: "Loading the model…", ready: "", failed: `Cannot load the model: ${about.error}` }[about.state];
      if (about.state !== "loading") break;
      await new Promise((done) => setTimeout(done, 300));
      about = await getJson("api/model");
    }
    if (!this.ready) return;
    $("model-state").textContent = "Move a slider to animate the shot again.";
    $("rerun").hidden = $("calm").hidden = $("post-row").hidden = false;
    const choice = $("model-actor");
    choice.replaceChildren(...about.actors.map((name) => new Option(name, name)));
    $("model-actor-row").hidden = about.actors.length < 2;
    $("emotions").replaceChildren(...about.emotions.map((name) => this.slider(name)));
    this.set(about.default);
  }

  slider(name) {
    const row = document.createElement("label"), text = document.createElement("span");
    const input = document.createElement("input"), value = document.createElement("output");
    row.className = "slider";
    text.textContent = name;
    Object.assign(input, { type: "range", min: 0, max: 1, step: 0.05, value: 0 });
    input.dataset.emotion = name;
    input.oninput = () => {
      this.weights[name] = Number(input.value);
      value.textContent = Number(input.value).toFixed(2);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.run(), DEBOUNCE_MS);
    };
    row.append(text, input, value);
    return row;
  }

  // Puts the sliders to {emotion: weight}; emotions that the model does not know are left out.
  set(weights) {
    this.weights = {};
    for (const input of document.querySelectorAll("[data-emotion]")) {
      const weight = weights[input.dataset.emotion] || 0;
      if (weight) this.weights[input.dataset.emotion] = weight;
      input.value = weight;
      input.nextSibling.textContent = Number(weight).toFixed(2);
    }
  }

  // Goes to another shot; with `start` its emotion is taken over. Nothing runs yet.
  to(shot) {
    clearTimeout(this.timer);
    this.request++;
    this.shot = shot;
    this.progress(null);
    $("model-time").textContent = "";
    if (!this.ready || !shot) return;
    if (shot.start) this.set(shot.start);
    if (this.about.actors.includes(shot.actor)) $("model-actor").value = shot.actor;
  }

  async run() {
    if (!this.ready || !this.shot || !this.shot.sound) return;
    const request = ++this.request, asked = performance.now();
    const actor = $("model-actor").value || this.about.actors[0];
    this.progress(0);
    try {
      let info = await postJson("api/animate", JSON.stringify({ shot: this.shot.id, emotion: this.weights, actor, postprocess: $("post").checked }));
      let first = true;
      while (request === this.request) {
        if (info.error) throw new Error(info.error);
        this.show(info, first, actor, asked);
        first = false;
        this.progress(info.finished ? null : info.ready / info.num_frames);
        if (info.finished) {
          const seconds = info.num_frames / info.fps;
          $("model-time").textContent = `${seconds.toFixed(1)} s of sound in ${info.compute_s.toFixed(2)} s (${(seconds / Math.max(info.compute_s, 1e-3)).toFixed(1)}× real time)`;
          return;
        }
        await new Promise((done) => setTimeout(done, POLL_MS));
        if (request === this.request) info = await getJson(`api/tracks/${info.id}`);
      }
    } catch (error) {
      if (request !== this.request) return;
      this.progress(null);
      this.fail(error.message);
    }
  }

  progress(share) {
    this.computing = share !== null;
    $("progress").hidden = share === null;
    $("progress").value = share || 0;
  }
}
