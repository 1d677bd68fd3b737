// Session handling in the browser: copy this file.
//
// Scripts cannot read the tokens, which are in HttpOnly cookies. They only see the code of an error:
// `invalid_token` means "refresh, then try again"; a refresh that fails with 401 means "log in".

/** A failed request: `status`, and the `code` of the problem document. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code;
  }
}

/** Sends a request. Refreshes once and tries again when the access token has expired. */
export async function call(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (error) {
    if (error.code !== "invalid_token") throw error;
  }
  await refresh();
  return send(method, path, body);
}

/** Logs in with user name and password. */
export function login(username, password) {
  return exclusively(() => send("POST", "/login", { username, password }));
}

/** Ends this session, or every session of the user. */
export function logout(everywhere = false) {
  return exclusively(() => send("POST", everywhere ? "/auth/logout-all" : "/auth/logout"));
}

/**
 * Calls `ended` when the session ends, wherever that happens: another tab, another device, an administrator.
 * Returns a function that stops listening.
 */
export function watchSession(ended) {
  let source;
  let retry;
  const stop = () => {
    clearTimeout(retry);
    source?.close();
    source = undefined;
  };
  const listen = () => {
    source = new EventSource("/live");
    source.addEventListener("ended", () => {
      stop();
      ended();
    });
    source.addEventListener("error", () => {
      // After a lost connection the browser reconnects. After an error response it does not: either the access token
      // has expired, and `check` refreshes it, or the session has ended.
      if (source?.readyState !== EventSource.CLOSED) return;
      stop();
      retry = setTimeout(check, 1000);
    });
  };
  const check = async () => {
    try {
      await call("GET", "/me");
      if (retry) listen();
    } catch (error) {
      if (!retry) return;
      if (error.status === 401) ended();
      else retry = setTimeout(check, 5000);
    }
  };
  listen();
  return () => {
    stop();
    retry = undefined;
  };
}

let refreshing;

/** Refreshes the cookies. Concurrent calls share one request. */
export function refresh() {
  refreshing ??= exclusively(() => send("POST", "/auth/refresh")).finally(() => {
    refreshing = undefined;
  });
  return refreshing;
}

// Requests that set cookies run one at a time, over all tabs: if the response to a refresh arrived after that to a
// newer login, it would replace the new cookies with those of the former session. Without Web Locks sessions still
// work, since the server tolerates parallel refreshes.
function exclusively(work) {
  return navigator.locks ? navigator.locks.request("session", work) : work();
}

async function send(method, path, body) {
  const options = { method, headers: { accept: "application/json" } };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ApiError(0, { code: "offline", title: "The server cannot be reached." });
  }
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, content);
  return content;
}
