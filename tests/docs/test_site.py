"""The built site: its links, what it loads, and how a browser shows it."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

import myoptim
from myoptim.rules import ElementwiseRule

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
]
WIDTHS = (1280, 390)
SECONDS = 200


class Page(HTMLParser):
    """The links, loaded resources and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := found.get(key))}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")
        elif tag == "link" and found.get("rel") in ("stylesheet", "preload", "icon"):
            self.loads.append(found["href"] or "")
        elif found.get("src"):
            self.loads.append(found["src"] or "")


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page, by its path."""
    return {
        path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts
    }


def test_the_pages_that_must_be_there(site: Path):
    found = {page.stem.replace("_", ""): page for page in (site / "optimizers").glob("*.html")}
    for name, cls in myoptim.OPTIMIZERS.items():
        text = found[name.lower()].read_text(encoding="utf-8")
        assert 'class="two-columns highlight"' in text
        for heading in ("When to use it", "History", "Differences", "Sources"):
            assert f">{heading}<" in text, (name, heading)
        assert "<img" in text or not issubclass(cls, ElementwiseRule)
    assert len(list((site / "tutorials").glob("0*.html"))) == 9


def test_no_link_is_broken(pages: dict[Path, Page]):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link == "#":
                continue
            place, fragment = urldefrag(link)
            target = (path.parent / unquote(place)).resolve() if place else path
            if not target.exists():
                broken.append((path.name, link))
            elif fragment and target.suffix == ".html":
                other = pages.get(target) or Page(target)
                if unquote(fragment) not in other.anchors:
                    broken.append((path.name, link))
    assert broken == []
    assert sum(len(page.links) for page in pages.values()) > 500


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]):
    for path, page in pages.items():
        for load in page.loads:
            parts = urlsplit(load)
            assert parts.scheme in ("", "data"), (path.name, load)
            assert not parts.netloc, (path.name, load)
            if not parts.scheme:
                assert (path.parent / unquote(parts.path)).exists(), (path.name, load)
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"url\(\s*[\"']?(https?:)?//", text), style.name
        assert not re.search(r"@import\s+(url\()?[\"']?https?:", text), style.name
    assert list(site.glob("_static/mathjax/output/chtml/fonts/woff-v2/*.woff"))


PROBE = """<!doctype html><meta charset="utf-8"><title>probe</title><body><script>
async function look(page, width) {
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 800px; border: 0`;
  frame.src = page;
  const loaded = new Promise((resolve) => { frame.onload = resolve; });
  document.body.append(frame);
  await loaded;
  const inside = frame.contentWindow, root = inside.document.documentElement;
  const formulas = root.querySelectorAll(".math:not(mjx-container *)").length;
  if (formulas) await inside.MathJax.startup.promise;
  const result = {
    page, width, formulas,
    rendered: root.querySelectorAll("mjx-container").length,
    errors: root.querySelectorAll("mjx-merror, .problematic").length,
    overflow: root.scrollWidth - width,
    images: [...root.querySelectorAll("img")].filter((i) => !i.complete || !i.naturalWidth).length,
  };
  frame.remove();
  return result;
}
(async () => {
  const results = [];
  for (const page of PAGES) for (const width of WIDTHS) results.push(await look(page, width));
  await fetch("/results", {method: "POST", body: JSON.stringify(results)});
})();
</script>"""


class Server(http.server.ThreadingHTTPServer):
    """Serves the site and the probe, and keeps what comes back."""

    def __init__(self, site: Path, names: list[str]) -> None:
        handler = functools.partial(Handler, directory=str(site))
        super().__init__(("127.0.0.1", 0), handler)
        self.probe = PROBE.replace("PAGES", json.dumps(names)).replace("WIDTHS", str(list(WIDTHS)))
        self.results: list[dict] = []
        self.missing: list[str] = []
        self.finished = threading.Event()


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path != "/probe":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.probe.encode())

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.results = json.loads(self.rfile.read(length))
        self.send_response(204)
        self.end_headers()
        self.server.finished.set()

    def send_error(self, code: int, *args: object, **kwargs: object) -> None:
        self.server.missing.append(self.path)
        super().send_error(code)

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_a_browser(site: Path, pages: dict[Path, Page], tmp_path: Path):
    """Every page at the width of a desk and of a phone."""
    names = ["/" + path.relative_to(site).as_posix() for path in pages]
    with Server(site, names) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        log = tmp_path / "log"
        with log.open("w") as out:
            browser = subprocess.Popen(
                [
                    str(CHROMIUM),
                    *FLAGS,
                    f"--user-data-dir={tmp_path / 'profile'}",
                    "--window-size=1400,1000",
                    "--remote-debugging-port=0",  # else it would end when the page is loaded
                    f"http://127.0.0.1:{server.server_address[1]}/probe",
                ],
                stderr=out,
                stdout=out,
            )
        try:
            finished = server.finished.wait(SECONDS)
        finally:
            browser.kill()
            browser.wait()
            server.shutdown()
    said = log.read_text(errors="replace")
    assert finished, said[-3000:]
    assert [name for name in server.missing if name != "/favicon.ico"] == []
    assert re.findall(r".*CONSOLE.*", said) == []
    results = server.results
    assert len(results) == len(names) * len(WIDTHS)
    assert sum(result["formulas"] for result in results) > 500
    assert [r for r in results if r["rendered"] != r["formulas"] or r["errors"]] == []
    assert [r for r in results if r["overflow"] > 0] == []
    assert [r for r in results if r["images"]] == []
