// The browser's half of tower-jwt-sessions. See README.md beside this file; the types are in index.d.ts.
//
// Scripts cannot read the tokens, which are in HttpOnly cookies. They see `401` with `error="invalid_token"`, which
// means "refresh, then repeat". Only a refresh that is refused with 401 means "signed out": everything else that goes
// wrong is an outage, and ends by itself.
//
// The router serves this file without its comments and indentation: comments stand on lines of their own.

/** @typedef {import("./index.d.ts").SessionInfo} SessionInfo */
/** @typedef {import("./index.d.ts").SessionState} SessionState */
/** @typedef {import("./index.d.ts").SignedOutReason} SignedOutReason */
/** @typedef {import("./index.d.ts").Cancellable} Cancellable */
/** @typedef {{ status: number, headers: Headers, body: any }} Answer */

/** How long a stream may be silent. The server sends `alive` every 15 seconds. */
const SILENCE = 40_000;

/** A request that failed. */
export class SessionError extends Error {
  /** @param {string} code @param {string} message @param {number} [status] @param {number} [retryAfter] */
  constructor(code, message, status = 0, retryAfter = 0) {
    super(message);
    this.name = "SessionError";
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether this says nothing about the session: the server could not be reached, or could not answer. */
  get isOutage() {
    return this.code === "unreachable" || this.status === 429 || this.status > 499;
  }
}

/** @param {Headers} headers */
const seconds = (headers) => Math.max(0, Number(headers.get("retry-after")) || 0);

/** @param {Answer} answer */
const failure = ({ status, headers, body }) =>
  new SessionError(body.code ?? "failed", body.detail ?? body.title ?? `Answer ${status}`, status, seconds(headers));

/** @param {Response} response @returns {Promise<Answer>} */
const read = async (response) => {
  const body = await response.json().catch(ignore);
  return { status: response.status, headers: response.headers, body: body ?? {} };
};

/** @param {Headers} headers */
const challenge = (headers) => headers.get("www-authenticate") ?? "";

/** Whether the server says that there is no session. Not a 401 of a proxy. @param {Answer} answer */
const isRefused = ({ status, headers }) => status === 401 && /^Bearer/.test(challenge(headers));

/** @param {(AbortSignal | null | undefined)[]} signals */
const any = (...signals) => AbortSignal.any(signals.filter((signal) => signal != null));

/**
 * Waits, at most until the signal.
 *
 * @template T @param {Promise<T>} promise @param {AbortSignal | null} [signal] @returns {Promise<T>}
 */
const abortable = (promise, signal) => {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
};

/** @param {number} ms @param {AbortSignal} [signal] @returns {Promise<void>} */
const sleep = (ms, signal) => abortable(new Promise((resolve) => setTimeout(resolve, ms)), signal);

const ignore = () => {};

/** @param {import("./index.d.ts").SessionOptions} [options] @returns {import("./index.d.ts").BrowserSession} */
export function createSession(options = {}) {
  const { base = "/auth", loginUrl = "/login", timeout = 8_000, fetchTimeout = 30_000, lockTimeout = 4_000 } = options;
  const { events = `${base}/events`, pollInterval = 30_000 } = options;
  const name = `session ${base}`;
  const closing = new AbortController();
  const closed = any(closing.signal, options.signal);

  /** @type {SessionState} */
  let state = "unknown";
  /** @type {SessionInfo | null} */
  let info = null;
  // By performance.now(): the wall clock of the client may be wrong.
  let expiresAt = 0;
  // Only use prolongs a session: a page that is left open does not.
  let isUsed = false;
  let renewals = 0;
  let departures = 0;
  let failures = 0;
  let refusals = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let ahead;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;
  let refreshes = new AbortController();
  /** @type {Promise<void> | null} */
  let refreshing = null;
  /** @type {Promise<void> | null} */
  let checking = null;
  /** @type {Promise<any> | null} */
  let entering = null;
  /** @type {BroadcastChannel | null} */
  let channel = null;
  /** @type {AbortController | null} */
  let leading = null;

  /** @param {SessionState} next */
  const become = (next) => {
    if (state === next) return;
    state = next;
    if (next === "signedOut") pause();
    options.onState?.(next);
  };

  /** @param {string} type @param {unknown} [value] */
  const post = (type, value) => channel?.postMessage([type, value]);

  /**
   * Sends one request of this module, and throws where the answer says nothing about the session. The limit includes
   * the body.
   *
   * @param {string} url @param {RequestInit} [init] @param {AbortSignal} [limit] @returns {Promise<Answer>}
   */
  const send = async (url, init, limit) => {
    const headers = new Headers(init?.headers);
    headers.set("accept", "application/json");
    const signal = any(AbortSignal.timeout(timeout), init?.signal, limit, closed);
    let answer;
    try {
      answer = await read(await fetch(url, { cache: "no-store", ...init, headers, signal }));
    } catch (error) {
      if (init?.signal?.aborted || closed.aborted) throw error;
      throw new SessionError("unreachable", "The server is unreachable.");
    }
    const error = failure(answer);
    if (error.isOutage) throw error;
    return answer;
  };

  /** Asks for the session; `null` if there is none. @param {Cancellable} [init] */
  const probe = async (init) => {
    const answer = await send(`${base}/session`, init);
    if (answer.status === 200 && answer.body.session_id) return answer.body;
    if (!isRefused(answer)) throw failure(answer);
    return null;
  };

  const stopRefreshes = () => {
    refreshes.abort();
    refreshes = new AbortController();
  };

  /**
   * Runs requests that set cookies one at a time, over all tabs: if the answer to a refresh arrived after that to a
   * newer login, it would replace the new cookies. A lock that is not granted in time, since a request hangs or a tab
   * is frozen, is done without: the server answers parallel refreshes.
   *
   * @template T @param {() => Promise<T>} work @param {AbortSignal | null} [signal] @returns {Promise<T>}
   */
  const exclusively = async (work, signal) => {
    let isGranted = false;
    const granted = () => {
      isGranted = true;
      return work();
    };
    try {
      return await navigator.locks.request(name, { signal: any(AbortSignal.timeout(lockTimeout), signal) }, granted);
    } catch (error) {
      if (isGranted || signal?.aborted) throw error;
      return work();
    }
  };

  /**
   * The same for a login or logout. Where it does without the lock, a refresh that hangs is given up in all tabs: its
   * late answer would bring back the cookies of the former session.
   *
   * @template T @param {() => Promise<T>} work @param {AbortSignal | null} [signal] @returns {Promise<T>}
   */
  const decisively = (work, signal) =>
    exclusively(() => {
      stopRefreshes();
      post("stop");
      return work();
    }, signal);

  /** @param {number} [expiresIn] */
  const expire = (expiresIn) => {
    if (!expiresIn || expiresIn < 0) return;
    expiresAt = performance.now() + expiresIn * 1000;
    clearTimeout(ahead);
    // A tenth earlier, one minute at most, and not at the same time in all tabs.
    const early = Math.min(expiresIn / 10, 60) * (1 + Math.random());
    const refreshAhead = () => isUsed && !document.hidden && refresh().catch(ignore);
    ahead = setTimeout(refreshAhead, Math.min((expiresIn - early) * 1000, 2 ** 31 - 1));
  };

  /** @param {{ expires_in: number } & SessionInfo} found */
  const adopt = ({ expires_in, ...found }) => {
    // What the page shows of another user has to go.
    if (info && info.user_id !== found.user_id) leave("replaced");
    const before = info;
    // The stream is that of the former session.
    if (before?.session_id !== found.session_id) pause();
    info = found;
    failures = refusals = 0;
    clearTimeout(retry);
    expire(expires_in);
    become("signedIn");
    if (!before) options.onSignedIn?.(found);
    else if (before.session_id !== found.session_id) options.onChanged?.(found);
    void lead();
  };

  /** @param {SignedOutReason} reason */
  const leave = (reason) => {
    const isNew = state !== "signedOut";
    info = null;
    failures = 0;
    departures++;
    clearTimeout(ahead);
    clearTimeout(retry);
    become("signedOut");
    if (isNew) options.onSignedOut?.(reason);
  };

  /** Tries again until the server answers. @param {number} after */
  const fail = (after) => {
    // Nothing to lose, and the next login tells.
    if (state === "signedOut") return;
    become("unavailable");
    clearTimeout(retry);
    // A timer that is too long for the browser would end at once.
    const delay = Math.min(Math.max(after, Math.min(2 ** failures++, 30)), 300) * (1 + Math.random() / 4);
    retry = setTimeout(() => check().catch(ignore), delay * 1000);
  };

  /** @param {any} error */
  const noteOutage = (error) => {
    if (error instanceof SessionError && error.isOutage) fail(error.retryAfter);
  };

  const renew = async () => {
    const seen = renewals;
    await exclusively(async () => {
      // Another tab has refreshed while this one waited.
      if (renewals !== seen) return;
      // The browser itself refreshes a session that is bound to the device, before it sends this.
      let body = info?.bound && (await probe());
      /** @type {any} */
      let answer;
      if (!body?.expires_in) {
        answer = await send(`${base}/refresh`, { method: "POST" }, refreshes.signal);
        body = answer.body;
      }
      const isBound = body.code === "proof_required";
      if (isBound) body = await probe();
      // Not the page of a login or proxy that the request was redirected to.
      if (body?.expires_in) {
        renewals++;
        isUsed = false;
        expire(body.expires_in);
        post("renewed", body.expires_in);
        if (body.session_id) adopt(body);
        else if (info) become("signedIn");
        return;
      }
      // It puts that off during an outage, and after many signatures. Without its key it never does it again.
      if (isBound && refusals++ < 3) fail(0);
      else if (isBound || isRefused(answer)) {
        // Perhaps another tab has logged in meanwhile.
        const current = info && (await probe());
        if (current) return adopt(current);
        if (info) post("out", "ended");
        leave(info ? "ended" : "absent");
      }
      throw failure(answer);
    });
  };

  /** Concurrent calls share one request. @param {Cancellable} [init] @returns {Promise<void>} */
  const refresh = (init) => {
    const all = async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await renew();
        } catch (error) {
          // Without a status there was no answer.
          if (!(error instanceof SessionError && error.isOutage && error.status) || attempt > 2) {
            noteOutage(error);
            throw error;
          }
          await sleep(Math.min(error.retryAfter || attempt, 5) * 1000, closed);
        }
      }
    };
    refreshing ??= all().finally(() => (refreshing = null));
    return abortable(refreshing, init?.signal);
  };

  /** Asks the server whether there is a session. @returns {Promise<void>} */
  const check = () => {
    const ask = async () => {
      const seen = departures;
      try {
        let found = await probe();
        if (!found) {
          await renew();
          found = await probe();
        }
        // A logout meanwhile is newer than the answer.
        if (found && departures === seen) adopt(found);
      } catch (error) {
        if (error instanceof SessionError) fail(error.retryAfter);
        throw error;
      }
    };
    checking ??= ask().finally(() => (checking = null));
    return checking;
  };

  const changed = async () => {
    await refresh().catch(ignore);
    post("changed");
    if (info) options.onChanged?.(info);
  };

  /** Follows the stream until it ends. @param {AbortSignal} signal @returns {Promise<boolean>} whether it has opened */
  const follow = (signal) =>
    new Promise((resolve) => {
      const source = new EventSource(/** @type {string} */ (events));
      let isOpen = false;
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let silence;
      const close = () => {
        clearTimeout(silence);
        source.close();
        signal.removeEventListener("abort", close);
        resolve(isOpen);
      };
      const heard = () => {
        clearTimeout(silence);
        silence = setTimeout(close, SILENCE);
      };
      /** @param {string} type @param {(event: MessageEvent) => void} [listener] */
      const on = (type, listener) =>
        source.addEventListener(type, (event) => {
          isOpen = true;
          heard();
          listener?.(event);
        });
      heard();
      signal.addEventListener("abort", close);
      source.onerror = close;
      on("alive");
      on("session", (event) => adopt(JSON.parse(event.data)));
      on("changed", changed);
      on("ended", close);
    });

  /** Follows the stream again and again; where there is none, asks instead. @param {AbortSignal} signal */
  const watch = async (signal) => {
    let delay = 0;
    while (!signal.aborted) {
      const wasOpen = events && (await follow(signal));
      // After a stream that was open at once: most often it has ended because the session has.
      if (wasOpen) delay = 0;
      else await sleep((delay = events ? Math.min(delay * 2 || 1_000, pollInterval) : pollInterval), signal);
      if (signal.aborted) return;
      await check().catch(ignore);
      // Not all browsers at once when a server restarts.
      if (wasOpen) await sleep(500 + Math.random() * 1_000, signal);
    }
  };

  /** One visible tab of the browser follows the stream and tells the others. */
  const lead = async () => {
    if (leading || document.hidden || state !== "signedIn" || closed.aborted) return;
    const mine = (leading = new AbortController());
    const { signal } = mine;
    try {
      if (navigator.locks) await navigator.locks.request(`${name} events`, { signal }, () => watch(signal));
      else await watch(signal);
    } catch {
      // Aborted.
    } finally {
      if (leading === mine) leading = null;
    }
  };

  const pause = () => {
    leading?.abort();
    leading = null;
  };

  const wake = () => {
    if (document.hidden || closed.aborted) return pause();
    check().catch(ignore);
    void lead();
  };

  const listen = () => {
    if (channel) return;
    channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }) => {
      const [type, value] = Array.isArray(data) ? data : [];
      if (type === "out") leave(value);
      else if (type === "in") check().catch(ignore);
      else if (type === "stop") stopRefreshes();
      else if (type === "changed" && info) options.onChanged?.(info);
      else if (type === "renewed") {
        renewals++;
        expire(value);
      }
    };
  };

  // Without channel, lock and stream a page can go to the back/forward cache.
  const hide = () => {
    pause();
    channel?.close();
    channel = null;
  };

  /** @param {PageTransitionEvent} event */
  const show = (event) => {
    if (!event.persisted) return;
    listen();
    become("unknown");
    wake();
  };

  const { signal } = closing;
  document.addEventListener("visibilitychange", wake, { signal });
  document.addEventListener("freeze", pause, { signal });
  document.addEventListener("resume", wake, { signal });
  addEventListener("online", wake, { signal });
  addEventListener("pagehide", hide, { signal });
  addEventListener("pageshow", show, { signal });

  const close = () => {
    closing.abort();
    hide();
    clearTimeout(ahead);
    clearTimeout(retry);
  };
  options.signal?.addEventListener("abort", close, { signal });

  /** @param {string} path @param {Cancellable} [init] */
  const end = async (path, init) => {
    try {
      const answer = await decisively(() => send(base + path, { ...init, method: "POST" }), init?.signal);
      // Anything else may have left the session as it was.
      if (!answer.body.success && !isRefused(answer)) throw failure(answer);
    } catch (error) {
      noteOutage(error);
      throw error;
    }
    post("out", "logout");
    leave("logout");
  };

  /** @param {unknown} credentials @param {Cancellable} [init] */
  const enter = async (credentials, init) => {
    const isForm = credentials instanceof FormData || credentials instanceof URLSearchParams;
    const body = isForm ? credentials : JSON.stringify(credentials);
    /** @type {HeadersInit} */
    const headers = isForm ? {} : { "content-type": "application/json" };
    const answer = await decisively(() => send(loginUrl, { ...init, method: "POST", headers, body }), init?.signal);
    if (answer.status > 299) throw failure(answer);
    const found = await probe(init).catch((error) => {
      noteOutage(error);
      throw error;
    });
    if (!found) {
      const why = isSecureContext
        ? "They may be blocked, or this page is in a frame of another site."
        : "They are Secure, and this is plain http: use https.";
      throw new SessionError("cookies_not_kept", `The browser did not keep the login's cookies. ${why}`);
    }
    post("in");
    adopt(found);
    return answer.body;
  };

  /** @param {RequestInfo | URL} input @param {RequestInit & { timeout?: number }} [init] @returns {Promise<Response>} */
  const fetchAgain = async (input, init = {}) => {
    if (init.body instanceof ReadableStream)
      throw new SessionError("stream_body", "A stream is sent once: pass a Blob.");
    const { timeout: limit = fetchTimeout, ...rest } = init;
    const given = rest.signal ?? (input instanceof Request ? input.signal : null);
    const signal = any(limit ? AbortSignal.timeout(limit) : null, given, closed);
    const request = new Request(input, { ...rest, signal });
    if (info && performance.now() > expiresAt) await refresh({ signal }).catch(ignore);
    for (let attempt = 1; ; attempt++) {
      const seen = renewals;
      isUsed = true;
      let response;
      try {
        response = await fetch(request.clone());
      } catch (error) {
        if (!given?.aborted) check().catch(ignore);
        throw error;
      }
      if (attempt > 1) return response;
      const { status, headers } = response;
      // Without an error there was no cookie: that of an expired token is gone.
      const isExpired = (info ? /^Bearer(?!.*error=)|"invalid_token"/ : /"invalid_token"/).test(challenge(headers));
      if (status === 401 && isExpired) {
        try {
          // Unless the tokens are newer than the request.
          if (renewals === seen) await refresh({ signal });
        } catch (error) {
          if (error instanceof SessionError && error.status === 401) return response;
          throw error;
        }
      } else if (status === 503 && seconds(headers) && /GET|HEAD/.test(request.method)) {
        await sleep(Math.min(seconds(headers), 5) * 1000, signal);
      } else return response;
    }
  };

  /** @param {string} path @param {RequestInit} [init] */
  const json = async (path, init) => {
    const response = await fetchAgain(base + path, { ...init, timeout });
    const answer = await read(response);
    if (!response.ok) throw failure(answer);
    return answer.body;
  };

  listen();
  const ready = check().catch(ignore);

  return {
    ready,
    get state() {
      return state;
    },
    get info() {
      return info;
    },
    get expiresIn() {
      return info ? Math.max(0, (expiresAt - performance.now()) / 1000) : 0;
    },
    check,
    refresh,
    fetch: fetchAgain,
    login: (credentials, init) => (entering ??= enter(credentials, init).finally(() => (entering = null))),
    logout: (init) => end("/logout", init),
    logoutAll: (init) => end("/logout-all", init),
    list: async (init) => (await json("/sessions", init)).sessions,
    end: async (id, init) => {
      if (id === info?.session_id) return end("/logout", init);
      await json(`/sessions/${encodeURIComponent(id)}`, { ...init, method: "DELETE" });
    },
    close,
  };
}
