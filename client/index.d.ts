/** What the module knows of the session. Only `signedOut` means that a login is needed. */
export type SessionState =
  /** Not asked yet, or restored from the back/forward cache and not asked again yet. */
  | "unknown"
  | "signedIn"
  | "signedOut"
  /** An outage: the session may be valid, and the module asks again until it knows. */
  | "unavailable";

/**
 * `absent`: there was no session when the page was opened. `logout`: in any tab. `ended`: elsewhere, or expired.
 * `replaced`: another user has logged in, in any tab; hide what the page shows of the former one. `onSignedIn` follows.
 */
export type SignedOutReason = "absent" | "logout" | "ended" | "replaced";

/** The response of `GET <base>/session`, without `expires_in`. */
export interface SessionInfo {
  user_id: string;
  session_id: string;
  /** Seconds since 1970. */
  auth_time: number;
  /** Who acts as the user, if that is not the user. */
  actor: string | null;
  /** Whether the session is bound to its device. */
  bound: boolean;
}

/** A row of `GET <base>/sessions`. Times are seconds since 1970. The user agent is as the client sent it. */
export interface ListedSession {
  id: string;
  current: boolean;
  created_at: number;
  refreshed_at: number;
  expires_at: number;
  user_agent: string | null;
  ip: string | null;
  actor: string | null;
  bound: boolean;
}

export interface SessionOptions {
  /** Where the companion routers are mounted. Default: `/auth`. */
  base?: string;
  /** The login route of the application. Default: `/login`. */
  loginUrl?: string;
  /** The stream of events; `false` asks every `pollInterval` instead. Default: `<base>/events`. */
  events?: string | false;
  /** How often to ask where there is no stream, in milliseconds. Default: 30,000. */
  pollInterval?: number;
  /** The limit of each request of the module itself, in milliseconds. Default: 8,000. */
  timeout?: number;
  /** The limit of each `fetch` with its body, in milliseconds. Default: 30,000. */
  fetchTimeout?: number;
  /** How long to wait for another tab, in milliseconds. Default: 4,000. */
  lockTimeout?: number;
  /** Ends the module as `close` does. */
  signal?: AbortSignal;
  /** The state has changed. */
  onState?(state: SessionState): void;
  /** There is a session: at the start, after a login here or in another tab. Also of another user than before. */
  onSignedIn?(info: SessionInfo): void;
  /** There is none. Never called because of an outage. */
  onSignedOut?(reason: SignedOutReason): void;
  /** Claims have changed, such as a role, or a login of the same user: load again what depends on them. */
  onChanged?(info: SessionInfo): void;
}

export interface Cancellable {
  signal?: AbortSignal | null;
}

export interface BrowserSession {
  /** Resolves when the first check has succeeded or failed; `state` then says which. */
  readonly ready: Promise<void>;
  readonly state: SessionState;
  readonly info: SessionInfo | null;
  /** Seconds until the access token expires, by a clock that no user sets. It is refreshed before that while in use. */
  readonly expiresIn: number;
  /** Asks the server whether there is a session. */
  check(): Promise<void>;
  /** Refreshes now. Concurrent calls share one request. */
  refresh(init?: Cancellable): Promise<void>;
  /**
   * The `fetch` of the browser, which also refreshes and repeats a request once when the access token has expired, and
   * repeats `GET` and `HEAD` after `503` with `Retry-After`. `timeout: 0` means no limit. A stream as body is refused.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit & { timeout?: number }): Promise<Response>;
  /** Sends credentials to the login route: a form as it is, everything else as JSON. Returns the JSON of the response. */
  login(credentials: unknown, init?: Cancellable): Promise<any>;
  logout(init?: Cancellable): Promise<void>;
  /** Ends every session of the user. */
  logoutAll(init?: Cancellable): Promise<void>;
  list(init?: Cancellable): Promise<ListedSession[]>;
  /** Ends one session of the user; the current one with its cookies. */
  end(id: string, init?: Cancellable): Promise<void>;
  /** Stops listening. The session itself stays. */
  close(): void;
}

/** A request that failed. */
export class SessionError extends Error {
  /**
   * The code of the problem document, or `unreachable`, `cookies_not_kept`, `stream_body`, or `failed` if the response
   * had none.
   */
  code: string;
  /** The status of the response; 0 without one. */
  status: number;
  /** The `Retry-After` of the response in seconds, or 0. */
  retryAfter: number;
  /** Whether this says nothing about the session. */
  get isOutage(): boolean;
  constructor(code: string, message: string, status?: number, retryAfter?: number);
}

export function createSession(options?: SessionOptions): BrowserSession;
