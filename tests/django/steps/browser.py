"""The user with a browser: Debian's chromium, headless, driven by selenium."""

import shutil

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as seen
from selenium.webdriver.support.ui import WebDriverWait

from steps.client import ADD, LIST
from steps.servers import HOST, PASSWORD, USER

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run
    --disable-background-networking --disable-component-update --disable-sync --no-proxy-server""".split()

DIGEST = """
const [url, done] = arguments;
fetch(url).then(r => r.arrayBuffer()).then(b => crypto.subtle.digest("SHA-256", b)).then(
  d => done([...new Uint8Array(d)].map(x => x.toString(16).padStart(2, "0")).join("")), e => done(String(e)));
"""
BAD_RESOURCES = """
return performance.getEntriesByType("resource").filter(e => e.responseStatus >= 400).map(e => e.responseStatus + " " + e.name);
"""


class Browser:
    """One browser with an empty profile, kept open over all balancers."""

    def __init__(self, work):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in FLAGS:
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={work / 'profile'}")
        options.add_argument(f"--host-resolver-rules=MAP {HOST} 127.0.0.1")
        service = webdriver.ChromeService(shutil.which("chromedriver"), log_output=str(work / "chromedriver.log"))
        self.driver = webdriver.Chrome(options, service)
        self.driver.set_page_load_timeout(40)
        self.base = None

    def go_to(self, port):
        """Uses the balancer on this port from now on, as a user who is not logged in."""
        self.base = f"http://{HOST}:{port}"
        self.driver.get(self.base + "/admin/login/")
        self.driver.delete_all_cookies()

    def login(self):
        """Logs in and ends on the list."""
        self._open(LIST)
        self._find("#id_username").send_keys(USER)
        self._find("#id_password").send_keys(PASSWORD)
        self._find("#login-form [type=submit]").click()
        self._wait(seen.presence_of_element_located((By.ID, "changelist")))

    def list(self):
        """Opens the list; what its pages could not load is returned."""
        self._open(LIST)
        self._wait(seen.presence_of_element_located((By.ID, "changelist")))
        return self.driver.execute_script(BAD_RESOURCES)

    def add(self, name, token, file):
        """Adds a customer with an upload through the form."""
        self._open(ADD)
        self._find("#id_name").send_keys(name)
        self._find("#id_token").send_keys(token)
        self._find("#id_document").send_keys(str(file))
        self._find("[name=_save]").click()
        self._wait_for_success("added")

    def digest_of(self, path):
        """The SHA-256 of what the browser gets from `path`."""
        return self.driver.execute_async_script(DIGEST, self.base + path)

    def delete(self, row):
        """Deletes a row by the page that asks whether one is sure."""
        self._open(f"{LIST}{row}/delete/")
        self._find("#content form [type=submit]").click()
        self._wait_for_success("deleted")

    def close(self):
        """Ends the browser."""
        self.driver.quit()

    def _open(self, path):
        self.driver.get(self.base + path)

    def _find(self, selector):
        return self._wait(seen.presence_of_element_located((By.CSS_SELECTOR, selector)))

    def _wait_for_success(self, word):
        self._wait(seen.text_to_be_present_in_element((By.CSS_SELECTOR, ".messagelist .success"), word))

    def _wait(self, condition):
        return WebDriverWait(self.driver, 20).until(condition)
