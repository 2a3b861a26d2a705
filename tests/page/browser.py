# SPDX-License-Identifier: Apache-2.0
"""A Chromium without a window, and what tests and screenshots ask of it."""
import base64
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

HANG_SECONDS = 60
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--force-color-profile=srgb", "--hide-scrollbars", "--disable-dev-shm-usage")
# Runs before the page does: what goes wrong in it is kept where a test can read it.
WATCH = """
window.troubles = [];
addEventListener("securitypolicyviolation", (e) => troubles.push(`CSP ${e.violatedDirective} ${e.blockedURI}`));
addEventListener("error", (e) => troubles.push(`error ${e.message} ${e.filename}:${e.lineno}`));
addEventListener("unhandledrejection", (e) => troubles.push(`rejection ${e.reason}`));
"""
TOLERATED = ("the server responded with a status of 4", "net::ERR_CONNECTION_REFUSED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING",
             "net::ERR_CONNECTION_RESET", "net::ERR_EMPTY_RESPONSE")


class Browser:
    def __init__(self, width=1440, height=1300, scale=1, flags=()):
        self.profile = tempfile.TemporaryDirectory(prefix="weir-page-", ignore_cleanup_errors=True)
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for flag in (*FLAGS, *flags, f"--user-data-dir={self.profile.name}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_script_timeout(HANG_SECONDS)
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        self.resize(width, height, scale)
        self.network_may_fail = False

    # ---- looking ----

    def cdp(self, method, **params):
        return self.driver.execute_cdp_cmd(method, params)

    def js(self, code, *args):
        return self.driver.execute_script(code, *args)

    def wait_async(self, code):
        """Until the code calls its last argument."""
        self.driver.execute_async_script(code)

    def resize(self, width, height, scale=1):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)

    def prefer(self, scheme="light", motion="no-preference"):
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}])

    def open(self, url, view="overview"):
        self.driver.get(f"{url}/#{view}")

    def until(self, condition, what):
        """Waits for a condition; what it gives back is returned."""
        end = time.monotonic() + HANG_SECONDS
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f"there never was {what}; the page says:\n{self.text('body')[:3000]}")

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0])?.innerText ?? null", selector)

    def texts(self, selector):
        return self.js("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)

    def wait_text(self, selector, part):
        return self.until(lambda: part in (self.text(selector) or ""), f"{part!r} in {selector}")

    def wait_live(self):
        self.wait_text("#link-text", "live")

    def row(self, id):
        """The cells of a backend's row as a dictionary, or None."""
        return self.js("""
            const name = [...document.querySelectorAll("#pools .name")].find((e) => e.textContent === arguments[0]);
            return name && Object.fromEntries([...name.closest("tr").cells].map((cell) =>
                [cell.className.slice(2), cell.innerText]));""", id)

    # ---- doing ----

    def click(self, selector):
        self.js("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        self.one(selector).click()

    def click_row(self, id, cell="act"):
        button = self.js("""
            const name = [...document.querySelectorAll("#pools .name")].find((e) => e.textContent === arguments[0]);
            const cell = name.closest("tr").querySelector(`.c-${arguments[1]} button`);
            cell.scrollIntoView({block: "center"});
            return cell;""", id, cell)
        button.click()

    def press(self, *keys):
        chain = ActionChains(self.driver)
        for key in keys:
            chain.send_keys(getattr(Keys, key.upper()) if len(key) > 1 and hasattr(Keys, key.upper()) else key)
        chain.perform()

    def fill(self, selector, text):
        field = self.one(selector)
        field.clear()
        field.send_keys(text)

    # ---- measuring ----

    def shown_at(self):
        """The moment of the state that the page shows, in ms."""
        return int(self.js("return document.getElementById('verdict').dataset.at"))

    def heap_bytes(self):
        self.cdp("HeapProfiler.collectGarbage")
        return self.cdp("Runtime.getHeapUsage")["usedSize"]

    def shot(self, path, whole=False):
        options = {"format": "png"}
        if whole:
            size = self.cdp("Page.getLayoutMetrics")["cssContentSize"]
            options |= {"captureBeyondViewport": True,
                        "clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}
        data = base64.b64decode(self.cdp("Page.captureScreenshot", **options)["data"])
        with open(path, "wb") as file:
            file.write(data)
        return data

    def troubles(self):
        """Errors, CSP reports and complaints of the console so far."""
        found = list(self.js("return window.troubles ?? []"))
        for entry in self.driver.get_log("browser"):
            if entry["level"] not in ("SEVERE", "WARNING"):
                continue
            if self.network_may_fail and any(part in entry["message"] for part in TOLERATED):
                continue
            found.append(f"console {entry['message']}")
        return found

    def close(self):
        self.driver.quit()
        self.profile.cleanup()
