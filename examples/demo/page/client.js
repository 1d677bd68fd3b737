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
