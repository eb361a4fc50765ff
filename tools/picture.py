"""A comment in Markdown -> a picture of the comment on a pull request: docs/pictures/comment.png.

python tools/picture.py                          of the golden case with twelve changes
python tools/picture.py comment.md picture.png   of another comment

Needs Chromium (Debian's package `chromium`). The style is similar to GitHub's style sheet, which is not used.
"""

from __future__ import annotations

import html
import re
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMENT = ROOT / "tests" / "unit" / "renderers" / "golden" / "12-changes.md"
PICTURE = ROOT / "docs" / "pictures" / "comment.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 860, 1100
"""Largest size of the picture in pixels."""
STYLE = """
body { margin: 0; padding: 16px; background: #fff; color: #1f2328;
  font: 14px/1.5 -apple-system, "Segoe UI", "Noto Sans", "Liberation Sans", Helvetica, Arial, sans-serif }
.comment { border: 1px solid #d1d9e0; border-radius: 6px }
.who { padding: 8px 16px; background: #f6f8fa; border-bottom: 1px solid #d1d9e0; border-radius: 6px 6px 0 0;
  color: #59636e }
.who b { color: #1f2328 }
.who i { font-style: normal; font-size: 12px; border: 1px solid #d1d9e0; border-radius: 2em; padding: 0 7px }
.text { padding: 16px }
.text > :first-child { margin-top: 0 }
.text > :last-child { margin-bottom: 0 }
h2 { font-size: 21px; line-height: 1.25; padding-bottom: .3em; border-bottom: 1px solid #d1d9e0b3;
  margin: 0 0 16px }
p, table, blockquote, details, ul, pre { margin: 0 0 16px }
code { font: 85% ui-monospace, "Liberation Mono", Menlo, monospace; background: #818b981f; border-radius: 6px;
  padding: .2em .4em }
h2 code { font-size: inherit }
pre { background: #f6f8fa; border-radius: 6px; padding: 12px 16px; overflow: hidden; line-height: 1.45 }
pre code { background: none; padding: 0; font-size: 12px; white-space: pre }
.plus { color: #116329; background: #dafbe1 }
.minus { color: #82071e; background: #ffebe9 }
.bang { color: #953800 }
table { border-collapse: collapse }
th, td { border: 1px solid #d1d9e0; padding: 6px 13px }
tr:nth-child(2n) td { background: #f6f8fa }
blockquote { border-left: .25em solid var(--tone); padding: 8px 16px }
blockquote p { margin: 0 }
blockquote .kind { color: var(--tone); font-weight: 600; display: block; margin-bottom: 8px }
sub { font-size: 12px; color: #59636e; vertical-align: baseline }
a { color: #0969da; text-decoration: none }
"""
TONES = {"CAUTION": "#cf222e", "WARNING": "#9a6700", "NOTE": "#0969da", "IMPORTANT": "#8250df"}
KINDS = {"+": "plus", "-": "minus", "!": "bang"}


def page(markdown: str) -> str:
    """Return the HTML page for one comment."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    body = re.sub(r'<pre><code class="language-diff">(.*?)</code></pre>', _coloured, body, flags=re.DOTALL)
    body = re.sub(r"<blockquote>\n<p>\[!([A-Z]+)\]\n", _alert, body)
    who = '<div class="who"><b>github-actions</b> <i>bot</i> commented</div>'
    return (
        f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>'
        f'<div class="comment">{who}<div class="text">{body}</div></div>'
    )


def _coloured(block: re.Match[str]) -> str:
    """Return a diff with lines coloured by their first character."""
    lines = [
        f'<span class="{KINDS[line[0]]}">{line}</span>' if line[:1] in KINDS else line
        for line in block[1].split("\n")
    ]
    return f"<pre><code>{chr(10).join(lines)}</code></pre>"


def _alert(start: re.Match[str]) -> str:
    """Return an alert with its colour and title."""
    kind = html.escape(start[1].capitalize())
    return f'<blockquote style="--tone: {TONES.get(start[1], "#59636e")}"><p><span class="kind">{kind}</span>'


def shoot(markdown: str, picture: Path) -> None:
    """Write the picture; raise SystemExit if Chromium is missing."""
    from playwright.sync_api import sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise SystemExit("Chromium is missing: apt-get install chromium")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder, "comment.html")
        file.write_text(page(markdown), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=found, args=quiet)
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.goto(file.as_uri())
        picture.parent.mkdir(parents=True, exist_ok=True)
        box = tab.locator("body").bounding_box()
        height = HEIGHT if box is None else min(HEIGHT, round(box["height"]))
        tab.screenshot(path=picture, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
        browser.close()


def main() -> None:
    """Write one picture."""
    given = [Path(one) for one in sys.argv[1:]]
    comment, picture = given or (COMMENT, PICTURE)
    shoot(comment.read_text(encoding="utf-8"), picture)


if __name__ == "__main__":
    main()
