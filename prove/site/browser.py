"""Visits the site and takes screenshots: `browser.py SITE SCREENSHOTS CHROMIUM CHROMEDRIVER`. See prove/site.py."""

import functools
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

SITE, SCREENSHOTS = Path(sys.argv[1]), Path(sys.argv[2])
CHROMIUM, DRIVER = sys.argv[3:5]
WIDTHS = (1280, 390)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
RESULTS = ".md-search-result__link"
MEASURE = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def at_width(driver: webdriver.Chrome, width: int) -> None:
    """A window of Chromium is never this narrow: the size of the page is set instead."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def visit(driver: webdriver.Chrome, address: str, *, name: str, width: int) -> Iterator[str]:
    """Show a page; gives what is wrong with it."""
    at_width(driver, width)
    driver.get(address)
    WebDriverWait(driver, 20).until(lambda each: each.find_elements(By.CSS_SELECTOR, "article h1"))
    driver.save_screenshot(str(SCREENSHOTS / f"{name}-{width}.png"))
    if driver.execute_script(MEASURE) > 0:
        yield f"{name} at {width}: the page is wider than its window"


def search(driver: webdriver.Chrome, address: str, words: str, *, width: int) -> Iterator[str]:
    """Type into the search, as a reader does."""
    at_width(driver, width)
    driver.get(f"{address}/?q={words}")
    WebDriverWait(driver, 20).until(lambda each: each.find_elements(By.CSS_SELECTOR, RESULTS))
    driver.save_screenshot(str(SCREENSHOTS / f"search-{words}-{width}.png"))
    found = [each.get_attribute("href") for each in driver.find_elements(By.CSS_SELECTOR, RESULTS)]
    print(f"search for {words} at {width}: {len(found)} results, first {found[0]}")
    if not found:
        yield f"the search for {words} finds nothing"


def requests(driver: webdriver.Chrome) -> set[str]:
    """The hosts that were asked for anything."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [
        each["params"]["request"]["url"]
        for each in events
        if each["method"] == "Network.requestWillBeSent"
    ]
    return {
        urlsplit(url).hostname or "" for url in asked if urlsplit(url).scheme.startswith("http")
    }


def main() -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []
    with served() as address, browser() as driver:
        for width in WIDTHS:
            wrong += visit(driver, f"{address}/", name="start", width=width)
            wrong += visit(
                driver, f"{address}/operations/create_index/", name="operation", width=width
            )
            wrong += visit(driver, f"{address}/operations/", name="operations", width=width)
            wrong += search(driver, address, "bigint", width=width)
        others = requests(driver) - {"127.0.0.1"}
        wrong += [f"the browser asked {host}" for host in others]
        wrong += [
            str(entry["message"])
            for entry in driver.get_log("browser")
            if entry["level"] == "SEVERE"
        ]
    print("\n".join(wrong) or f"all of it holds; screenshots in {SCREENSHOTS}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
