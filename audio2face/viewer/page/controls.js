// Buttons, keys and dropped files, and what each of them does.

const $ = (id) => document.getElementById(id);

// `act` holds the functions of the page that are called.
export function wireControls(act, clock) {
  const speed = (by) => {
    const at = Math.min(Math.max($("speed").selectedIndex + by, 0), $("speed").length - 1);
    $("speed").selectedIndex = at;
    clock.setSpeed(Number($("speed").value));
  };
  $("play").onclick = act.play;
  $("loop").onclick = () => { clock.setLoop(!clock.looping); $("loop").setAttribute("aria-pressed", String(clock.looping)); };
  $("scrub").oninput = () => clock.seek(Number($("scrub").value));
  $("speed").onchange = () => speed(0);
  $("volume").oninput = () => { clock.audio.volume = Number($("volume").value); };
  $("filter").oninput = $("actor").onchange = act.listShots;
  for (const id of ["errors", "wireframe", "tongue", "eyes", "jaw", "body", "figure"]) $(id).onchange = act.applyDisplay;
  $("most").oninput = act.applyDisplay;
  $("curves-on").onchange = act.showCurves;
  $("both").onchange = act.showBoth;
  for (const button of $("mode").children) button.onclick = () => act.setMode(button.dataset.mode);
  for (const button of document.querySelectorAll("[data-view]")) button.onclick = () => act.look(button.dataset.view);
  $("help-open").onclick = () => $("help").showModal();
  $("record").onclick = act.record;
  $("upload").onchange = () => { if ($("upload").files[0]) act.addSound($("upload").files[0], $("upload").files[0].name); $("upload").value = ""; };
  new ResizeObserver(act.resize).observe($("stage"));
  new ResizeObserver(act.waveform).observe($("wave"));
  wireKeys(act, clock, speed);
  wireDrops(act);
}

function toggle(id) {
  $(id).checked = !$(id).checked;
  $(id).dispatchEvent(new Event("change"));
}

function wireKeys(act, clock, speed) {
  const keys = {
    " ": act.play, ArrowLeft: (e) => (e.shiftKey ? clock.seek(clock.time - 1) : act.step(-1)), ArrowRight: (e) => (e.shiftKey ? clock.seek(clock.time + 1) : act.step(1)),
    Home: () => clock.seek(0), End: () => clock.seek(clock.duration), ArrowUp: () => act.neighbour(-1), ArrowDown: () => act.neighbour(1),
    "[": () => speed(-1), "]": () => speed(1), l: () => $("loop").click(), e: () => toggle("errors"), w: () => toggle("wireframe"), j: () => toggle("jaw"),
    b: () => { if (!$("both-row").hidden) toggle("both"); }, c: () => toggle("curves-on"), r: () => act.look("reset"), 1: () => act.look("front"), 2: () => act.look("quarter"), 3: () => act.look("side"),
    k: () => act.edit.mark(), i: () => act.edit.edge("in"), o: () => act.edit.edge("out"), u: () => { if (!$("edit-undo").disabled) act.edit.undo(); },
    m: () => { if (!$("record").hidden) act.record(); }, "?": () => $("help").showModal(),
  };
  addEventListener("keydown", (event) => {
    const at = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    if (at.matches("input[type=search], input[type=number], select, textarea") || (at.matches("button, input[type=checkbox]") && event.key === " ")) return;
    if (at.matches("input[type=range]") && at.id !== "scrub" && event.key.startsWith("Arrow")) return;
    const key = keys[event.key] || keys[event.key.toLowerCase()];
    if (key) { event.preventDefault(); key(event); }
  });
}

function wireDrops(act) {
  let over = 0;
  addEventListener("dragenter", () => { over++; $("drop").hidden = !act.takesSounds(); });
  addEventListener("dragleave", () => { if (--over <= 0) { over = 0; $("drop").hidden = true; } });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over = 0;
    $("drop").hidden = true;
    const file = event.dataTransfer.files[0];
    if (file) act.addSound(file, file.name);
  });
}
