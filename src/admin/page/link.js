// The connection to the balancer: the stream, and single calls.

const TOKEN = "equipoise-token";
/** No word for so long is a lost connection: there is one each second. */
const SILENCE_MS = 5000;
/** After the stream was refused. */
const AGAIN_MS = 5000;

/** Follows the stream. `take` gets each snapshot, `tell` how the connection is: waiting, live, lost. */
export function follow(take, tell) {
  let heard = performance.now();
  let refused = "";
  const begin = () => {
    const source = new EventSource("/api/v1/stream");
    source.addEventListener("message", (event) => {
      heard = performance.now();
      refused = "";
      tell("live", "live");
      take(JSON.parse(event.data));
    });
    source.addEventListener("error", async () => {
      // The browser comes back by itself, unless it was answered with an error.
      if (source.readyState === EventSource.CLOSED) {
        refused = await whyRefused();
        setTimeout(begin, AGAIN_MS);
      }
    });
  };
  setInterval(() => {
    const silent = performance.now() - heard;
    if (silent > SILENCE_MS) {
      tell("lost", refused || `no word for ${Math.round(silent / 1000)} s; what you see is old`);
    }
  }, 1000);
  begin();
}

async function whyRefused() {
  try {
    const answer = await fetch("/api/v1/stream", { method: "HEAD" });
    return answer.status === 503 ? "too many dashboards are open; trying again" : "";
  } catch {
    return "";
  }
}

/** What a page of the API says. */
export async function read(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) {
    throw new Error(`${path}: status ${answer.status}`);
  }
  return answer.json();
}

/** Calls what changes something. Gives the status and what was answered. */
export async function call(method, path, body) {
  const headers = { "X-Equipoise": "dashboard" };
  const token = sessionStorage.getItem(TOKEN);
  if (token) {
    headers.Authorization = `Bearer ${token}`;
  }
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (answer.status === 401) {
    sessionStorage.removeItem(TOKEN);
  }
  const said = await answer.json().catch(() => ({}));
  return { status: answer.status, ok: answer.ok, said };
}

/** Keeps the token until the tab is closed. */
export function keepToken(token) {
  // What cannot stand in a header cannot be the token.
  if (/^[\x21-\x7e]+$/.test(token)) {
    sessionStorage.setItem(TOKEN, token);
  }
}
