import { call, login, logout, refresh, watchSession } from "./client.js";

const byId = (id) => document.getElementById(id);

/** Shows a message. Screen readers announce `message` politely and `alert` at once. */
function say(message, isError = false) {
  byId("message").textContent = isError ? "" : message;
  byId("alert").textContent = isError ? message : "";
}

/** Runs an action of the user and shows its result. */
async function act(button, action) {
  button?.setAttribute("aria-busy", "true");
  try {
    say(await action());
  } catch (error) {
    const gone = error.status === 401 && error.code !== "wrong_credentials";
    if (gone) showGuest(true);
    say(gone ? "You are no longer logged in." : error.message, true);
  } finally {
    button?.removeAttribute("aria-busy");
  }
}

let stopWatching;

/** Shows the end of the session at once, without waiting for the next click. */
function watch() {
  stopWatching?.();
  stopWatching = watchSession(async () => {
    // Another tab may have logged in again: then the browser has a newer session.
    try {
      await showUser(false);
      say("The session was replaced by a newer login.");
    } catch {
      showGuest(true);
      say("Your session was ended elsewhere or by an administrator.", true);
    }
  });
}

/** Logs out. The user requested this end, so `watch` does not announce it. */
async function leave(everywhere) {
  stopWatching?.();
  try {
    await logout(everywhere);
  } catch (error) {
    watch();
    throw error;
  }
}

function showGuest(focus) {
  stopWatching?.();
  stopWatching = undefined;
  byId("guest").hidden = false;
  byId("user").hidden = true;
  byId("note").value = "";
  byId("sessions").replaceChildren();
  byId("login-form").reset();
  if (focus) byId("username").focus();
}

async function showUser(focus) {
  await showMe();
  const [note] = await Promise.all([call("GET", "/notes"), showSessions()]);
  byId("note").value = note.text;
  byId("guest").hidden = true;
  byId("user").hidden = false;
  watch();
  if (focus) byId("user-heading").focus();
}

async function showMe() {
  const me = await call("GET", "/me");
  byId("name").textContent = me.user_id;
  byId("role").textContent = me.role;
  byId("expires").textContent = `${me.expires_in} seconds`;
  byId("admin").hidden = me.role !== "admin";
}

async function showSessions() {
  const { sessions } = await call("GET", "/auth/sessions");
  byId("sessions").replaceChildren(...sessions.map(row));
}

/** Inserts all values as text: the user agent comes from the client and is not trusted. */
function row(session) {
  const cell = (content, tag = "td") => {
    const element = document.createElement(tag);
    element.append(content);
    return element;
  };
  const time = (seconds) => {
    const element = document.createElement("time");
    const date = new Date(seconds * 1000);
    element.dateTime = date.toISOString();
    element.textContent = date.toLocaleString();
    return element;
  };
  const device = `${session.user_agent ?? "unknown"}${session.current ? " (this one)" : ""}`;
  const head = cell(device, "th");
  head.scope = "row";

  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "End";
  button.dataset.action = "end";
  const from = new Date(session.created_at * 1000).toLocaleString();
  button.setAttribute("aria-label", `End the session from ${from}${session.current ? ", this one" : ""}`);
  button.addEventListener("click", () =>
    act(button, async () => {
      if (session.current) {
        // Also removes the cookies.
        await leave();
        showGuest(true);
        return "You ended this session and are logged out.";
      }
      await call("DELETE", `/auth/sessions/${encodeURIComponent(session.id)}`);
      await showSessions();
      // The button is gone: give the focus to the heading.
      byId("sessions-heading").focus();
      return "The session was ended.";
    }),
  );

  const line = document.createElement("tr");
  line.append(head, cell(session.ip ?? "unknown"), cell(time(session.created_at)), cell(time(session.expires_at)));
  line.append(cell(button));
  return line;
}

function onSubmit(id, action) {
  byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    act(event.submitter, action);
  });
}

function onClick(id, action) {
  byId(id).addEventListener("click", () => act(byId(id), action));
}

onSubmit("login-form", async () => {
  await login(byId("username").value, byId("password").value);
  await showUser(true);
  return "You are logged in.";
});
onClick("refresh", async () => {
  await refresh();
  await Promise.all([showMe(), showSessions()]);
  return "The session was refreshed.";
});
onClick("logout", async () => {
  await leave();
  showGuest(true);
  return "You are logged out.";
});
onClick("logout-all", async () => {
  await leave(true);
  showGuest(true);
  return "You are logged out everywhere.";
});
onSubmit("note-form", async () => {
  await call("PUT", "/notes", { text: byId("note").value });
  return "The note was saved.";
});
onSubmit("role-form", async () => {
  const name = byId("role-user").value;
  const { role } = await call("PUT", `/admin/users/${encodeURIComponent(name)}/role`, { role: byId("new-role").value });
  return `${name} is ${role} from the next request on.`;
});
onSubmit("delete-form", async () => {
  const name = byId("delete-user").value;
  const { ended } = await call("DELETE", `/admin/users/${encodeURIComponent(name)}`);
  return `${name} was deleted; ${ended} sessions ended.`;
});

// Shows the user who is logged in already. `/me` refreshes if necessary; `/hello` is public, and a browser with only a
// refresh cookie is anonymous there.
showUser(false).catch((error) => {
  showGuest(false);
  if (error.status !== 401) say(error.message, true);
});
