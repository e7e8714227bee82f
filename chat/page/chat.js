// One session of a learner: docs/chat.md says what goes over the WebSocket.
//
// What was not accepted yet is kept for this tab (sessionStorage) and sent again, under the same id,
// after every new connection; what was missed comes by asking for all after the last id seen.

import { listen, view } from "./view.js";

const FIRST_PAUSE = 500, LONGEST_PAUSE = 30_000, TRY_AGAIN = 3_000;  // ms
const CONNECT_TIMEOUT = 15_000;  // ms until a connection that says nothing is given up
const FOR_GOOD = { 4400: "This page asked for something odd.", 4403: "This token is not a learner's." };

const store = {
  get: (name) => sessionStorage.getItem(`chat.${name}`),
  set: (name, value) => value === null
    ? sessionStorage.removeItem(`chat.${name}`)
    : sessionStorage.setItem(`chat.${name}`, value),
};

let token = store.get("token");
let session = store.get("session");
let outbox = JSON.parse(store.get("outbox") ?? "[]");  // [{id, text, sent_at, event_id?}]: has no place yet
let lastId = -1;
let shown = new Set();  // event ids
let drafts = new Map();  // in_reply_to → {text, length}
let ended = false;
let socket = null;
let welcomed = false;
let failures = 0;
let timer = 0;

function keepOutbox() { store.set("outbox", outbox.length ? JSON.stringify(outbox) : null); }

function connect() {
  clearTimeout(timer);
  timer = 0;
  if (socket) return;
  const url = new URL("/ws", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (session) url.searchParams.set("session", session);
  if (lastId >= 0) url.searchParams.set("after", lastId);
  view.state("off", "Connecting…");
  view.talk(ended);
  welcomed = false;
  try {
    socket = new WebSocket(url, ["learner-chat", token]);
  } catch {  // no token at all has such characters
    signOut("That is no token. Paste the one that your course gave you.");
    return;
  }
  const mine = socket;
  const patience = setTimeout(() => { if (!welcomed) mine.close(); }, CONNECT_TIMEOUT);
  mine.onmessage = (event) => { if (mine === socket) take(JSON.parse(event.data)); };
  mine.onclose = (event) => { clearTimeout(patience); if (mine === socket) closed(event); };
}

function closed(event) {
  socket = null;
  view.noDrafts();
  drafts.clear();
  if (event.code === 4401) { signOut(event.reason || "Your token is not good."); return; }
  if (FOR_GOOD[event.code]) { signOut(FOR_GOOD[event.code]); return; }
  if (event.code === 1009 && outbox.length) give_up(outbox[0].id, "Not sent: it is too long.");
  const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures) * (0.5 + Math.random() / 2);
  failures += 1;
  const said = event.code === 4429 ? "Open in too many places"
    : event.code === 1008 ? "Too many messages at once" : "Connection lost";
  view.state("lost", `${said}. Trying again…`);
  timer = setTimeout(connect, event.code === 1008 || event.code === 4429 ? LONGEST_PAUSE : pause);
}

function take(frame) {
  switch (frame.type) {
    case "welcome": return welcome(frame);
    case "accepted": return accepted(frame);
    case "message": return message(frame);
    case "token": return piece(frame);
    case "notice": return view.notice(frame.text);
    case "refused": return refused(frame);
  }
}

function welcome(frame) {
  welcomed = true;
  failures = 0;
  session = frame.session_id;
  store.set("session", session);
  view.state("on", "Connected");
  for (const waiting of outbox) send(waiting);
}

function send(waiting) {
  if (!welcomed || socket?.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ type: "say", id: waiting.id, text: waiting.text, sent_at: waiting.sent_at }));
}

function say(text) {
  const id = crypto.getRandomValues(new Uint32Array(4)).join("-");
  const waiting = { id, text, sent_at: new Date().toISOString() };
  outbox.push(waiting);
  keepOutbox();
  view.pending(waiting.id, text);
  if (!welcomed || !socket) view.told(waiting.id, "Waiting for the connection");
  send(waiting);
  return true;
}

function accepted(frame) {
  const waiting = outbox.find((each) => each.id === frame.id);
  if (!waiting) return;
  if (shown.has(frame.event_id)) settle(waiting);
  else {
    waiting.event_id = frame.event_id;
    keepOutbox();
    view.told(frame.id, "Sent");
  }
}

function settle(waiting) {
  outbox = outbox.filter((each) => each !== waiting);
  keepOutbox();
  view.settled(waiting.id);
}

function message(frame) {
  if (frame.id <= lastId || shown.has(frame.event_id)) return;
  lastId = frame.id;
  shown.add(frame.event_id);
  const waiting = outbox.find((each) => each.event_id === frame.event_id);
  if (waiting) settle(waiting);
  if (frame.in_reply_to) { drafts.delete(frame.in_reply_to); view.draft(frame.in_reply_to, null); }
  view.message(frame);
  if (frame.message_direction === "system" && frame.feedback_flags.includes("session_ended")) {
    ended = true;
    view.talk(true);
  }
}

// A piece is only added where the one before ended: what is missing comes with the whole message.
function piece(frame) {
  const before = frame.restart ? undefined : drafts.get(frame.in_reply_to);
  const known = before ?? { text: "", length: 0 };
  if (frame.position !== known.length) return;
  const draft = { text: known.text + frame.text, length: known.length + [...frame.text].length };
  drafts.set(frame.in_reply_to, draft);
  view.draft(frame.in_reply_to, draft.text);
}

function refused(frame) {
  const waiting = outbox.find((each) => each.id === frame.id);
  if (frame.code === "ended") { ended = true; view.talk(true); }
  if (!waiting) { view.notice(frame.text); return; }
  if (frame.code === "too_fast" || frame.code === "not_accepted") {
    view.told(frame.id, "Not sent yet. Trying again…", true);
    setTimeout(() => { if (outbox.includes(waiting)) send(waiting); }, TRY_AGAIN);
  } else give_up(frame.id, `Not sent: ${frame.text}`);
}

function give_up(id, why) {
  outbox = outbox.filter((each) => each.id !== id);
  keepOutbox();
  view.told(id, why, true);
}

function signOut(why) {
  socket = null;
  token = null;
  store.set("token", null);
  view.state("off", "Not connected");
  view.signIn(why, true);
}

function signIn(given) {
  if (!given) return;
  token = given;
  store.set("token", token);
  failures = 0;
  const open = socket;
  socket = null;
  open?.close();
  connect();
}

function again() {
  const open = socket;
  socket = null;
  open?.close();
  session = null;
  store.set("session", null);
  outbox = [];
  keepOutbox();
  lastId = -1;
  shown = new Set();
  ended = false;
  view.empty();
  view.talk(false);
  connect();
}

// The token comes in the part of the address that no server is sent, and leaves it at once.
function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return false;
  history.replaceState(null, "", location.pathname + location.search);
  signIn(given);
  return true;
}

listen({
  say,
  signIn,
  again,
  end: () => socket?.send(JSON.stringify({ type: "end" })),
  retry: connect,
});
addEventListener("hashchange", fromAddress);
addEventListener("online", () => { if (timer) connect(); });
for (const waiting of outbox) view.pending(waiting.id, waiting.text);
if (!fromAddress()) {
  if (token) connect();
  else view.signIn();
}
