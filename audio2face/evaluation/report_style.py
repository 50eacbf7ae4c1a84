"""CSS of the evaluation page, light and dark."""

NUM_COLOURS = 6
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #667085; --paper: #fff; --line: #d8dee8; --panel: #f6f8fb;
  --truth: #1c2430; --c0: #2e77d0; --c1: #d9480f; --c2: #2b8a3e; --c3: #9c36b5; --c4: #b8860b; --c5: #0b7285; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e6eaf0; --soft: #98a2b3; --paper: #12161c; --line: #303846; --panel: #1a2029;
  --truth: #e6eaf0; --c0: #6cb0ff; --c1: #ff8a5c; --c2: #69c47a; --c3: #d68af0; --c4: #e8bd4a; --c5: #52c7d8; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1040px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em } h2 { margin-top: 2em; border-bottom: 1px solid var(--line) }
h3 { margin: 1.4em 0 .2em; font-size: 1em }
table { border-collapse: collapse; font-size: .87em } .wide { overflow-x: auto }
td, th { text-align: right; padding: .25em .7em; border-bottom: 1px solid var(--line); vertical-align: top }
td small { white-space: nowrap }
td:first-child, th:first-child { text-align: left } th { overflow-wrap: anywhere; min-width: 5em; max-width: 17em }
th.run { min-width: 14em } .run { font-weight: 600 }
.soft, small { color: var(--soft) } small { display: block; font-size: .85em; font-weight: 400 }
tr.key td:first-child { font-weight: 600 }
svg { width: 100%; height: auto; background: var(--panel); border-radius: 4px }
svg text { font: 11px system-ui; fill: var(--soft) }
polyline { fill: none; stroke-width: 1.5 } .axis { stroke: var(--line) } video { width: 100%; margin-top: .4em }
circle { opacity: .85 } .key-line { display: inline-block; white-space: nowrap; width: 1.6em; height: 4px;
  vertical-align: middle; margin: 0 .4em 0 1em; background: currentColor }
""" + "".join(
    f"polyline.{name} {{ stroke: var(--{name}) }} circle.{name} {{ fill: var(--{name}) }} "
    f".key-line.{name} {{ color: var(--{name}) }}\n"
    for name in [*(f"c{i}" for i in range(NUM_COLOURS)), "truth"]
)
