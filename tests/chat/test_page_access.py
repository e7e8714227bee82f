"""The page in a real browser: by keyboard, by ear, in light and dark, on a small screen."""

from __future__ import annotations

import re

import pytest
from example_chat.page import Page
from example_chat.tutor import Tutor
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


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
