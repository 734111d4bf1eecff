"""Clicks through a report in headless Chromium, and takes pictures of it.

    python -m venv .venv && .venv/bin/pip install playwright && .venv/bin/playwright install --only-shell chromium
    kelvin report RUN_DIR
    .venv/bin/python xtask/py/report_check.py RUN_DIR/report.html [--chromium PATH] [--pictures DIR]

Where Playwright's own browser cannot be had, --chromium names another one. With --synthetic N, a copy of the run with N
steps (its own rows over and over, numbered on) is made in a scratch folder by `kelvin report`, which --kelvin names, and
must have computed for less than two seconds until it is ready. Ends with exit code 1 at the first thing that is wrong. Development only: nothing else
here needs a browser, and its times are no part of the tests.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from playwright.sync_api import sync_playwright

READY_S = 2.0
PATIENCE_MS = 120_000
# A chart is drawn when it is first looked at, within a frame or two: how long that is depends on the machine.
SHOWN_ARE_DRAWN = """() => [...document.querySelectorAll("figure")].every(it => {
    const { top, bottom } = it.getBoundingClientRect();
    return bottom <= 0 || top >= innerHeight || it.querySelector("canvas");
})"""


def synthetic(run: pathlib.Path, steps: int, kelvin: str, scratch: pathlib.Path) -> pathlib.Path:
    """A run folder with as many steps, and as many transcripts as a run with one in ten steps has."""
    copy = scratch / "synthetic"
    copy.mkdir()
    for name in ("config.toml", "manifest.json", "tasks.jsonl", "alarms.jsonl"):
        if (run / name).exists():
            shutil.copy(run / name, copy)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    body = [row for row in rows if row["step"]]
    with (copy / "metrics.jsonl").open("w") as out:
        out.write(json.dumps(rows[0]) + "\n")
        for step in range(1, steps + 1):
            out.write(json.dumps({**body[(step - 1) % len(body)], "step": step}) + "\n")
    transcripts = sorted((run / "transcripts").glob("*.jsonl"))
    (copy / "transcripts").mkdir()
    for index, step in enumerate(range(10, steps + 1, 10)):
        shutil.copy(transcripts[index % len(transcripts)], copy / "transcripts" / f"{step:06}.jsonl")
    subprocess.run([kelvin, "report", str(copy)], check=True)
    return copy / "report.html"


class Page:
    """A report that is open, with what went wrong in it."""

    def __init__(self, browser, path: pathlib.Path, width: int, theme: str):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, locale="en-US")
        self.wrong = []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda it: self.wrong.append(f"error: {it}"))
        self.page.on("console", lambda it: it.type == "error" and self.wrong.append(f"console: {it.text}"))
        asked = path.resolve().as_uri()
        self.page.on("request", lambda it: it.url.split("#")[0] != asked and self.wrong.append(f"asked for {it.url}"))
        session = context.new_cdp_session(self.page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        started = time.monotonic()
        self.page.goto(asked, timeout=PATIENCE_MS)
        self.page.wait_for_selector("html[data-ready]", state="attached", timeout=PATIENCE_MS)
        self.ready_s = time.monotonic() - started
        metrics = {it["name"]: it["value"] for it in session.send("Performance.getMetrics")["metrics"]}
        # What the page's own thread computed: on a busy machine the wall clock says how busy it is.
        self.busy_s = metrics["TaskDuration"]

    def expect(self, holds, what: str):
        if not holds:
            self.wrong.append(what)

    def see_all(self):
        """Scrolls through, so that every chart is drawn."""
        height = self.page.evaluate("document.documentElement.scrollHeight")
        for top in range(0, height, 700):
            self.page.evaluate(f"scrollTo(0, {top})")
            self.page.wait_for_function(SHOWN_ARE_DRAWN)
        self.page.evaluate("scrollTo(0, 0)")
        figures = self.page.locator("figure").count()
        canvases = self.page.locator("figure canvas").count()
        self.expect(0 < figures == canvases, f"{canvases} of {figures} charts are drawn")
        wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        self.expect(wide <= 0, f"the page is {wide} pixels too wide")


def charts(it: Page):
    page = it.page
    key = page.locator("figure .legend button").first
    key.click()
    it.expect(key.get_attribute("aria-pressed") == "false", "a click on the legend hides the line")
    key.click()
    plot = page.locator("figure .plot").first
    plot.focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(100)
    first = page.locator("figure .legend .at").first.inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(100)
    second = page.locator("figure .legend .at").first.inner_text()
    it.expect(first.startswith("step ") and first != second, f"arrow keys walk along the steps: {first}, {second}")
    page.locator("header select").last.select_option("1")
    was = page.evaluate("document.documentElement.dataset.theme")
    page.locator("#theme").click()
    it.expect(page.evaluate("document.documentElement.dataset.theme") != was, "the switch changes the theme")
    page.locator("#theme").click()


def gallery(it: Page, section: str):
    page = it.page
    if not page.locator(f"#{section}").count():
        it.wrong.append(f"there is no section {section}")
        return
    rows = page.locator(f"#{section} .list button")
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    it.expect(rows.nth(1).get_attribute("aria-current") == "true", f"{section}: arrow down goes to the next")
    it.expect(page.locator(f"#{section} .detail").inner_text().strip(), f"{section}: the chosen one is shown")
    place = page.locator(f"#{section} .pages span")
    following = page.locator(f"#{section} .pages button").last
    if following.is_enabled():
        following.click()
        it.expect("page 2" in place.inner_text(), f"{section}: next turns the page: {place.inner_text()}")
    page.locator(f"#{section} input[type=search]").fill("no text holds this, surely")
    it.expect("nothing found" in place.inner_text(), f"{section}: the search filters")
    page.locator(f"#{section} input[type=search]").fill("")
    filtered = page.locator(f"#{section} select").first
    values = filtered.locator("option").all_inner_texts()
    filtered.select_option(values[-1])
    meta = page.locator(f"#{section} .list .meta").first.inner_text()
    it.expect(values[-1] in meta, f"{section}: the filter {values[-1]} shows {meta}")


def rest(it: Page):
    page = it.page
    name = page.locator("datalist option").nth(3).get_attribute("value")
    page.locator("#metrics input").fill(name)
    page.keyboard.press("Tab")
    it.expect(page.locator("#metrics figure").count() == 1, f"the metric {name} is drawn by its name")
    if page.locator("#divergences").count():
        page.locator("#divergences summary").click()
        it.expect(page.locator("#divergences tbody tr").count(), "divergences unfold")
    if page.locator("#configuration select").count():
        before = page.locator("#configuration tbody tr").count()
        page.locator("#configuration select").select_option("all")
        it.expect(before < page.locator("#configuration tbody tr").count(), "all settings are more than some")
    for link in page.locator("nav a").all():
        link.click()
    it.expect(page.evaluate("scrollY") > 0, "the navigation leads down")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("report", type=pathlib.Path)
    arguments.add_argument("--chromium")
    arguments.add_argument("--pictures", type=pathlib.Path)
    arguments.add_argument("--synthetic", type=int, metavar="STEPS")
    arguments.add_argument("--kelvin", default="kelvin")
    asked = arguments.parse_args()
    wrong = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        flags = ["--no-sandbox", "--headless=shell", "--use-angle=swiftshader", "--no-zygote"]
        browser = playwright.chromium.launch(executable_path=asked.chromium, args=flags)
        report = asked.report
        if asked.synthetic:
            report = synthetic(report.parent, asked.synthetic, asked.kelvin, pathlib.Path(scratch))
        for theme in ("light", "dark"):
            for width in (1280, 420):
                it = Page(browser, report, width, theme)
                it.expect(it.page.evaluate("document.documentElement.dataset.theme") == theme, f"the theme is not {theme}")
                it.see_all()
                if asked.pictures:
                    asked.pictures.mkdir(parents=True, exist_ok=True)
                    it.page.screenshot(path=asked.pictures / f"{report.stem}-{theme}-{width}.png")
                charts(it)
                if report.name == "report.html":
                    gallery(it, "tasks")
                    gallery(it, "transcripts")
                rest(it)
                if asked.synthetic:
                    it.expect(it.busy_s < READY_S, f"ready after computing for {it.busy_s:.2f} s")
                print(f"{report.name} {theme} {width}: ready in {it.ready_s:.2f} s, of which {it.busy_s:.2f} s computing, {report.stat().st_size / 1e6:.1f} MB, {len(it.wrong)} wrong")
                wrong += it.wrong
                it.page.context.close()
    for what in wrong:
        print(what, file=sys.stderr)
    sys.exit(1 if wrong else 0)


main()
