// The routes: a table of them all.

import { Spark, Timeline } from "./draw.js";
import { Slots, arrange, copy } from "./nodes.js";
import { showFitting, unwatch, watch } from "./row.js";
import * as words from "./words.js";

/** One route. Each listener has a `default`, so that a name alone does not tell which. */
const key = (route) => JSON.stringify([route.name, route.listeners]);

class RouteRow {
  constructor() {
    this.node = copy("route-form");
    this.slots = new Slots(this.node);
    this.inSight = false;
    this.spark = new Spark(this.slots.nodes.spark);
    this.timeline = new Timeline(this.slots.nodes.line);
    watch(this);
  }

  take(route) {
    this.route = route;
    this.spark.add(route.rate);
    const { slots } = this;
    slots.text("name", route.name);
    slots.text("listeners", `of ${route.listeners.join(", ")}`);
    slots.text("pool", route.pool);
    this.state = route.up == null ? "unknown" : route.up ? "up" : "down";
    slots.text("mark", words.mark(this.state));
    slots.text("word", words.word(this.state));
    slots.attribute("state", "data-state", this.state);
    this.paint();
  }

  takeOutages(availability, now) {
    this.outages = availability && [availability, now];
    this.paint();
  }

  fits(filter, unwell) {
    const { name, pool, listeners } = this.route;
    if (unwell && this.state === "up") {
      return false;
    }
    const text = `${name} ${pool} ${listeners.join(" ")} ${words.word(this.state)}`.toLowerCase();
    return filter.every((part) => text.includes(part));
  }

  paint() {
    const { route, slots } = this;
    if (!this.inSight || !route) {
      return;
    }
    slots.text("rate", words.rate(route.rate));
    slots.text("failed", words.percent(route.failed_ratio, route.failed_ratio > 0 ? 1 : 0));
    slots.text("p50", words.delay(route.p50_seconds));
    slots.text("p99", words.delay(route.p99_seconds));
    slots.text("success", words.availability(route.success_ratio));
    slots.text("available", words.availability(route.availability_ratio));
    slots.text("ledger", words.ledger(route));
    const told = ["availability", "latency"].filter((name) => route.slo?.[name]);
    slots.text("budget", told.length > 0 ? budget(told[0], route.slo) : "–");
    slots.text("other-budget", told.length > 1 ? budget(told[1], route.slo) : "");
    this.spark.draw();
    if (this.outages && this.drawn !== this.outages) {
      this.drawn = this.outages;
      this.timeline.draw(...this.outages);
    }
  }
}

function budget(name, slo) {
  return `${name} ${words.left(slo[name])}; ${words.burnRates(slo[name]).join(", ")}`;
}

/** All routes. */
export class Routes {
  constructor() {
    this.rows = new Map();
    this.section = document.getElementById("routes");
    this.body = this.section.querySelector("tbody");
  }

  /** Takes what the stream says of them, and whether there are more. */
  take(routes, cut) {
    this.cut = cut;
    document.getElementById("routes-cut").hidden = !cut;
    this.section.hidden = routes.length === 0;
    const keys = routes.map(key);
    const kept = new Set(keys);
    for (const [name, row] of this.rows) {
      if (!kept.has(name)) {
        unwatch(row);
        this.rows.delete(name);
      }
    }
    routes.forEach((route, at) => {
      if (!this.rows.has(keys[at])) {
        this.rows.set(keys[at], new RouteRow());
      }
      this.rows.get(keys[at]).take(route);
    });
    arrange(this.body, keys.map((name) => this.rows.get(name).node));
  }

  /** Takes what the API says of their outages. */
  takeOutages(routes, now) {
    routes.forEach((route) => this.rows.get(key(route))?.takeOutages(route.availability, now));
  }

  /** Shows what fits. */
  filter(parts, unwell) {
    const shown = showFitting(this.rows.values(), parts, unwell);
    document.getElementById("no-route").hidden = shown > 0 || this.rows.size === 0;
  }
}
