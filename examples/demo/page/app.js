import { SessionError, createSession } from "/auth/client.js";
import { showDevices, when } from "/devices.js";

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

/** Shows a message. Screen readers announce `message` politely and `alert` at once. @param {string} text */
function say(text, isError = false) {
  byId("message").textContent = isError ? "" : text;
  byId("alert").textContent = isError ? text : "";
}

const STATES = {
  unknown: "Connecting …",
  signedIn: "Logged in",
  signedOut: "Not logged in",
  unavailable: "Offline, trying again …",
};

// What the user has just asked for is announced by the action, not as news from elsewhere.
let isLeaving = false;
let isReplaying = false;
let isReplaced = false;

const session = createSession({
  onState(state) {
    const isBack = byId("state").dataset.state === "unavailable" && state === "signedIn";
    if (isBack) say("The server answers again. You are still logged in.");
    byId("state").textContent = STATES[state];
    byId("state").dataset.state = state;
    byId("outage").hidden = state !== "unavailable";
    byId("guest").hidden = state !== "signedOut";
    // During an outage what was shown stays; a page from the back/forward cache shows nothing until it has asked.
    byId("user").hidden = !session?.info || state === "unknown" || state === "signedOut";
  },
  onSignedIn({ user_id, session_id, bound }) {
    byId("alarm").hidden = true;
    if (isReplaced) say(`You are now logged in as ${user_id}.`);
    isReplaced = false;
    void reload();
    if (!bound && location.protocol === "https:") void untilBound(session_id);
    byId("user").hidden = false;
  },
  onSignedOut(reason) {
    forget();
    isReplaced = reason === "replaced";
    if (reason === "absent" || isReplaced || isLeaving) return;
    if (isReplaying) {
      byId("alarm").hidden = false;
      byId("alarm-heading").focus();
      return;
    }
    byId("username").focus();
    if (reason === "logout") say("You have logged out in another tab.");
    else say("This session was ended: on another device, by an administrator, or because it expired.", true);
  },
  async onChanged() {
    const before = byId("role").textContent;
    await reload();
    const role = byId("role").textContent;
    if (before !== role) say(`Your role is now: ${role}.`);
  },
});

/** Sends a request with JSON, and returns the JSON of the answer. @param {string} method @param {string} path @param {unknown} [body] */
async function call(method, path, body) {
  /** @type {RequestInit} */
  const init = { method, headers: { accept: "application/json" } };
  if (body !== undefined) {
    init.headers = { accept: "application/json", "content-type": "application/json" };
    init.body = JSON.stringify(body);
  }
  const response = await session.fetch(path, init);
  const content = await response.json().catch(() => ({}));
  if (response.ok) return content;
  throw new SessionError(content.code ?? "failed", content.detail ?? content.title ?? `Answer ${response.status}`, response.status);
}

/** Runs an action of the user once, and shows its result. @param {HTMLElement | null} button @param {() => Promise<string>} action */
async function act(button, action) {
  if (button?.hasAttribute("aria-disabled")) return;
  button?.setAttribute("aria-disabled", "true");
  try {
    say(await action());
  } catch (error) {
    const isOutage = !(error instanceof SessionError) || error.isOutage;
    // The end of the session has its own message.
    if (isOutage) say("The server did not answer. Nothing was lost: try again.", true);
    else if (session.state === "signedIn" || !byId("guest").hidden) say(error.message, true);
  } finally {
    button?.removeAttribute("aria-disabled");
  }
}

/** @param {number} seconds */
function inMinutes(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

/** Loads everything that depends on the user. */
async function reload() {
  try {
    const [me, note] = await Promise.all([call("GET", "/me"), call("GET", "/notes"), showSessions()]);
    byId("name").textContent = me.user_id;
    byId("role").textContent = me.role;
    showBinding(me.bound);
    byId("admin").hidden = me.role !== "admin";
    if (document.activeElement !== byId("note")) byId("note").value = note.text;
  } catch {
    // The state says whether the session has ended. During an outage, this is repeated when the server answers.
    if (session.state !== "signedOut") setTimeout(() => session.info && reload(), 3000);
  }
}

/** @param {boolean} bound */
function showBinding(bound) {
  byId("bound").hidden = !bound;
  byId("elsewhere-bound").hidden = !bound;
  byId("elsewhere-unbound").hidden = bound;
  // An old token is refused for its missing signature then, and raises no alarm.
  byId("replay").hidden = bound;
}

/** Browsers bind a session some moments after the login, without telling the page. @param {string} id */
async function untilBound(id) {
  for (let wait = 500; wait < 20_000; wait *= 2) {
    await new Promise((done) => setTimeout(done, wait));
    if (session.info?.session_id !== id) return;
    await session.check().catch(() => {});
    if (session.info?.bound) return reload();
  }
}

async function showSessions() {
  const sessions = await session.list();
  showDevices(sessions, end);
  const current = sessions.find((listed) => listed.current);
  if (!current) return;
  byId("until").textContent = when(current.expires_at);
  byId("until").dateTime = new Date(current.expires_at * 1000).toISOString();
}

/** @param {import("/auth/client.js").ListedSession} listed @param {HTMLElement} button */
function end(listed, button) {
  return act(button, async () => {
    if (listed.current) return leave(() => session.logout(), "You ended this session and are logged out.");
    await session.end(listed.id);
    await showSessions();
    // The button is gone: give the focus to the heading.
    byId("sessions-heading").focus();
    return "The session was ended on that device.";
  });
}

/** @param {() => Promise<void>} logout @param {string} message */
async function leave(logout, message) {
  isLeaving = true;
  try {
    await logout();
  } finally {
    isLeaving = false;
  }
  byId("username").focus();
  return message;
}

/** Removes what belongs to the user from the page. */
function forget() {
  byId("note").value = "";
  byId("sessions").replaceChildren();
  byId("login-form").reset();
  for (const id of ["name", "role", "until", "countdown"]) byId(id).textContent = "";
  byId("admin").hidden = true;
  showBinding(false);
}

/** Asks before what cannot be undone. @param {string} title @param {string} text @param {string} yes @returns {Promise<boolean>} */
function confirmed(title, text, yes) {
  const dialog = byId("confirm");
  byId("confirm-heading").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  return new Promise((resolve) => {
    byId("confirm-no").onclick = () => dialog.close();
    byId("confirm-yes").onclick = () => dialog.close("yes");
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
    dialog.returnValue = "";
    dialog.showModal();
  });
}

/** @param {string} id @param {() => Promise<string>} action */
function onSubmit(id, action) {
  byId(id).addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    void act(event.submitter, action);
  });
}

/** @param {string} name @param {() => Promise<string>} action */
function onAction(name, action) {
  const button = /** @type {HTMLElement} */ (document.querySelector(`#user > section [data-action="${name}"]`));
  button.addEventListener("click", () => act(button, action));
}

onSubmit("login-form", async () => {
  await session.login({ username: byId("username").value, password: byId("password").value });
  byId("password").value = "";
  byId("user-heading").focus();
  return "You are logged in.";
});
onAction("refresh", async () => {
  await session.refresh();
  await reload();
  if (session.info?.bound) return "The browser renews this session by itself, with a signature.";
  return "The session was renewed.";
});
onAction("logout", () => leave(() => session.logout(), "You are logged out."));
onAction("logout-all", () => leave(() => session.logoutAll(), "You are logged out everywhere."));
onAction("elsewhere", async () => {
  const { status, answer, access_for } = await call("POST", "/theft/elsewhere");
  const tried = "A program without the key of this device sent a refresh with a copy of your cookies.";
  const rest = `The access token in the copy is good for another ${inMinutes(access_for)}.`;
  if (answer?.success) return `${tried} It was accepted: that program has your session now, and goes on for as long as you do.`;
  return `${tried} It was refused: ${status} ${answer?.code} – ${answer?.detail ?? answer?.title} ${rest}`;
});
onAction("replay", async () => {
  isReplaying = true;
  try {
    await call("POST", "/theft/copy");
    for (;;) {
      const { outcome } = await call("POST", "/theft/use");
      if (outcome === "refused") {
        await session.check().catch(() => {});
        return "";
      }
      if (outcome === "too_early") await session.refresh();
      const steps = { too_early: "Getting a newer token …", repeated: "The thief repeats the old token …" };
      say(steps[/** @type {"too_early" | "repeated"} */ (outcome)]);
      await new Promise((done) => setTimeout(done, 1000));
    }
  } finally {
    isReplaying = false;
  }
});
onSubmit("note-form", async () => {
  await call("PUT", "/notes", { text: byId("note").value });
  return "The note was saved.";
});
onSubmit("role-form", async () => {
  const name = byId("role-user").value;
  const { role } = await call("PUT", `/admin/users/${encodeURIComponent(name)}/role`, { role: byId("new-role").value });
  return `${name} is now ${role}, and stays logged in.`;
});
onSubmit("delete-form", async () => {
  const name = byId("delete-user").value;
  const text = "The user is deleted and logged out everywhere at once. This cannot be undone.";
  if (!(await confirmed(`Delete ${name}?`, text, `Delete ${name}`))) return "Nothing was deleted.";
  const { ended } = await call("DELETE", `/admin/users/${encodeURIComponent(name)}`);
  byId("delete-form").reset();
  return `${name} was deleted; ${ended} ${ended === 1 ? "session" : "sessions"} ended.`;
});
byId("try-again").addEventListener("click", () => session.check().catch(() => {}));

// Not a live region: a screen reader would announce every second.
setInterval(() => {
  byId("countdown").textContent = inMinutes(Math.ceil(session.expiresIn));
}, 1000);
// Logins on other devices are no news of this session. Asking now and then would count as use, and prolong it.
addEventListener("focus", () => session.state === "signedIn" && showSessions().catch(() => {}));
