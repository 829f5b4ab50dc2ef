"""The browser: Debian's chromium, headless, driven by selenium and by its DevTools protocol."""

import base64
import shutil
import time

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from steps.world import wait_until

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run --hide-scrollbars
    --disable-background-networking --disable-component-update --disable-sync --no-proxy-server""".split()

# The text of a part of a row or of a pool, by data-part. Asked within the page: no node is remembered here.
TEXT = """
const [pool, backend, part] = arguments;
const card = [...document.querySelectorAll(".pool")].find(c => c.querySelector(".head [data-part=name]").textContent === pool);
const root = backend == null ? card : [...(card?.querySelectorAll("tbody tr") ?? [])].find(
  r => r.querySelector("[data-part=name]").textContent === backend);
return root?.querySelector(`[data-part="${part}"]`)?.textContent ?? null;
"""

# The least contrast of any text against the ground that it stands on (WCAG 2.2, 1.4.3).
CONTRAST = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const numbers = text => text.match(/[0-9.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const ground = node => {
  for (let at = node; at; at = at.parentElement) {
    const colour = numbers(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let worst = [99, ""];
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || node.closest("template, script, noscript") || !node.checkVisibility()) continue;
  const [a, b] = [light(numbers(getComputedStyle(node).color)), light(ground(node))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < worst[0]) worst = [ratio, walker.currentNode.data.trim()];
}
return worst;
"""

VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", e => violations.push(e.violatedDirective + " " + e.blockedURI));
"""


class View:
    """One browser with an empty profile."""

    def __init__(self, work):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in [*FLAGS, f"--user-data-dir={work / 'profile'}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver"), log_output=str(work / "chromedriver.log"))
        self.driver = webdriver.Chrome(options, service)
        self.driver.set_page_load_timeout(30)
        self.tell("Page.addScriptToEvaluateOnNewDocument", source=VIOLATIONS)

    def open(self, admin):
        """Opens the dashboard and waits until it is live."""
        self.driver.get(f"http://{admin}/")
        wait_until("the page is live", lambda: self.link() == "live")

    def close(self):
        """Ends the browser."""
        self.driver.quit()

    def tell(self, method, **arguments):
        """A call of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(method, arguments)

    def run(self, script, *arguments):
        """Runs a script within the page."""
        return self.driver.execute_script(script, *arguments)

    def link(self):
        """How the page says that its connection is."""
        return self.run("return document.getElementById('link').dataset.is")

    def text(self, pool, backend, part):
        """What a part of a row, or of a pool where there is no backend, says."""
        return self.run(TEXT, pool, backend, part)

    def shows(self, pool, backend, part, wanted, seconds=15.0):
        """Waits until it says so; gives how long that took, in seconds."""
        began = time.monotonic()
        wait_until(f"{backend} {part} is {wanted}", lambda: self.text(pool, backend, part) == wanted, seconds)
        return time.monotonic() - began

    def find(self, selector):
        """A node."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def button(self, pool, backend):
        """The button of a row."""
        label = f"Change {backend} of pool {pool}…"
        wait_until(label, lambda: self.run("return !!document.querySelector(arguments[0])", f'[aria-label="{label}"]'))
        return self.find(f'[aria-label="{label}"]')

    def keys(self, *keys):
        """Presses keys where the focus is."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def order(self, pool, backend, state=None, weight=None):
        """Changes a backend through the dialog, with the mouse; does not wait for the end."""
        self.button(pool, backend).click()
        if state:
            self.find(f'#order input[value="{state}"]').click()
        if weight is not None:
            box = self.find("#order-weight")
            box.clear()
            box.send_keys(str(weight))
        self.find("#order [type=submit]").click()

    def dialog_closes(self):
        """Waits until no dialog is open."""
        wait_until("the dialog closes", lambda: not self.run("return !!document.querySelector('dialog[open]')"))

    def size(self, width, height, phone=False):
        """Sets the size of what is seen."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def scheme(self, name):
        """light or dark."""
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def overflow(self):
        """By how many pixels the page is wider than the window."""
        return self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def picture(self, path):
        """Keeps what is seen as PNG; gives its size in bytes."""
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png", optimizeForSpeed=False)["data"]))
        return path.stat().st_size

    def roles(self):
        """The roles of what assistive technology sees, and the names of its buttons."""
        nodes = self.tell("Accessibility.getFullAXTree")["nodes"]
        seen = [node for node in nodes if not node.get("ignored")]
        roles = {node["role"]["value"] for node in seen}
        nameless = [node for node in seen if node["role"]["value"] in ("button", "textbox", "searchbox", "checkbox", "link", "table")
                    and not node.get("name", {}).get("value")]
        return roles, nameless

    def complaints(self, but=()):
        """What the console and the policy complained of since the last call."""
        entries = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        wrong = [entry for entry in entries if not any(part in entry for part in but)]
        return wrong + self.run("return window.violations")


ENTER, SPACE, DOWN, TAB, ESCAPE = Keys.ENTER, Keys.SPACE, Keys.ARROW_DOWN, Keys.TAB, Keys.ESCAPE

