"""The page in a real browser, as a person uses it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from example_chat.talk import SECONDS, new_user, token_of
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_FLAGS = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
    "disable-background-networking", "disable-component-update", "disable-sync",
    "disable-dev-shm-usage", "window-size=1000,800",
)  # fmt: skip


def open_browser(folder: Path) -> webdriver.Chrome:
    """Debian's Chromium without a window, and without anything of an earlier one."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (*_FLAGS, f"user-data-dir={folder}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(CHROMEDRIVER))


class Page:
    """The page as a person uses it."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser, self.url = browser, url
        self.user_id = new_user()

    def enter(self) -> None:
        """With a token in the address, in a tab that knows nothing yet."""
        self.browser.get(f"{self.url}/healthz")
        self.browser.execute_script("sessionStorage.clear()")
        self.browser.get_log("browser")
        self.browser.get(f"{self.url}/#token={token_of(self.user_id)}")
        self.until(lambda: self.state == "Connected")

    def until(self, holds: Callable[[], object]) -> None:
        WebDriverWait(self.browser, SECONDS, poll_frequency=0.05).until(lambda _: holds())

    def __getitem__(self, id: str) -> WebElement:
        return self.browser.find_element(By.ID, id)

    @property
    def state(self) -> str:
        return self["state"].text

    @property
    def session_id(self) -> str:
        return str(self.browser.execute_script("return sessionStorage.getItem('chat.session')"))

    @property
    def messages(self) -> list[str]:
        return self._texts("#messages .message:not(.notice) .text")

    @property
    def notices(self) -> list[str]:
        return self._texts("#messages .notice .text")

    @property
    def drafts(self) -> list[str]:
        return self._texts("#drafts .text")

    def _texts(self, css: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
        return list(self.browser.execute_script(script, css))

    def write(self, text: str) -> None:
        self["text"].send_keys(text)

    def say(self, text: str) -> None:
        self.write(text)
        self["text"].send_keys(Keys.ENTER)

    @property
    def focused(self) -> WebElement:
        return self.browser.switch_to.active_element

    def complaints(self) -> list[str]:
        """What the browser says went wrong, but for connections that were cut."""
        found = [line["message"] for line in self.browser.get_log("browser")]
        return [line for line in found if "WebSocket connection" not in line]
