"""A headless Chromium, driven by its own ChromeDriver."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromedriver")
WAIT_S = 20
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1280,900"),
)
# Whether a chart's canvas has anything on it.
_IS_DRAWN = """
const canvas = arguments[0].querySelector("canvas");
if (!canvas || !canvas.width) return false;
const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
for (let k = 3; k < pixels.length; k += 4) if (pixels[k]) return true;
return false;
"""


class Browser:
    """One window; everything is asked of the page that it shows."""

    def __init__(self) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = _where(PROGRAMS[0])
        for flag in _FLAGS:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(_where(PROGRAMS[1])))
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.be_offline(True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    def forget(self) -> None:
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        self.driver.get("about:blank")
        self.errors()

    def be_offline(self, is_offline: bool) -> None:
        """Reach no server, or those that there are."""
        at_will = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions", {"offline": is_offline, **at_will}
        )

    def open(self, page: Path) -> None:
        self.driver.get(page.as_uri())

    def be_phone(self) -> None:
        size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def be_dark(self) -> None:
        dark = {"name": "prefers-color-scheme", "value": "dark"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [dark]})

    def run_no_scripts(self) -> None:
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})

    def ask(self, script: str, *words: object) -> Any:
        return self.driver.execute_script(script, *words)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return str(self.one(selector).text)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option as a person does."""
        self.one(f'{selector} option[value="{value}"]').click()

    def click(self, selector: str) -> None:
        element = self.one(selector)
        self.ask("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def errors(self) -> list[str]:
        """Give what the console has told since this was asked last."""
        return [str(line["message"]) for line in self.driver.get_log("browser")]

    def n_fetched(self) -> int:
        """Count what the page has asked for besides itself."""
        return int(self.ask("return performance.getEntriesByType('resource').length"))

    def charts(self) -> list[Any]:
        return [chart for chart in self.all(".chart") if chart.is_displayed()]

    def is_drawn(self, chart: Any) -> bool:
        """Scroll to a chart, and wait until it is drawn."""
        self.ask("arguments[0].scrollIntoView({block: 'center'})", chart)
        return bool(self.wait(lambda: self.ask(_IS_DRAWN, chart)))

    def wait(self, until: Callable[[], Any]) -> Any:
        """Ask until something is true; give what came last."""
        end_s = time.monotonic() + WAIT_S
        while not (found := until()) and time.monotonic() < end_s:
            time.sleep(0.05)
        return found


def _where(program: str) -> str:
    found = shutil.which(program)
    assert found is not None
    return found
