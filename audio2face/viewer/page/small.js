// Small pictures and lists around the stage: the sound's waveform, the legend's bar, what is known of the shot.

import { HEAT } from "./stage.js";

const $ = (id) => document.getElementById(id);

// Loudness (0 to 100) of equal parts of the sound; a line where there is none.
export function drawWave(peaks) {
  const canvas = $("wave"), ratio = Math.min(devicePixelRatio, 2);
  [canvas.width, canvas.height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
  const g = canvas.getContext("2d"), middle = canvas.height / 2;
  g.fillStyle = "#4d5664";
  if (!peaks.length) g.fillRect(0, middle - 1, canvas.width, 2);
  peaks.forEach((p, i) => {
    const height = Math.max(1, (p / 100) * (canvas.height - 6));
    g.fillRect((i * canvas.width) / peaks.length, middle - height / 2, Math.max(1, canvas.width / peaks.length - 0.5), height);
  });
}

export function legendBar() {
  const g = $("legend-bar").getContext("2d"), gradient = g.createLinearGradient(0, 0, 160, 0);
  HEAT.forEach((c, i) => gradient.addColorStop(i / (HEAT.length - 1), `rgb(${c.map((v) => Math.round(v * 255))})`));
  g.fillStyle = gradient;
  g.fillRect(0, 0, 160, 10);
}

// Facts of a shot and its tracks {side: Track}.
export function listFacts(shot, tracks) {
  const rows = [["name", shot.name], ["actor", shot.actor], ["emotion", shot.emotion], ["sound", shot.duration_s ? `${shot.duration_s.toFixed(2)} s` : "none"]];
  for (const [side, track] of Object.entries(tracks)) {
    if (!track) continue;
    const parts = [[track.points("skin"), "vertices"], [track.points("figure"), "joints"]].filter(([n]) => n).map((part) => part.join(" "));
    rows.push([side, [`${track.info.num_frames} frames at ${+track.info.fps.toFixed(3)} fps`, ...parts].join(", ")]);
  }
  const cell = (kind, text) => Object.assign(document.createElement(kind), { textContent: text });
  $("facts").replaceChildren(...rows.filter(([, value]) => value).flatMap(([key, value]) => [cell("dt", key), cell("dd", value)]));
}
