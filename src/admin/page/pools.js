// The pools, each a card with the table of its backends.

import { Spark, Timeline, isCut, outageText, outagesOfTheDay } from "./draw.js";
import { Slots, arrange, copy, element } from "./nodes.js";
import { Row, showFitting } from "./row.js";
import * as words from "./words.js";

/** Outages that a card lists. */
const MAX_LISTED = 50;

/** One pool. */
class Card {
  constructor(order) {
    this.order = order;
    this.node = copy("pool-form");
    this.slots = new Slots(this.node);
    this.body = this.node.querySelector("tbody");
    this.rows = new Map();
    this.spark = new Spark(this.slots.nodes.spark);
    this.timeline = new Timeline(this.slots.nodes.line);
  }

  take(pool) {
    this.pool = pool;
    const { slots } = this;
    const state = pool.up == null ? "unknown" : pool.up ? "up" : "down";
    slots.text("name", pool.name);
    slots.text("mark", words.mark(state));
    slots.text("word", pool.up ? "serves" : pool.up == null ? words.word(state) : "down");
    slots.attribute("state", "data-state", state);
    const well = pool.backends.filter((backend) => backend.state === "up").length;
    slots.text("why", `${well} of ${words.many(pool.backends.length, "backend")} up; ${pool.balance}`);
    slots.text("rate", words.rate(pool.rate));
    slots.text("failed", words.percent(pool.failed_ratio, pool.failed_ratio > 0 ? 2 : 0));
    slots.text("p50", words.delay(pool.p50_seconds));
    slots.text("p99", words.delay(pool.p99_seconds));
    slots.text("flight", String(pool.in_flight));
    slots.text("queue", String(pool.waiting));
    slots.text("available", words.availability(pool.availability_ratio));
    slots.text("success", words.availability(pool.success_ratio));
    slots.text("failures", String(pool.failures));
    slots.text("mtbf", pool.mtbf_seconds == null ? "–" : words.span(pool.mtbf_seconds));
    slots.text("mttr", pool.mttr_seconds == null ? "–" : words.span(pool.mttr_seconds));
    this.takeBudgets(pool.slo ?? {});
    slots.text("caption", `Backends of pool ${pool.name}`);
    this.spark.add(pool.rate);
    this.spark.draw();
    this.takeRows(pool);
  }

  takeBudgets(slo) {
    for (const name of ["availability", "latency"]) {
      const burn = slo[name];
      this.slots.show(`${name}-box`, burn != null);
      if (burn) {
        this.slots.text(`${name}-left`, words.left(burn));
        this.slots.attribute(`${name}-left`, "data-state", burn.budget_remaining_ratio > 0 ? "" : "down");
        const [few, hour, hours] = words.burnRates(burn);
        this.slots.text(`${name}-burn`, `burns at ${few} (5 min), ${hour} (1 h), ${hours} (6 h)`);
      }
    }
  }

  takeRows(pool) {
    const named = pool.backends.map((backend) => backend.name);
    for (const [name, row] of this.rows) {
      if (!named.includes(name)) {
        row.leave();
        this.rows.delete(name);
      }
    }
    const changed = named.length !== this.named?.length || named.some((name, at) => name !== this.named[at]);
    for (const backend of pool.backends) {
      let row = this.rows.get(backend.name);
      if (!row) {
        row = new Row(pool.name, this.order);
        this.rows.set(backend.name, row);
      }
      row.take(backend);
    }
    if (changed) {
      this.named = named;
      arrange(this.body, named.map((name) => this.rows.get(name).node));
    }
  }

  takeOutages(pool, now) {
    const told = [];
    for (const backend of pool.backends) {
      this.rows.get(backend.name)?.takeOutages(backend.availability, backend.traffic.success_ratio, now);
      for (const one of outagesOfTheDay(backend.availability, now)) {
        told.push([one.begin, `${backend.name}: ${outageText(one)}`]);
      }
    }
    if (pool.availability) {
      this.timeline.draw(pool.availability, now);
      for (const one of outagesOfTheDay(pool.availability, now)) {
        told.push([one.begin, `the whole pool: ${outageText(one)}`]);
      }
    }
    told.sort((a, b) => b[0] - a[0]);
    this.slots.show("outages", told.length > 0);
    const cut = [pool, ...pool.backends].some((one) => one.availability && isCut(one.availability, now));
    this.slots.text("outages-title", `${cut ? "at least " : ""}${words.many(told.length, "outage")} in the last 24 hours`);
    const list = told.slice(0, MAX_LISTED).map(([, text]) => element("li", text));
    this.slots.nodes["outages-list"].replaceChildren(...list);
  }

  /** Shows what fits; gives how many. */
  filter(parts, unwell) {
    const shown = showFitting(this.rows.values(), parts, unwell);
    const hidden = shown === 0 && (parts.length > 0 || unwell);
    if (this.node.hidden !== hidden) {
      this.node.hidden = hidden;
    }
    return shown;
  }

  leave() {
    this.rows.forEach((row) => row.leave());
  }
}

/** All pools. */
export class Pools {
  /** `order` is called with pool and backend where somebody wants to change one. */
  constructor(order) {
    this.order = order;
    this.cards = new Map();
    this.list = document.getElementById("list");
    this.box = document.getElementById("filter");
    this.unwell = document.getElementById("unwell");
    this.box.addEventListener("input", () => this.filter());
    this.unwell.addEventListener("change", () => this.filter());
  }

  /** What is to be shown: these words, and whether only what is not up. */
  wanted() {
    return [this.box.value.toLowerCase().split(/\s+/).filter(Boolean), this.unwell.checked];
  }

  /** Takes what the stream says. */
  take(pools) {
    const names = new Set(pools.map((pool) => pool.name));
    for (const [name, card] of this.cards) {
      if (!names.has(name)) {
        card.leave();
        this.cards.delete(name);
      }
    }
    for (const pool of pools) {
      if (!this.cards.has(pool.name)) {
        this.cards.set(pool.name, new Card(this.order));
      }
      this.cards.get(pool.name).take(pool);
    }
    arrange(this.list, pools.map((pool) => this.cards.get(pool.name).node));
    this.filter();
    this.summarise(pools);
  }

  /** Takes what the API says of outages. */
  takeOutages(pools, now) {
    pools.forEach((pool) => this.cards.get(pool.name)?.takeOutages(pool, now));
  }

  filter() {
    const wanted = this.wanted();
    let shown = 0;
    this.cards.forEach((card) => {
      shown += card.filter(...wanted);
    });
    document.getElementById("nothing").hidden = shown > 0 || this.cards.size === 0;
  }

  summarise(pools) {
    const counts = new Map();
    pools.flatMap((pool) => pool.backends).forEach(({ state }) => counts.set(state, (counts.get(state) ?? 0) + 1));
    const unwell = [...counts].reduce((sum, [state, count]) => sum + (state === "up" ? 0 : count), 0);
    const title = unwell > 0 ? `${unwell} not up · Equipoise` : "Equipoise";
    if (document.title !== title) {
      document.title = title;
    }
    const said = [...counts].map(([state, count]) => `${count} ${words.word(state)}`);
    const text = `${words.many(pools.length, "pool")}; backends: ${said.join(", ") || "none"}`;
    const place = document.getElementById("summary");
    if (place.textContent !== text) {
      place.textContent = text;
    }
  }
}

function standing(up) {
  return up == null ? "is not known yet" : up ? "serves" : "is down";
}

/** What is told to those who hear the page: how states changed between two snapshots. */
export class Herald {
  constructor() {
    this.states = new Map();
    this.begun = false;
  }

  take(pools) {
    const now = new Map();
    const told = [];
    const note = (key, state, sentence) => {
      now.set(key, state);
      if (this.begun && this.states.get(key) !== state) {
        told.push(sentence);
      }
    };
    for (const pool of pools) {
      note(JSON.stringify([pool.name]), pool.up, `Pool ${pool.name} ${standing(pool.up)}`);
      for (const one of pool.backends) {
        const key = JSON.stringify([pool.name, one.name]);
        note(key, one.state, `${one.name} of pool ${pool.name}: ${words.word(one.state)}, ${one.reason}`);
      }
    }
    this.states = now;
    this.begun = true;
    if (told.length > 0) {
      const rest = told.length > 5 ? [`and ${told.length - 5} more changes`] : [];
      document.getElementById("told").textContent = [...told.slice(0, 5), ...rest].join(". ");
    }
    return told.length > 0;
  }
}
