"""The page in a real browser: talking, and going on whatever falls over."""

from __future__ import annotations

from example_chat.gateway_process import GatewayProcess
from example_chat.page import Page
from example_chat.talk import new_user, token_of
from example_chat.tutor import Tutor
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


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
