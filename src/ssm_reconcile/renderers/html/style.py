"""How the page looks: light and dark, wide and narrow, on paper; no fonts, no pictures, nothing fetched."""

STYLE = """\
:root { color-scheme: light dark; --text: #1b1f24; --dim: #57606a; --page: #fff; --panel: #f6f8fa;
  --line: #d0d7de;
  --link: #0550ae; --delete: #b3001e; --replace: #8a3800; --update: #6d4d00; --create: #116329;
  --adopt: #0a5c7a;
  --retag: #57606a; --gone: #ffebe9; --come: #dafbe1; --warn: #fff8c5; --error: #ffebe9; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --dim: #9da7b3; --page: #0d1117;
  --panel: #161b22;
  --line: #3a424c; --link: #79b8ff; --delete: #ff8f87; --replace: #ffa657; --update: #e3b341;
  --create: #56d364;
  --adopt: #76d1f0; --retag: #9da7b3; --gone: #4a1d20; --come: #12391f; --warn: #3a2d00;
  --error: #4a1d20; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 90rem; padding: 1rem 1.5rem 4rem; background: var(--page);
  color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 1.2rem 0 .2rem; }
p { margin: .35rem 0; max-width: 75rem; overflow-wrap: anywhere; }
a { color: var(--link); }
code { font: .92em/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere;
  unicode-bidi: isolate;
  white-space: break-spaces; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { position: static; }
.vh { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.lead { font-size: 1.05rem; }
.dim, footer { color: var(--dim); }
.note { border-left: .3rem solid var(--line); background: var(--panel); padding: .5rem .8rem;
  margin: .6rem 0; border-radius: .2rem; }
.note.warning { background: var(--warn); border-color: var(--update); }
.note.error { background: var(--error); border-color: var(--delete); }
.note ul { margin: .3rem 0; padding-left: 1.2rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--dim); padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-top: 1px solid var(--line); }
thead th { background: var(--panel); border-top: 0; font-weight: 600; }
tbody th { font-weight: 400; }
.sums { width: auto; min-width: 24rem; }
.sums code { white-space: nowrap; overflow-wrap: normal; }
.sums td, .sums thead th + th { text-align: right; font-variant-numeric: tabular-nums; }
.sums b { color: var(--delete); }
.scroll { overflow-x: auto; }
.rows, .rows caption, .rows thead, .rows tbody { display: block; }
.rows tr { display: grid; grid-template-columns: 9.5rem minmax(0, 3fr) 8.5rem 13rem minmax(0, 4fr);
  border-top: 1px solid var(--line); }
.rows.left tr { grid-template-columns: 9.5rem minmax(0, 3fr) 13rem minmax(0, 4fr); }
.rows tbody tr { content-visibility: auto; contain-intrinsic-size: auto 2.5rem; }
.rows th, .rows td { border: 0; }
tbody tr:hover { background: var(--panel); }
.a { font-weight: 600; } .a::before { display: inline-block; width: 1.1em;
  font-family: ui-monospace, monospace; }
.delete { color: var(--delete); } .delete::before { content: "-"; }
.replace { color: var(--replace); } .replace::before { content: "!"; }
.update { color: var(--update); } .update::before { content: "~"; }
.create { color: var(--create); } .create::before { content: "+"; }
.adopt { color: var(--adopt); } .adopt::before { content: "="; }
.retag { color: var(--retag); } .retag::before { content: "~"; }
.tag { display: inline-block; border: 1px solid currentColor; border-radius: .8rem; padding: 0 .5rem;
  font-size: .8rem; }
.tag.applied { color: var(--create); } .tag.failed { color: var(--delete); }
.l { display: block; overflow-wrap: anywhere; }
.l + .l, .l + .r { margin-top: .15rem; }
.k { color: var(--dim); }
del, ins { text-decoration: none; border-radius: .2rem; padding: 0 .25rem; }
del { background: var(--gone); } ins { background: var(--come); }
.r { display: block; color: var(--dim); font-size: .92em; overflow-wrap: anywhere; }
form { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .6rem 1rem;
  align-items: end; background: var(--page);
  border-bottom: 1px solid var(--line); padding: .7rem 0; }
[hidden], form[hidden], .rows tr[hidden] { display: none; }
label { display: flex; flex-direction: column; font-size: .85rem; color: var(--dim); min-width: 0; }
input, select, button { font: inherit; font-size: 1rem; color: var(--text); background: var(--panel);
  border: 1px solid var(--dim);
  border-radius: .3rem; padding: .3rem .5rem; min-width: 0; max-width: 100%; }
input { width: 15rem; }
#count { flex-basis: 100%; margin: 0; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .6rem; font-size: .9rem; }
@media (max-width: 48rem) {
  body { padding: .6rem .8rem 3rem; }
  form { position: static; } label, input, select { width: 100%; }
  .rows thead { position: absolute; left: -100rem; }
  .rows tr, .rows.left tr { display: block; padding: .5rem 0; }
  .rows th, .rows td { display: block; padding: .1rem 0; }
}
@media print {
  form, .skip { display: none; }
  body { max-width: none; }
  .rows tbody tr { break-inside: avoid; content-visibility: visible; }
}
@media (forced-colors: active) { del, ins, .tag { border: 1px solid; } }
"""
