// The browser's half of the sessions: copy this file.
//
// Scripts cannot see the tokens, which are in HttpOnly cookies. All they see is the code of an error:
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

/** Logs in: the user's name and password decide. */
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
      // When the connection breaks the browser connects again by itself. When the answer was an error it gives up: the
      // access token has expired, which asking for anything else repairs, or the session has ended.
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

/** Renews the cookies. Callers who come while a refresh is under way wait for that one. */
export function refresh() {
  refreshing ??= exclusively(() => send("POST", "/auth/refresh")).finally(() => {
    refreshing = undefined;
  });
  return refreshing;
}

// What sets cookies runs one at a time, over all tabs: the answer to a refresh that arrives after the answer to a
// newer login would replace its cookies with those of the session before. Where there are no Web Locks nothing breaks:
// the server bears parallel refreshes.
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
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, answer);
  return answer;
}
