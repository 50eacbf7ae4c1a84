// Blendshape weights over time: prediction as lines, truth dashed, the moment shown as a bar, values under the pointer.

const COLOURS = ["#f2a27e", "#6ec1ff", "#8be08b", "#e98bd1", "#ffd166", "#9d8cff", "#5ce1e6", "#ff7b6b"];
const MOST = COLOURS.length;

export class Curves {
  constructor(canvas, list, hover, seek) {
    Object.assign(this, { canvas, list, hover });
    this.sides = {}; // {prediction, truth}: {names, weights, track}
    this.chosen = [];
    this.touched = false; // by the user; until then the liveliest are shown
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => { hover.hidden = true; });
    canvas.addEventListener("click", (event) => seek((event.offsetX / canvas.clientWidth) * this.duration));
    this.duration = 1;
    this.time = 0;
  }

  // All poses, the liveliest first.
  get names() { return this.sorted || []; }

  set(side, curves, track) {
    if (curves) this.sides[side] = { ...curves, track };
    else delete this.sides[side];
    this.sorted = this.liveliest();
    this.chosen = this.chosen.filter((name) => this.names.includes(name));
    if (!this.touched || !this.chosen.length) this.chosen = this.sorted.slice(0, 5);
    this.fill();
    this.draw(this.time);
  }

  clear() {
    this.sides = {};
    this.sorted = [];
    this.fill();
    this.draw(0);
  }

  liveliest() {
    const side = this.sides.prediction || this.sides.truth;
    if (!side) return [];
    const spread = side.weights.map((w) => Math.max(...w) - Math.min(...w));
    return side.names.map((name, i) => [spread[i], name]).sort((a, b) => b[0] - a[0]).map(([, name]) => name);
  }

  fill() {
    this.list.replaceChildren(...this.names.map((name) => {
      const item = document.createElement("li"), button = document.createElement("button");
      const chip = document.createElement("i"), value = document.createElement("b");
      button.type = "button";
      button.title = name;
      button.append(chip, Object.assign(document.createElement("span"), { textContent: name }), value);
      button.onclick = () => {
        this.touched = true;
        this.chosen = this.chosen.includes(name) ? this.chosen.filter((n) => n !== name) : [...this.chosen, name].slice(-MOST);
        this.mark();
        this.draw(this.time);
      };
      item.append(button);
      return item;
    }));
    this.mark();
  }

  mark() {
    this.names.forEach((name, i) => {
      const button = this.list.children[i].firstChild, at = this.chosen.indexOf(name);
      button.setAttribute("aria-pressed", String(at >= 0));
      button.firstChild.style.background = at >= 0 ? COLOURS[at] : "transparent";
    });
  }

  value(side, name, time) {
    const { names, weights, track } = this.sides[side];
    const row = weights[names.indexOf(name)];
    if (!row) return NaN;
    const place = Math.min(track.place(time), row.length - 1), i = Math.floor(place);
    return row[i] + (place - i) * ((row[i + 1] ?? row[i]) - row[i]);
  }

  draw(time) {
    this.time = time;
    const { canvas } = this, ratio = Math.min(devicePixelRatio, 2);
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    if (canvas.width !== width * ratio || canvas.height !== height * ratio) [canvas.width, canvas.height] = [width * ratio, height * ratio];
    const g = canvas.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    const high = Math.max(1, ...this.chosen.map((name) => this.highest(name)));
    const y = (value) => height - 8 - (value / high) * (height - 24);
    g.strokeStyle = "#2c313a";
    g.fillStyle = "#7d8694";
    g.font = "10px system-ui";
    for (const mark of [0, 0.5, 1]) {
      g.beginPath(); g.moveTo(0, y(mark)); g.lineTo(width, y(mark)); g.stroke();
      g.fillText(String(mark), 3, y(mark) - 2);
    }
    for (const side of ["truth", "prediction"]) {
      if (!this.sides[side]) continue;
      const alone = !this.sides.prediction;
      g.setLineDash(side === "truth" && !alone ? [3, 4] : []);
      g.globalAlpha = side === "truth" && !alone ? 0.65 : 1;
      this.chosen.forEach((name, i) => this.line(g, side, name, COLOURS[i], width, y));
    }
    g.setLineDash([]);
    g.globalAlpha = 1;
    g.fillStyle = "#fff";
    g.fillRect((time / this.duration) * width - 0.75, 0, 1.5, height);
    const side = this.sides.prediction ? "prediction" : "truth";
    if (this.sides[side]) this.names.forEach((name, i) => { this.list.children[i].firstChild.lastChild.textContent = this.value(side, name, time).toFixed(2); });
  }

  highest(name) {
    return Math.max(0, ...Object.values(this.sides).map(({ names, weights }) => Math.max(...(weights[names.indexOf(name)] || [0]))));
  }

  line(g, side, name, colour, width, y) {
    const { names, weights, track } = this.sides[side], row = weights[names.indexOf(name)];
    if (!row) return;
    g.strokeStyle = colour;
    g.lineWidth = 1.5;
    g.beginPath();
    const every = Math.max(1, Math.floor(row.length / (2 * width)));
    for (let i = 0; i < row.length; i += every) g.lineTo(((track.info.start_s + i / track.info.fps) / this.duration) * width, y(row[i]));
    g.stroke();
  }

  point(event) {
    const time = (event.offsetX / this.canvas.clientWidth) * this.duration;
    const lines = this.chosen.map((name) => Object.keys(this.sides).sort().map((side) => `${side === "truth" ? "truth " : ""}${this.value(side, name, time).toFixed(2)}`).join("  ") + `  ${name}`);
    this.hover.textContent = `${time.toFixed(2)} s\n${lines.join("\n")}`;
    this.hover.hidden = !this.names.length;
    const right = event.offsetX > this.canvas.clientWidth / 2;
    this.hover.style.left = right ? "auto" : `${event.offsetX + 12}px`;
    this.hover.style.right = right ? `${this.canvas.clientWidth - event.offsetX + 12}px` : "auto";
  }
}
