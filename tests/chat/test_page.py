"""The page in a real browser: a person can use it, with eyes or without, whatever falls over."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator

import pytest
import redis
from example_chat.gateway_process import GatewayProcess
from example_chat.stack import chat_settings
from example_chat.talk import new_user, token_of
from example_chat.tutor import Tutor
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from config.settings import Settings
from faults.command_process import CommandProcess
from servers.kafka import free_ports
from servers.store_server import StoreServer

SECONDS = 20
CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None, reason="no chromium and chromedriver here"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
        "disable-dev-shm-usage", "window-size=1000,800",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(CHROMEDRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def gateway_process(
    chat_kafka: Settings,
    worker: CommandProcess,
    redis_server: StoreServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    (port,) = free_ports(1)
    settings = chat_settings(chat_kafka, redis_server.url, port=port)
    process = GatewayProcess(settings, tmp_path_factory.mktemp("gateway") / "gateway.log")
    yield process
    process.kill()


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


@pytest.fixture
def page(browser: webdriver.Chrome, gateway_process: GatewayProcess) -> Page:
    page = Page(browser, gateway_process.url)
    page.enter()
    return page


@pytest.fixture
def tutor(page: Page, gateway_process: GatewayProcess) -> Tutor:
    return Tutor(gateway_process.settings, page.user_id, page.session_id)


def test_a_message_is_sent_and_has_its_place(page: Page) -> None:
    assert page.focused == page["text"]
    page.write("What is")
    page["text"].send_keys(Keys.SHIFT + Keys.ENTER)
    page.say("a fraction?")
    page.until(lambda: page.messages == ["What is\na fraction?"])
    assert page.drafts == []
    assert page["text"].get_attribute("value") == ""
    page.write("and more")
    page.browser.find_element(By.CSS_SELECTOR, "#say button").click()
    page.until(lambda: len(page.messages) == 2)
    assert page.focused == page["text"]
    assert page.complaints() == []


def test_the_token_leaves_the_address_at_once(page: Page) -> None:
    assert "#" not in page.browser.current_url
    history = "return performance.getEntriesByType('navigation')[0].name"
    page.browser.refresh()
    page.until(lambda: page.state == "Connected")
    assert "token" not in page.browser.current_url
    assert "token" not in str(page.browser.execute_script(history))


def test_an_answer_appears_as_it_is_written_and_is_replaced_by_the_whole(
    page: Page, tutor: Tutor
) -> None:
    page.say("why?")
    page.until(lambda: page.messages == ["why?"])
    question = tutor.last_question()
    tutor.piece(question, 0, "Wrong")
    page.until(lambda: page.drafts == ["Wrong"])
    tutor.piece(question, 0, "Look 👀", restart=True)
    tutor.piece(question, 6, " here")
    tutor.piece(question, 6, " here")
    tutor.piece(question, 40, "after a gap")
    page.until(lambda: page.drafts == ["Look 👀 here"])
    tutor.show(type="notice", code="llm_away", text="A simpler answer follows.")
    page.until(lambda: page.notices == ["A simpler answer follows."])
    tutor.answer(question, "Look 👀 here, and there.")
    page.until(lambda: page.messages == ["why?", "Look 👀 here, and there."])
    assert page.drafts == []


SCRIPT = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


def test_a_script_is_shown_as_text_and_never_run(page: Page, tutor: Tutor) -> None:
    page.say(SCRIPT)
    page.until(lambda: page.messages == [SCRIPT])
    question = tutor.last_question()
    tutor.piece(question, 0, SCRIPT)
    page.until(lambda: page.drafts == [SCRIPT])
    tutor.show(type="notice", code="llm_away", text=SCRIPT)
    page.until(lambda: page.notices == [SCRIPT])
    tutor.answer(question, SCRIPT, responder=f"expert:{SCRIPT}"[:200])
    page.until(lambda: page.messages == [SCRIPT, SCRIPT])
    assert page.browser.title == "Tutor"
    assert page.browser.find_elements(By.CSS_SELECTOR, "main img, main script") == []
    assert page.complaints() == []


def test_after_a_restart_what_was_missed_is_shown_once(
    page: Page, tutor: Tutor, gateway_process: GatewayProcess
) -> None:
    page.say("one")
    page.until(lambda: page.messages == ["one"])
    question = tutor.last_question()
    gateway_process.kill()
    page.until(lambda: "Connection lost" in page.state)
    assert page["retry"].is_displayed()
    page.say("two")
    page.until(lambda: page.drafts == ["two"])
    tutor.answer(question, "missed")
    gateway_process.start()
    page.until(lambda: page.state == "Connected")
    page.until(lambda: page.messages == ["one", "missed", "two"])
    assert page.drafts == []
    page.say("three")
    page.until(lambda: page.messages == ["one", "missed", "two", "three"])


def test_what_was_not_sent_survives_a_reload(page: Page, gateway_process: GatewayProcess) -> None:
    page.say("one")
    page.until(lambda: page.messages == ["one"])
    gateway_process.kill()
    page.until(lambda: "Connection lost" in page.state)
    page.say("two")
    page.until(lambda: page.drafts == ["two"])
    kept = page.browser.execute_script("return sessionStorage.getItem('chat.outbox')")
    assert "two" in kept
    gateway_process.start()
    page.browser.refresh()
    page.until(lambda: page.messages == ["one", "two"])
    assert page.drafts == []


def test_too_many_at_once_are_sent_a_little_later(page: Page) -> None:
    for number in range(12):
        page.say(f"m{number}")
    page.until(lambda: len(page.messages) == 12)
    assert sorted(page.messages) == sorted(f"m{number}" for number in range(12))


def test_a_session_is_ended_by_keyboard_and_begun_anew(page: Page) -> None:
    page.say("one")
    page.until(lambda: page.messages == ["one"])
    page["end"].send_keys(Keys.ENTER)
    assert page["confirm"].is_displayed()
    page.focused.send_keys(Keys.ESCAPE)
    page.until(lambda: not page["confirm"].is_displayed())
    assert page["say"].is_displayed()
    page["end"].send_keys(Keys.ENTER)
    assert page.focused.text == "Stay"
    page.focused.send_keys(Keys.TAB)
    page.focused.send_keys(Keys.ENTER)
    page.until(lambda: page.notices == ["The session has ended."])
    assert not page["say"].is_displayed()
    assert page.focused == page["again"]
    page.focused.send_keys(Keys.ENTER)
    page.until(lambda: page.state == "Connected" and page.focused == page["text"])
    page.say("a new one")
    page.until(lambda: page.messages == ["a new one"])


def test_a_token_may_be_pasted_and_a_bad_one_is_told(
    browser: webdriver.Chrome, gateway_process: GatewayProcess
) -> None:
    page = Page(browser, gateway_process.url)
    browser.get(f"{page.url}/healthz")
    browser.execute_script("sessionStorage.clear()")
    browser.get(page.url)
    page.until(page["token"].is_displayed)
    assert page.focused == page["token"]
    for bad in ("x.y.z", "not a token"):
        page.focused.send_keys(bad, Keys.ENTER)
        page.until(
            lambda: "token" in page["why"].text and "bad" in page["why"].get_attribute("class")
        )
        page.until(lambda: page.focused == page["token"])
    expert = token_of(new_user(), "expert", name="Ada")
    page.focused.send_keys(expert, Keys.ENTER)
    page.until(lambda: "not a learner" in page["why"].text)
    page.focused.send_keys(token_of(page.user_id, seconds=3), Keys.ENTER)
    page.until(lambda: page.state == "Connected")
    page.until(lambda: "expired" in page["why"].text)
    assert page.focused == page["token"]


def test_everything_is_reached_by_keyboard_in_order(page: Page) -> None:
    reached = []
    assert page.focused == page["text"]
    for keys in (Keys.SHIFT + Keys.TAB, Keys.SHIFT + Keys.TAB, Keys.TAB, Keys.TAB, Keys.TAB):
        page.focused.send_keys(keys)
        reached.append(page.focused.get_attribute("id") or page.focused.text)
    assert reached == ["scroll", "end", "scroll", "text", "Send"]


def test_who_cannot_see_it_is_told_what_everything_is(page: Page) -> None:
    page.say("one")
    page.until(lambda: page.messages == ["one"])
    named = {
        "end": ("button", "End session"),
        "scroll": ("group", "Messages, scrollable"),
        "messages": ("log", "Messages"),
        "text": ("textbox", "Your message"),
    }
    for id, (role, name) in named.items():
        assert (page[id].aria_role, page[id].accessible_name) == (role, name)
    assert page["state"].aria_role == page["activity"].aria_role == "status"
    assert page["messages"].get_attribute("aria-live") == "polite"
    assert page["drafts"].get_attribute("aria-live") == "off"
    assert page.browser.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
    unnamed = [
        each.get_attribute("outerHTML")
        for each in page.browser.find_elements(By.CSS_SELECTOR, "button, input, textarea")
        if each.is_displayed() and not each.accessible_name
    ]
    assert unnamed == []


CONTRASTS = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92
  : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c;
  }
};
const found = {};
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if ((!own && e.tagName !== "TEXTAREA") || !e.checkVisibility()) continue;
  const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
  found[e.id || e.className || e.tagName] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
return found;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_light_and_dark(page: Page, tutor: Tutor, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        page.say("one")
        page.until(lambda: page.messages == ["one"])
        question = tutor.last_question()
        tutor.answer(question, "two")
        page.until(lambda: len(page.messages) == 2)
        tutor.piece(question, 0, "three")
        tutor.show(type="notice", code="llm_away", text="four")
        page.until(lambda: page.notices)
        page.browser.execute_script("document.getElementById('over').hidden = false")
        script = "return getComputedStyle(document.body).backgroundColor"
        background = page.browser.execute_script(script)
        brightness = sum(map(int, re.findall(r"\d+", background)[:3]))
        assert (brightness > 600) == (scheme == "light")
        contrasts = page.browser.execute_script(CONTRASTS)
        assert len(contrasts) > 10
        assert {name: ratio for name, ratio in contrasts.items() if ratio < 4.5} == {}
    finally:
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_it_fits_a_small_screen_and_long_words(page: Page) -> None:
    size = {"width": 320, "height": 480, "deviceScaleFactor": 1, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page.browser.execute_script(
            "document.getElementById('text').value = arguments[0]", "x" * 3000 + "\n" * 50
        )
        page["text"].send_keys("!", Keys.ENTER)
        page.until(lambda: page.messages)
        overflow = "return document.documentElement.scrollWidth - innerWidth"
        assert page.browser.execute_script(overflow) <= 0
        for id in ("text", "end"):
            box = page[id].rect
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 320
            assert box["y"] + box["height"] <= 480
        script = "const s = document.getElementById('scroll');" \
            "return s.scrollHeight - s.scrollTop - s.clientHeight"  # fmt: skip
        assert page.browser.execute_script(script) < 5, "it stays at the newest message"
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
