// The sessions of the user as a list of devices.

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const BROWSERS = [
  [/Edg(e|A|iOS)?\//, "Edge"],
  [/OPR\//, "Opera"],
  [/SamsungBrowser\//, "Samsung Internet"],
  [/Firefox\/|FxiOS\//, "Firefox"],
  [/HeadlessChrome\/|Chrome\/|Chromium\/|CriOS\//, "Chrome"],
  [/Safari\//, "Safari"],
  [/^curl\//, "curl"],
];

const SYSTEMS = [
  [/iPhone/, "iPhone"],
  [/iPad/, "iPad"],
  [/Android/, "Android"],
  [/Windows/, "Windows"],
  [/CrOS/, "ChromeOS"],
  [/Mac OS X|Macintosh/, "Mac"],
  [/Linux|X11/, "Linux"],
];

/** Says in words what a User-Agent header means, which the client has chosen. @param {string | null} userAgent */
export function inWords(userAgent) {
  /** @param {(string | RegExp)[][]} table */
  const find = (table) => table.find(([pattern]) => /** @type {RegExp} */ (pattern).test(userAgent ?? ""))?.[1];
  const [browser, system] = [find(BROWSERS), find(SYSTEMS)];
  if (browser && system) return `${browser} on ${system}`;
  return String(browser ?? system ?? "Unknown device");
}

/** @param {number} seconds */
export function when(seconds) {
  return new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/**
 * Shows the sessions, the current one first. All values are inserted as text.
 *
 * @param {import("/auth/client.js").ListedSession[]} sessions
 * @param {(session: import("/auth/client.js").ListedSession, button: HTMLButtonElement) => void} end
 */
export function showDevices(sessions, end) {
  const ordered = [...sessions].sort((a, b) => Number(b.current) - Number(a.current) || b.refreshed_at - a.refreshed_at);
  const cards = ordered.map((session) => {
    const template = /** @type {HTMLTemplateElement} */ (byId("device"));
    const card = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    const heading = /** @type {HTMLElement} */ (card.querySelector("h3"));
    const details = /** @type {HTMLElement} */ (card.querySelector("p"));
    const button = /** @type {HTMLButtonElement} */ (card.querySelector("button"));
    const words = inWords(session.user_agent);
    heading.append(words);
    if (session.current) {
      const badge = document.createElement("span");
      badge.className = "badge good";
      badge.textContent = "this device";
      heading.append(badge);
    }
    if (session.bound) {
      const badge = document.createElement("span");
      badge.className = "badge";
      badge.textContent = "bound";
      heading.append(badge);
    }
    const parts = [`Logged in ${when(session.created_at)}`, `active ${when(session.refreshed_at)}`];
    if (session.ip) parts.push(`from ${session.ip}`);
    if (session.actor) parts.push(`used by ${session.actor}`);
    details.textContent = parts.join(" · ");
    const what = session.current ? "this session" : `the session of ${words} from ${when(session.created_at)}`;
    button.setAttribute("aria-label", `End ${what}`);
    button.addEventListener("click", () => end(session, button));
    return card;
  });
  byId("sessions").replaceChildren(...cards);
}
