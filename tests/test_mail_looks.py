"""How the HTML of a mail looks: on a phone and on a desk, by day and by night, without asking anybody for anything."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.goldens import mail, names

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = (375, 1280)
SCHEMES = {"dark": 0, "light": 1}
CONTRAST_MIN = 4.5
"""Of ordinary text on its ground (WCAG 2.2, 1.4.3)."""

FRAME = '<iframe title="{name}" width={width} height=1200 srcdoc="{page}"></iframe>'
MEASURE = """<!doctype html><meta name="color-scheme" content="light dark"><body>{frames}<script>
const colours = each => {{
  let ground = each;
  while (ground && getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
  return [getComputedStyle(each).color, ground ? getComputedStyle(ground).backgroundColor : "rgb(136, 136, 136)"];
}};
const measured = each => {{
  const seen = each.contentDocument, root = seen.documentElement;
  const texts = [...seen.querySelectorAll("h1, h2, p, li, th, td, a")];
  return {{
    name: each.title,
    width: Number(each.width),
    client: root.clientWidth,
    scroll: root.scrollWidth,
    over: texts.filter(one => one.getBoundingClientRect().right > root.clientWidth + 0.5).length,
    small: texts.filter(one => parseFloat(getComputedStyle(one).fontSize) < 14).length,
    asked: each.contentWindow.performance.getEntriesByType("resource").length,
    colours: [...new Set(texts.map(one => JSON.stringify(colours(one))))].map(JSON.parse),
  }};
}};
addEventListener("load", () => {{
  const frames = [...document.querySelectorAll("iframe")];
  document.body.setAttribute("data-measured", JSON.stringify(frames.map(measured)));
}});
</script>"""


BAD = """<p style="color: #ccc; background: #fff; width: 2000px">wide</p>
<p style="color: #333; background: #000; font-size: 9px">small</p><img alt="" src="http://127.0.0.1:9/asked.gif">"""


def measured(scheme: str, pages: dict[str, str]) -> list[dict[str, Any]]:
    """What a browser measures of every page at every width; it is started once for all of them."""
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH: how mails look was not measured")
    frames = "".join(
        FRAME.format(name=name, width=width, page=escape(page)) for name, page in pages.items() for width in WIDTHS
    )
    with TemporaryDirectory() as folder:
        page = Path(folder) / "mails.html"
        page.write_text(MEASURE.format(frames=frames), encoding="utf-8")
        quiet = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
        command = [CHROMIUM, *quiet.split(), "--disable-component-update", "--disable-sync"]
        command += [f"--user-data-dir={folder}/user", f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"]
        done = subprocess.run([*command, "--dump-dom", page.as_uri()], capture_output=True, timeout=120, check=True)
    found = re.search(r'data-measured="([^"]+)"', done.stdout.decode())
    assert found, "the browser measured nothing"
    seen: list[dict[str, Any]] = json.loads(unescape(found[1]))
    return seen


def complaints(seen: dict[str, Any], scheme: str) -> Iterator[str]:
    if not seen["scroll"] <= seen["client"] <= seen["width"] or seen["over"]:
        yield "runs over the edge"
    if seen["small"]:
        yield "small letters"
    if seen["asked"]:
        yield "asks for something else"
    for text, ground in seen["colours"]:
        if contrast(text, ground) < CONTRAST_MIN:
            yield f"{text} on {ground} is hard to read"
        if (_lightness(ground) > 0.5) != (scheme == "light"):
            yield f"{ground} is the wrong ground"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_mail_fits_its_screen_stands_out_from_its_ground_and_asks_nobody(scheme: str):
    pages = {name: mail(name).html for name in names()} | {"bad": BAD}
    found = {(seen["name"], seen["width"]): list(complaints(seen, scheme)) for seen in measured(scheme, pages)}
    assert len(found) == len(pages) * len(WIDTHS)
    for width in WIDTHS:  # what is wrong would have been seen
        wrong = " ".join(found.pop(("bad", width)))
        assert all(sign in wrong for sign in ("edge", "small", "asks", "hard to read", "wrong ground"))
    assert {each: found[each] for each in found if found[each]} == {}


def test_a_mail_holds_nothing_but_words_a_style_sheet_and_links():
    for name in names():
        page = mail(name).html
        assert not re.search(r"<(img|script|link|iframe|object|embed|svg|form)\b|\b(src|action|background)\s*=", page)
        assert set(re.findall(r'href="([a-z]+):', page)) <= {"http", "https", "mailto"}


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_lightness(one), _lightness(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _lightness(colour: str) -> float:
    """Relative luminance of an opaque colour, 0 to 1 (WCAG 2.2)."""
    parts = (int(part) / 255 for part in re.findall(r"\d+", colour))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
