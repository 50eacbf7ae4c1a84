// The page: shots, playback and display. `window.viewer` exposes what is shown, for tests and the curious.

import { Clock } from "./clock.js";
import { wireControls } from "./controls.js";
import { Curves } from "./curves.js";
import { getBones, getColours, getJson, getTriangles, postJson, Track } from "./data.js";
import { EditPanel } from "./edit.js";
import { LivePanel } from "./model.js";
import { drawWave, legendBar, listFacts } from "./small.js";
import { Recorder, soundBytes } from "./sound.js";
import { paintErrors, Stage } from "./stage.js";

const $ = (id) => document.getElementById(id);
const SIDES = ["truth", "prediction"];
const SLOW_MS = 60, SLOW_COUNT = 5; // pictures that take longer are drawn with fewer pixels

let scene = null; // what the server has: actors, shots, model
let shot = null; // the open one
let opening = 0; // requests for shots that are not the newest are dropped
let mode = "both";
let framed = null; // actor that the camera was last put in front of
let dirty = true;
let drawn = 0, times = [], firstDrawn = 0;
const tracks = { truth: null, prediction: null };
const guests = { truth: null, prediction: null }; // tracks of the other person of a conversation, who stands beside the first
let inviting = 0; // as `opening`, of guests
const faces = new Map(); // triangles, colours and bones by actor
const problems = [];

const redraw = () => { dirty = true; };
const clock = new Clock(() => { redraw(); controls(); });
const stage = startStage();
const curves = new Curves($("curves"), $("curve-names"), $("curve-hover"), (time) => clock.seek(time));
const recorder = new Recorder();
const live = new LivePanel(showLive, (text) => say(text, true));
const edit = new EditPanel({ show: showMade, back: showOwn, both: wantsBoth, place: placeShown, editable, say, fail: (text) => say(text, true) });
let own = null; // {truth, prediction}: the tracks that the open shot came with
let incoming = null; // a live track that is not on the stage yet

function startStage() {
  try {
    return new Stage($("canvas"), redraw);
  } catch (error) {
    $("empty").hidden = false;
    $("empty").textContent = "This browser cannot draw in 3D (WebGL 2 is missing or disabled).";
    throw error;
  }
}

function say(text, bad = false) {
  $("notice").textContent = $("notice").title = text;
  $("notice").classList.toggle("bad", bad);
  if (bad) problems.push(text);
}

// ---- shots

function listShots() {
  const word = $("filter").value.toLowerCase(), actor = $("actor").value;
  const items = scene.shots.filter((s) => (!actor || s.actor === actor) && `${s.name} ${s.emotion} ${s.note}`.toLowerCase().includes(word));
  $("shots").replaceChildren(...items.map((s) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const name = document.createElement("span"), about = document.createElement("small");
    name.textContent = name.title = s.name;
    about.textContent = [scene.actors.length > 1 ? s.actor : "", s.emotion, s.note].filter(Boolean).join(" · ");
    button.type = "button";
    button.dataset.shot = s.id;
    button.append(name, about);
    button.setAttribute("aria-current", String(shot !== null && s.id === shot.id));
    button.onclick = () => openShot(s.id);
    item.append(button);
    return item;
  }));
}

function neighbour(step) {
  const all = [...$("shots").querySelectorAll("button")].map((b) => Number(b.dataset.shot));
  const next = all[all.indexOf(shot ? shot.id : -1) + step];
  if (next !== undefined) openShot(next);
}

async function openShot(id) {
  const asked = ++opening, item = scene.shots[id];
  clock.pause();
  try {
    const about = await getJson(`api/shots/${id}`);
    if (asked !== opening) return;
    shot = { ...item, ...about, name: item.name };
    incoming = null;
    for (const side of SIDES) [tracks[side], guests[side]] = [about[side] ? new Track(about[side], redraw) : null, null];
    own = { ...tracks };
    const ends = SIDES.map((side) => (tracks[side] ? tracks[side].end_s : 0));
    clock.open(item.sound && about.duration_s ? soundOf(id) : "", about.duration_s || Math.max(...ends));
    curves.clear();
    curves.duration = clock.duration || 1;
    say(about.problems.join("; "), about.problems.length > 0);
    live.to(item);
    await invite(null);
    if (asked !== opening) return;
    edit.to(item, scene.shots);
    listShots();
    waveform();
    facts();
    if (!tracks.prediction && item.sound) live.run();
    loadCurves();
    dirty = true;
  } catch (error) {
    if (asked === opening) say(error.message, true);
  }
}

async function partsOf(name) {
  if (!faces.has(name)) {
    const at = scene.actors.findIndex((a) => a.name === name), found = { triangles: {}, colours: {}, bones: null };
    const about = at < 0 ? { triangles: {}, coloured: [], bones: 0 } : scene.actors[at];
    for (const mesh of Object.keys(about.triangles)) found.triangles[mesh] = await getTriangles(at, mesh);
    for (const mesh of about.coloured) found.colours[mesh] = await getColours(at, mesh);
    if (about.bones) found.bones = await getBones(at);
    faces.set(name, found);
  }
  const known = faces.get(name); // a pane may turn its triangles round
  return { ...known, triangles: Object.fromEntries(Object.entries(known.triangles).map(([mesh, t]) => [mesh, t.slice()])) };
}

// Makes the panes fit the tracks, and shows those that there are.
async function arrange() {
  for (const { person, there } of SIDES.flatMap(peopleOf)) {
    const track = there();
    if (track === person.track) continue;
    const actor = actorOf(track), eyes = (scene.actors.find((a) => a.name === actor) || {}).eyes;
    const parts = track ? await partsOf(actor) : { triangles: {}, colours: {}, bones: null };
    if (track !== there()) return;
    const points = track ? Object.fromEntries(track.info.channels.map((c) => [c.name, c.points])) : {};
    person.open(track, parts, points, eyes);
  }
  choosePanes();
  applyDisplay();
}

const actorOf = (track) => (track && track.actor) || (shot && shot.actor);

// Who stands in a pane, and the track of each that there is.
function peopleOf(side) {
  const { host, guest } = stage.panes[side];
  return [{ person: host, there: () => tracks[side] }, { person: guest, there: () => tracks[side] && guests[side] }];
}

// ---- the other person of a conversation

// Whether the other side is made with the first, which hears the shot `partner` or, null, whom it was recorded with.
function wantsBoth(partner) {
  return $("both").checked && (partner !== null || shot.partner);
}

// Brings in the other person, if there is one and both are to be seen: as made with the version that is shown, else as captured.
async function invite(version) {
  const asked = ++inviting, on = $("both").checked && shot, partner = version ? version.partner : null;
  const find = (address) => getJson(address).catch((error) => { say(error.message, true); return null; });
  const recorded = on && shot.partner ? await find(`api/shots/${shot.id}/partner`) : null;
  const heard = on && partner !== null ? await find(`api/partner/${partner}/${numberOf(version.actor)}`) : recorded;
  if (asked !== inviting) return;
  const made = (on && version && version.others[version.take]) || null;
  seat("truth", own && own.truth ? recorded && { ...recorded.truth, actor: recorded.actor } : made);
  seat("prediction", made || (heard && { ...(heard.prediction || heard.truth), actor: heard.actor, captured: !heard.prediction }));
  $("both-row").hidden = !shot || !(shot.partner || partner !== null || (shot.sound && scene.studio && scene.studio.partner));
  tellBoth(on && !guests.truth && !guests.prediction, partner !== null || shot.partner, heard);
  await arrange();
}

function seat(side, info) {
  if (!info || info.id === undefined) guests[side] = null;
  else if (!guests[side] || guests[side].info.id !== info.id) guests[side] = Object.assign(new Track(info, redraw), { actor: info.actor });
}

function tellBoth(alone, talks, heard) {
  const who = talks ? `${(heard && heard.actor) || "The partner"} has no motion here` : `nobody talks to ${shot.actor || "the actor"} here`;
  const more = talks && scene.studio && scene.studio.partner ? " Generate all makes the other side." : "";
  $("both-about").hidden = !alone;
  $("both-about").textContent = alone ? `${who[0].toUpperCase()}${who.slice(1)}: one person is shown.${more}` : "";
}

function choosePanes() {
  const there = SIDES.filter((side) => tracks[side]);
  const wanted = there.filter((side) => mode === "both" || mode === side);
  stage.shown = wanted.length ? wanted : there.length ? there : ["prediction"];
  for (const button of $("mode").children) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === (there.length === 2 ? mode : there[0])));
    button.disabled = there.length < 2;
  }
  const meshes = SIDES.flatMap(peopleOf).flatMap(({ person }) => Object.entries(person.meshes)), parts = new Set(meshes.map(([part]) => part));
  $("wireframe-row").hidden = !meshes.some(([, mesh]) => mesh.triangles);
  for (const row of document.querySelectorAll("[data-part]")) row.hidden = !parts.has(row.dataset.part);
  $("errors-row").hidden = !comparable();
  $("curves-row").hidden = !SIDES.some((side) => tracks[side] && tracks[side].info.has_curves);
  labels();
  redraw();
}

function comparable() {
  const { truth, prediction } = tracks;
  if (!truth || !prediction || (prediction.actor || shot.actor) !== shot.actor) return false;
  return truth.points("skin") > 0 && truth.points("skin") === prediction.points("skin");
}

function labels() {
  const areas = stage.areas();
  for (const side of SIDES) {
    const at = stage.shown.indexOf(side), label = $(`label-${side}`);
    label.hidden = at < 0 || !tracks[side];
    if (at < 0) continue;
    const [x, y, width, height] = areas[at];
    label.style.left = `${x + width / 2}px`;
    label.style.top = `${stage.height - y - height + 10}px`;
  }
  $("label-truth").textContent = `truth${pairOf("truth")}`;
  $("label-prediction").textContent = `${tracks.prediction && tracks.prediction.live ? "prediction, live" : "prediction"}${pairOf("prediction")}`;
}

function pairOf(side) {
  const guest = tracks[side] && guests[side];
  return guest ? `: ${actorOf(tracks[side])} and ${guest.actor}${guest.info.captured ? " as captured" : ""}` : "";
}

// ---- live model

function showLive(info, first, actor, asked) {
  if (first) incoming = Object.assign(new Track(info, redraw), { live: true, actor, asked });
  const track = incoming && incoming.info.id === info.id ? incoming : tracks.prediction;
  if (!track || track.info.id !== info.id) return;
  track.learn(info);
  if (!clock.sounding) clock.duration = Math.max(clock.duration, track.end_s);
  takeIncoming();
  if (info.finished) { facts(); loadCurves(); }
  redraw();
}

// The new animation takes the stage when it has reached the moment that is shown.
function takeIncoming() {
  if (!incoming || !incoming.ready(Math.min(clock.time, clock.duration))) return;
  const track = incoming;
  incoming = null;
  tracks.prediction = track;
  arrange().then(() => { track.shown_after_ms = performance.now() - track.asked; facts(); redraw(); });
}

// ---- animations that are made and edited here

function showMade(version, before) {
  const made = ({ takes, take, actor }) => Object.assign(new Track(takes[take], redraw), { actor });
  tracks.truth = own.truth || (before ? made(before) : own.prediction);
  tracks.prediction = made(version);
  clock.hear(soundOf(shot.id, version.partner, version.actor));
  if (!clock.sounding) clock.duration = Math.max(clock.duration, tracks.prediction.end_s);
  invite(version).then(() => { facts(); loadCurves(); });
}

function showOwn() {
  Object.assign(tracks, own);
  clock.hear(soundOf(shot.id));
  invite(null).then(() => { facts(); loadCurves(); });
}

// The sound of a shot, with that of a partner's shot as an actor hears it.
function soundOf(id, partner = null, actor = "") {
  return partner === null ? `sound/${id}.wav` : `sound/${id}/${voiceOf(partner, actor)}`;
}

const voiceOf = (partner, actor) => `${partner}/${numberOf(actor)}.wav`;
const numberOf = (actor) => scene.actors.findIndex((a) => a.name === actor);

function editable() {
  return Boolean(shot && (shot.source || edit.current));
}

function placeShown() {
  const track = tracks.prediction || tracks.truth;
  if (!track || !clock.duration) return null;
  const { num_frames: count, start_s, fps } = track.info;
  return { frame: Math.round(track.place(clock.time)), count, start_s: start_s - 0.5 / fps, fps, duration: clock.duration };
}

async function loadCurves() {
  if (!$("curves-on").checked) return;
  for (const side of SIDES) {
    const track = tracks[side];
    if (!track || !track.info.has_curves || !track.info.finished) continue;
    if ((curves.sides[side] || {}).track === track) continue;
    say(`solving the ${side}'s blendshape weights…`);
    const found = await getJson(`api/curves/${track.info.id}`).catch((error) => say(error.message, true));
    if (found) say("");
    if (found && track === tracks[side]) curves.set(side, found, track);
  }
  redraw();
}

// Sends a sound without its first `from_s` seconds and opens it as a shot; gives whether that went well.
async function addSound(file, name, from_s = 0) {
  if (!live.ready && !scene.studio) return say("no model is loaded to animate a sound with", true), false;
  say(`reading ${name}…`);
  try {
    const added = await postJson("api/sounds", await soundBytes(file, from_s), name);
    scene.shots.push(added);
    $("filter").value = "";
    await openShot(added.id);
    return true;
  } catch (error) {
    say(error.message, true);
    return false;
  }
}

async function record() {
  try {
    if (recorder.on) {
      const { answered, early_s } = recorder, recorded = recorder.stop();
      showRecording();
      const added = await addSound(await recorded, `recording ${new Date().toLocaleTimeString()}`, early_s);
      if (added && scene.studio) await edit.recorded(answered);
    } else {
      clock.pause();
      const { answered } = edit;
      await recorder.start(answered && `partner/${voiceOf(answered.shot, answered.actor)}`);
      recorder.answered = answered;
      say(answered === null ? "recording; press again to stop" : "recording; the partner plays; press again to stop");
    }
  } catch (error) {
    say(error.message, true);
  }
  showRecording();
}

function showRecording() {
  $("record").classList.toggle("on", recorder.on);
  $("record-label").textContent = recorder.on ? "Stop" : "Record";
}

// ---- drawing

function tick() {
  requestAnimationFrame(tick);
  if (!scene) return;
  if (incoming) takeIncoming();
  const moving = clock.running && !clock.waiting;
  if (stage.coarse && !moving) { stage.setCoarse(false); dirty = true; }
  if (!dirty && !moving) return;
  dirty = false;
  if (moving && tooSlow()) stage.setCoarse(true);
  draw(Math.min(clock.time, clock.duration));
}

// Whether the last pictures took longer than SLOW_MS each.
function tooSlow() {
  const last = times.slice(-SLOW_COUNT);
  return last.length === SLOW_COUNT && last[SLOW_COUNT - 1] - last[0] > SLOW_MS * (SLOW_COUNT - 1);
}

function draw(time) {
  const needed = stage.shown.filter((side) => tracks[side] && tracks[side] === stage.panes[side].host.track);
  const both = needed.length === 1 && $("errors").checked && comparable() ? SIDES : needed;
  const people = both.flatMap(peopleOf).filter(({ person, there }) => there() && there() === person.track).map(({ person }) => person);
  const ready = people.map(({ track }) => track.ready(time)).every(Boolean);
  const problem = SIDES.flatMap(peopleOf).map(({ there }) => there() && there().problem).find(Boolean);
  if (problem && problem !== $("notice").textContent) say(problem, true);
  clock.wait(!ready && !problem && clock.running);
  $("busy").hidden = ready || Boolean(problem) || !needed.length;
  $("busy-text").textContent = live.computing ? "computing…" : "loading…";
  $("empty").hidden = needed.length > 0 || live.computing;
  if (!needed.length && !live.computing) $("empty").textContent = emptyText();
  if (ready) {
    for (const person of people) person.show(time);
    if (needed.length) aim();
    errors();
  }
  stage.render();
  position(time);
  count(ready && needed.length > 0);
}

function emptyText() {
  if (scene.studio) return shot ? "Generate all makes an animation of this sound." : "Drop a sound file here, or record one,\nto animate it.";
  if (!shot) return live.ready ? "Drop a sound file here, or record one,\nto animate it." : scene.model ? "Loading the model…" : "";
  return live.about && live.about.state === "loading" ? "Loading the model…" : problems[problems.length - 1] || "";
}

function aim() {
  const side = stage.shown.find((s) => stage.panes[s].guest.track) || stage.shown[0], { host, guest } = stage.panes[side];
  const people = [host, guest].map(({ track, meshes }) => `${track && actorOf(track)}/${Object.values(meshes).map((mesh) => mesh.values.length)}`);
  const key = [...people, guest.track ? stage.shown.length : ""].join(); // two people fill the width
  if (framed === key) return;
  framed = key;
  const [own, its] = [host, guest].map(({ track }) => (scene.actors.find((a) => a.name === actorOf(track)) || { mm: 1 }).mm);
  stage.stand(used(host), used(guest), its / own, Boolean(host.skin && guest.skin));
  stage.frame("front");
}

// What the picture has to hold: a figure, its body, and the positions that triangles use. Stray points of a mesh do not decide it.
function used({ meshes: { skin, body, figure } }) {
  return [...(skin ? surface(skin) : []), ...(body ? surface(body) : []), ...(figure ? figure.values : [])];
}

function surface({ values, triangles }) {
  if (!triangles) return values;
  const points = new Float32Array(triangles.length * 3);
  triangles.forEach((v, i) => { for (let c = 0; c < 3; c++) points[3 * i + c] = values[3 * v + c]; });
  return points;
}

function errors() {
  const on = $("errors").checked && comparable(), ours = stage.panes.prediction.host.skin, truth = stage.panes.truth.host.skin;
  $("legend").hidden = !on;
  $("most-row").hidden = !on;
  if (ours) ours.paint(on);
  if (!on || !truth) return;
  const { mm } = scene.actors.find((a) => a.name === shot.actor), most = Number($("most").value);
  const found = paintErrors(truth.values, ours.values, mm, most, ours.colours);
  $("legend-most").textContent = `${most} mm`;
  $("legend-values").textContent = `mean ${found.mean.toFixed(2)} mm, largest ${found.worst.toFixed(1)} mm`;
  stage.error = found;
}

function position(time) {
  $("scrub").value = time;
  $("clock").textContent = `${time.toFixed(2)} / ${clock.duration.toFixed(2)} s`;
  $("scrub").setAttribute("aria-valuetext", `${time.toFixed(2)} seconds`);
  if (!$("curves-panel").hidden) curves.draw(time);
}

function count(shown) {
  const now = performance.now();
  if (shown) { drawn++; if (!firstDrawn) firstDrawn = now; }
  times.push(now);
  while (times.length > SLOW_COUNT && times[0] < now - 1000) times.shift();
  const track = tracks[stage.shown[0]];
  if (track) $("stats").textContent = `frame ${Math.round(track.place(clock.time))} of ${track.info.num_frames}${clock.running && times.length > SLOW_COUNT ? ` · ${times.length} fps` : ""}`;
}

// ---- controls

function controls() {
  $("play").textContent = clock.running ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", clock.running ? "Pause" : "Play");
  $("scrub").max = clock.duration || 1;
}

function applyDisplay() {
  for (const { person: { meshes } } of SIDES.flatMap(peopleOf)) {
    for (const part of ["skin", "body"]) if (meshes[part]) meshes[part].wireframe($("wireframe").checked);
    for (const part of ["tongue", "eyes", "jaw", "body", "figure"]) if (meshes[part]) meshes[part].group.visible = $(part).checked;
    if (meshes.body && $("body").checked) meshes.figure.group.visible = false; // bones of another size stick out of it
  }
  $("most-value").textContent = `${$("most").value} mm`;
  redraw();
}

function step(frames) {
  const track = tracks[stage.shown[0]];
  if (!track) return;
  clock.pause();
  clock.seek(track.info.start_s + (Math.round(track.place(clock.time)) + frames + 0.001) / track.info.fps);
}

function look(view) {
  if (view === "reset") framed = null;
  else stage.frame(view);
  redraw();
}

function play() {
  if (clock.running) clock.pause();
  else clock.play().catch((error) => say(`cannot play the sound: ${error.message}`, true));
}

function showCurves() {
  $("curves-panel").hidden = !$("curves-on").checked;
  resize();
  loadCurves();
}

function showBoth() {
  invite(edit.current);
}

function setMode(chosen) {
  mode = chosen;
  framed = null;
  choosePanes();
}

function waveform() {
  drawWave((shot && shot.peaks) || []);
  edit.paint();
}

const facts = () => { if (shot) listFacts(shot, tracks); };

function resize() {
  stage.resize($("stage").clientWidth, $("stage").clientHeight);
  labels();
  waveform();
  redraw();
}

async function start() {
  const takesSounds = () => live.ready || Boolean(scene.studio);
  wireControls({ play, step, look, neighbour, record, addSound, listShots, applyDisplay, showCurves, setMode, showBoth, resize, waveform, takesSounds, edit }, clock);
  legendBar();
  resize();
  requestAnimationFrame(tick);
  scene = await getJson("api/scene");
  document.title = $("title").textContent = scene.title;
  say(scene.notices.join(" "));
  const names = [...new Set(scene.shots.map((s) => s.actor))];
  $("actor").hidden = names.length < 2;
  $("actor").replaceChildren(new Option("all actors", ""), ...names.map((name) => new Option(name, name)));
  edit.open(scene.studio);
  choosePanes();
  $("post").checked = !scene.shots.some((s) => s.truth);
  listShots();
  if (scene.shots.length) await openShot(0);
  if (scene.notices.length && !problems.length) say(scene.notices.join(" "));
  await live.open(scene.model);
  $("record").hidden = $("upload-label").hidden = !live.ready && !scene.studio;
  if (live.ready && shot) { live.to(shot); if (!tracks.prediction) live.run(); }
  redraw();
}

function checksum({ skin }) {
  return skin ? skin.values.reduce((sum, v, i) => sum + v * ((i % 97) + 1), 0) : 0;
}

window.viewer = {
  state: () => ({
    shot: shot && shot.name, shots: scene ? scene.shots.length : 0, time: clock.time, audio: clock.sounding ? clock.audio.currentTime : null,
    duration: clock.duration, playing: clock.running && !clock.waiting, waiting: clock.waiting, drawn, firstDrawn, picturesPerSecond: times.filter((t) => t > performance.now() - 1000).length,
    frame: Object.fromEntries(SIDES.map((side) => [side, tracks[side] ? tracks[side].place(clock.time) : null])),
    track: Object.fromEntries(SIDES.map((side) => [side, tracks[side] ? tracks[side].info : null])),
    checksum: Object.fromEntries(SIDES.map((side) => [side, checksum(stage.panes[side].host)])), shownAfter: tracks.prediction ? tracks.prediction.shown_after_ms : null,
    model: live.about && live.about.state, computing: live.computing, error: stage.error || null, problems: [...problems], curves: curves.names.length,
    edit: { ranges: edit.ranges, keys: edit.keys, versions: edit.versions.map((v) => v.takes.length), computing: edit.computing },
    guests: Object.fromEntries(SIDES.map((side) => [side, guests[side] && { ...guests[side].info, actor: guests[side].actor, at: guests[side].place(clock.time), sum: checksum(stage.panes[side].guest) }])),
    panes: [...stage.shown], busy: !$("busy").hidden, sound: clock.audio.getAttribute("src"),
  }),
};

start().catch((error) => say(error.message, true));
