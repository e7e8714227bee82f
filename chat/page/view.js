// What the person sees. Text from anywhere is only ever set as text, never as HTML.

const $ = (id) => document.getElementById(id);
const NEAR_END = 60;  // pixels from the end at which new messages still scroll into view

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function author(message) {
  if (message.message_direction === "user") return "You";
  const expert = message.responder.match(/^expert:(.+)$/s);
  return expert ? expert[1] : "Tutor";
}

function bubble(kind, who, text) {
  const made = element("div", `message ${kind}`);
  made.append(element("p", "who", who), element("p", "text", text));
  return made;
}

function keepAtEnd(change) {
  const scroll = $("scroll");
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_END;
  change();
  if (atEnd) scroll.scrollTop = scroll.scrollHeight;
  else $("newer").hidden = false;
}

export const view = {
  // A message that counts. Own ones look like those that are still on their way.
  message(message) {
    const special = message.message_direction === "system" && message.feedback_flags.length > 0;
    const mine = message.message_direction === "user";
    keepAtEnd(() => {
      $("empty").hidden = true;
      if (special) { this._notice(message.message_text); return; }
      const made = bubble(mine ? "mine" : "theirs", author(message), message.message_text);
      const time = element("time", "", new Date(message.timestamp)
        .toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
      time.dateTime = message.timestamp;
      made.querySelector(".who").append(time);
      $("messages").append(made);
    });
  },

  notice(text) { keepAtEnd(() => this._notice(text)); },

  _notice(text) {
    const made = element("div", "message notice");
    made.append(element("p", "text", text));
    $("messages").append(made);
  },

  // A message of one's own that has no place in the session yet.
  pending(id, text) {
    const made = bubble("mine", "You", text);
    made.id = `pending-${id}`;
    made.append(element("p", "told", "Sending…"));
    keepAtEnd(() => { $("empty").hidden = true; $("drafts").append(made); });
  },

  told(id, text, failed = false) {
    const made = $(`pending-${id}`);
    if (!made) return;
    made.querySelector(".told").textContent = text;
    made.classList.toggle("failed", failed);
    if (failed) this.activity(text);
  },

  settled(id) { $(`pending-${id}`)?.remove(); },

  // An answer as far as it is written; null takes it away.
  draft(key, text) {
    const id = `draft-${key}`;
    if (text === null) { $(id)?.remove(); this.activity(""); return; }
    keepAtEnd(() => {
      const made = $(id) ?? bubble("theirs writing", "Tutor", "");
      made.querySelector(".text").textContent = text;
      if (!made.id) { made.id = id; $("drafts").prepend(made); this.activity("The tutor is writing."); }
    });
  },

  noDrafts() { for (const made of document.querySelectorAll(".writing")) made.remove(); },

  // For screen readers only: what changes without being a message.
  activity(text) { $("activity").textContent = text; },

  state(kind, text) {
    $("state").dataset.state = kind;
    if ($("state").textContent !== text) $("state").textContent = text;
    $("retry").hidden = kind !== "lost";
  },

  signIn(why, bad = false) {
    $("talk").hidden = true;
    $("end").hidden = true;
    $("sign-in").hidden = false;
    if (why) $("why").textContent = why;
    $("why").classList.toggle("bad", bad);
    $("token").value = "";
    $("token").focus();
  },

  talk(ended) {
    const before = $("talk").hidden;
    $("sign-in").hidden = true;
    $("talk").hidden = false;
    $("say").hidden = ended;
    $("over").hidden = !ended;
    $("end").hidden = ended;
    if (ended) $("again").focus();
    else if (before) $("text").focus();
  },

  empty() {
    $("messages").replaceChildren();
    $("drafts").replaceChildren();
    $("empty").hidden = false;
    $("newer").hidden = true;
  },
};

// `on`: say(text), signIn(token), end(), again(), retry().
export function listen(on) {
  const text = $("text");
  const send = () => {
    if (text.value.trim() && on.say(text.value)) text.value = "";
    text.focus();
  };
  $("say").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  $("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    on.signIn($("token").value.trim());
  });
  $("end").addEventListener("click", () => { $("confirm").returnValue = "stay"; $("confirm").showModal(); });
  $("confirm").addEventListener("close", () => { if ($("confirm").returnValue === "end") on.end(); });
  $("again").addEventListener("click", () => { on.again(); text.focus(); });
  $("retry").addEventListener("click", () => { on.retry(); text.focus(); });
  const scroll = $("scroll");
  scroll.addEventListener("scroll", () => {
    if (scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_END) $("newer").hidden = true;
  });
  $("newer").addEventListener("click", () => { scroll.scrollTop = scroll.scrollHeight; text.focus(); });
}
