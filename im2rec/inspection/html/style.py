"""The style sheet of a report: system fonts, light and dark, from 360 pixels of width on, and on paper."""

# The colours of text have a contrast of at least 4.5 to 1 on every background that they are used on.
STYLE = """
:root { color-scheme: light dark; --page: #f7f7f5; --card: #fff; --ink: #1d2126; --muted: #5a626c; --line: #dfe1e4;
  --bar: #4a7fb5; --mark: #b3431f; --cell: #ededeb; --good: #1c6b39; --good-back: #e0f2e5; --warn: #7d4f00;
  --warn-back: #fdf0d2; --bad: #a32020; --bad-back: #fbe3e1; --calm: #3c5468; --calm-back: #e4ebf1; }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --card: #1f2226; --ink: #e8e9ea; --muted: #a4abb3;
  --line: #3a3f45; --bar: #6fa3d8; --mark: #f0916c; --cell: #2b2f34; --good: #8fdba8; --good-back: #17351f;
  --warn: #f2c76b; --warn-back: #3a2d0d; --bad: #ff9d94; --bad-back: #451b19; --calm: #b2c8dc; --calm-back: #26343f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: anywhere; }
main { max-width: 1100px; margin: 0 auto; padding: 24px 16px 40px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 1.2rem; margin: 36px 0 12px; }
h3 { font-size: 1rem; margin: 0; }
p { margin: 6px 0; }
p, li { max-width: 75ch; }
.muted, figcaption, caption { color: var(--muted); }
.small { font-size: .875rem; }
.verdict { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: baseline; max-width: none; margin: 14px 0 0;
  padding: 10px 14px; border-radius: 8px; border-left: 5px solid; }
.verdict strong { text-transform: uppercase; letter-spacing: .05em; font-size: .875rem; }
.verdict span { color: var(--ink); flex: 1 1 20rem; }
.good { color: var(--good); background: var(--good-back); }
.warn { color: var(--warn); background: var(--warn-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.calm { color: var(--calm); background: var(--calm-back); }
a { color: inherit; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: 8px 12px; font-size: .875rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
th, td { text-align: left; vertical-align: top; padding: 6px 12px; border-top: 1px solid var(--line); }
tbody tr:first-child > * { border-top: 0; }
thead th { border-top: 0; border-bottom: 1px solid var(--line); font-size: .875rem; white-space: nowrap; }
.facts, .scroll, .card, details { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.facts { border-collapse: separate; border-spacing: 0; }
.facts th { width: 7.5rem; color: var(--muted); font-weight: 500; overflow-wrap: normal; }
.scroll { overflow-x: auto; margin: 12px 0; }
.scroll td { white-space: nowrap; font-size: .875rem; }
.scroll td span { display: block; white-space: normal; min-width: 5rem; }
.scroll td:last-child span { min-width: 15rem; }
.cards { display: grid; gap: 12px; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(290px, 100%), 1fr)); }
.card { padding: 12px 14px; min-width: 0; }
.card p { margin: 0 0 6px; }
.wide { grid-column: 1 / -1; }
svg { display: block; width: 100%; max-width: 400px; height: auto; font-size: 11px; fill: var(--muted); }
svg .bar { fill: var(--bar); }
svg .axis { stroke: var(--line); }
svg .median { stroke: var(--mark); stroke-width: 1.5; stroke-dasharray: 4 3; }
svg .median-text { fill: var(--mark); }
.bars { font-size: .875rem; }
.bars th, .bars td { padding: 2px 8px 2px 0; border: 0; }
.bars th { font-weight: 400; width: 1%; }
.bars th span { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  width: max-content; min-width: 1.5rem; max-width: min(16rem, 36vw); }
.cards .card:not(.wide) .bars th span { max-width: 8rem; }
.bars td:last-child { text-align: right; white-space: nowrap; width: 1%; padding-right: 0;
  font-variant-numeric: tabular-nums; }
.bars i { display: block; height: .8em; margin-top: .35em; min-width: 1px; background: var(--bar); border-radius: 2px;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.two { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(min(400px, 100%), 1fr)); }
.sheet { display: grid; gap: 14px 8px; grid-template-columns: repeat(4, minmax(0, 1fr)); margin: 8px 0 18px; }
.sheet figure { margin: 0; min-width: 0; break-inside: avoid; }
.tile { aspect-ratio: 1; background: var(--cell); border-radius: 4px; display: flex; align-items: center;
  justify-content: center; overflow: hidden; }
.tile img { width: 100%; height: 100%; object-fit: contain; }
.tile .tiny { image-rendering: pixelated; }
.failed { border: 1px solid var(--bad); color: var(--bad); font-size: .75rem; line-height: 1.3; text-align: center;
  padding: 4px; }
figcaption { font-size: .75rem; line-height: 1.35; margin-top: 3px; }
figcaption span { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
figcaption span + span { color: var(--ink); }
details { padding: 8px 14px; margin: 12px 0; }
details .scroll { border: 0; margin: 4px -14px -8px; }
details .scroll ~ p { margin-top: 16px; color: var(--muted); }
summary { cursor: pointer; font-weight: 600; }
ul { padding-left: 1.2em; margin: 6px 0; }
time { white-space: nowrap; }
code { font: .875rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; margin: 8px 0;
  white-space: pre-wrap; }
footer { margin-top: 40px; border-top: 1px solid var(--line); padding-top: 4px; }
.row { grid-template-columns: repeat(5, minmax(0, 1fr)); }
@media (min-width: 600px) { .sheet { grid-template-columns: repeat(5, minmax(0, 1fr)); } }
@media (min-width: 900px) { .sheet { grid-template-columns: repeat(10, minmax(0, 1fr)); } }
@media print { body { background: none; font-size: 10pt; } main { max-width: none; padding: 0; }
  .card, .bars tr, .facts tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .sheet { grid-template-columns: repeat(10, minmax(0, 1fr)); } svg .bar { print-color-adjust: exact; } }
"""
