// What stands below the pools: events, the configuration, certificates.

import { read } from "./link.js";
import { Slots, element } from "./nodes.js";
import { day, many, moment, span } from "./words.js";

/** Events that are shown. */
const MAX_EVENTS = 100;
const SOON = 14 * 86400;
/** By so many seconds the begin of a process seems to move that goes on: clocks are set. */
const SAME_BEGIN = 5;

/** The last events, the newest first. */
export class Events {
  constructor() {
    this.last = 0;
    this.begun = 0;
    this.list = document.getElementById("events");
  }

  /** There are events up to this number, of a process that began at this time. */
  async upTo(last, begun) {
    if (Math.abs(begun - this.begun) > SAME_BEGIN) {
      // Another one, which counts from 1 again.
      this.last = 0;
    }
    this.begun = begun;
    if (last === this.last || this.asking) {
      return;
    }
    this.asking = true;
    try {
      // Fewer than before: the balancer has begun anew.
      const after = last < this.last ? 0 : this.last;
      const { events } = await read(`/api/v1/events?after=${after}`);
      if (after === 0) {
        this.list.replaceChildren();
      }
      events.forEach((event) => this.list.prepend(line(event)));
      while (this.list.children.length > MAX_EVENTS) {
        this.list.lastElementChild.remove();
      }
      this.last = events.at(-1)?.number ?? last;
      document.getElementById("no-events").hidden = this.list.children.length > 0;
    } finally {
      this.asking = false;
    }
  }
}

function line(event) {
  const { pool, backend, listener, reason, ...rest } = event.fields;
  const whose = [backend && pool ? `${backend} of pool ${pool}` : pool && `pool ${pool}`, listener && `listener ${listener}`];
  const more = Object.entries(rest).map(([name, value]) => `${name} ${value}`);
  const said = [...whose, reason, ...more].filter(Boolean).join("; ");
  const made = element("li", "");
  const time = element("time", moment(event.time), { datetime: new Date(event.time * 1000).toISOString() });
  const level = element("span", event.level, { class: "level", "data-level": event.level });
  made.append(time, level, element("span", said ? `${event.message}: ${said}` : event.message));
  return made;
}

/** The configuration in force. */
export class Configuration {
  constructor() {
    this.slots = new Slots(document.getElementById("config").parentElement);
  }

  /** Reads it again where the stream says that something happened to it. */
  async follow({ sha256, loaded, reloaded }) {
    const key = `${sha256} ${loaded} ${reloaded}`;
    if (key === this.key) {
      return false;
    }
    const config = await read("/api/v1/config");
    this.key = key;
    const { slots } = this;
    const { last_reload: last } = config;
    slots.text("source", config.source);
    slots.text("sha256", config.sha256.slice(0, 16));
    slots.attribute("sha256", "title", config.sha256);
    slots.text("loaded", `${moment(config.loaded)}`);
    slots.text("reload", last ? `${last.result === "ok" ? "✓ ok" : "✕ rejected, nothing changed"}, ${moment(last.time)}` : "none since the start");
    slots.attribute("reload", "data-state", last?.result === "rejected" ? "down" : "");
    slots.text("reloads", `${config.reloads_ok} in force, ${config.reloads_rejected} rejected`);
    slots.text("text", last?.text ?? "");
    slots.show("text", Boolean(last?.text));
    return true;
  }
}

/** The certificates that clients are shown. */
export async function showCertificates() {
  const { listeners } = await read("/api/v1/listeners");
  const now = Date.now() / 1000;
  const rows = listeners.flatMap((listener) => listener.certificates.map((one) => {
    const left = one.not_after - now;
    const state = left <= 0 ? "down" : left < SOON ? "slow_start" : "up";
    const text = left <= 0 ? `✕ expired on ${day(one.not_after)}` : `${state === "up" ? "●" : "▲"} ${day(one.not_after)}, in ${inDays(left)}`;
    const row = element("tr", "");
    row.append(element("th", one.name, { scope: "row" }), element("td", listener.name), element("td", text, { "data-state": state }));
    return row;
  }));
  const section = document.getElementById("certificates");
  section.hidden = rows.length === 0;
  section.querySelector("tbody").replaceChildren(...rows);
}

function inDays(seconds) {
  return seconds < 86400 ? span(seconds) : many(Math.floor(seconds / 86400), "day");
}
