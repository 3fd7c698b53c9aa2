"""The site in a real browser: its start page, operations and the search, at the widths of a desk and of a telephone.

`./dev docs` first. Needs Chromium and its driver (Debian: `apt-get install chromium chromium-driver`); Selenium comes
into an environment of its own. Whatever the browser asks for comes from this machine: its log of requests is read. The
screenshots are in .cache/docs/screenshots, for somebody to look at. Status 1 when something does not hold.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SITE = ROOT / ".cache" / "docs" / "site"
BROWSER = Path(__file__).parent / "site" / "browser.py"


def main() -> None:
    if not (SITE / "index.html").exists():
        sys.exit("prove site: there is no site; make it: ./dev docs")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        sys.exit(
            "prove site: no chromium or chromedriver on the PATH: apt-get install chromium chromium-driver"
        )
    uv = ROOT / ".venv" / "bin" / "uv"
    requirements = BROWSER.with_name("requirements.txt")
    run = [uv, "run", "--no-project", "--quiet", "--with-requirements", requirements, "python"]
    shown = ROOT / ".cache" / "docs" / "screenshots"
    words = map(str, [*run, BROWSER, SITE, shown, chromium, driver])
    sys.exit(subprocess.run(list(words), env=os.environ, check=False).returncode)


if __name__ == "__main__":
    main()
