// One backend: a row of its pool's table.

import { Meter, Spark, Timeline } from "./draw.js";
import { Slots, copy } from "./nodes.js";
import * as words from "./words.js";

/** Which rows can be seen: the others are written when they come into sight. Their states are always written. */
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const row = rows.get(target);
    if (row) {
      row.inSight = isIntersecting;
      row.paint();
    }
  }
}, { rootMargin: "200px" });

const rows = new WeakMap();

/** From now on a row learns whether it is in sight. */
export function watch(row) {
  rows.set(row.node, row);
  sight.observe(row.node);
}

/** It is gone. */
export function unwatch(row) {
  sight.unobserve(row.node);
}

/** Shows the rows that fit a filter, and hides the others; gives how many are shown. */
export function showFitting(rows, parts, unwell) {
  let shown = 0;
  for (const row of rows) {
    const fits = row.fits(parts, unwell);
    shown += fits ? 1 : 0;
    if (row.node.hidden === fits) {
      row.node.hidden = !fits;
    }
  }
  return shown;
}

/** A row. */
export class Row {
  constructor(pool, order) {
    this.node = copy("row-form");
    this.slots = new Slots(this.node);
    this.pool = pool;
    this.inSight = false;
    const { spark, bar, line } = this.slots.nodes;
    this.spark = new Spark(spark);
    this.meter = new Meter(bar);
    this.timeline = new Timeline(line);
    this.slots.nodes.order.addEventListener("click", () => order(this.pool, this.backend));
    watch(this);
  }

  /** Takes what the stream says of it. */
  take(backend) {
    this.backend = backend;
    this.spark.add(backend.rate);
    this.state();
    this.paint();
  }

  /** Takes what the API says of its outages. */
  takeOutages(availability, success, now) {
    this.outages = [availability, now];
    this.success = success;
    this.drawn = undefined;
    this.paint();
  }

  /** It is gone. */
  leave() {
    unwatch(this);
  }

  /** Whether all words of a filter stand in what it says. */
  fits(filter, unwell) {
    const { name, address, state } = this.backend;
    if (unwell && state === "up") {
      return false;
    }
    const text = `${this.pool} ${name} ${address} ${words.word(state)}`.toLowerCase();
    return filter.every((part) => text.includes(part));
  }

  state() {
    const { backend, slots } = this;
    slots.text("name", backend.name);
    slots.text("word", words.word(backend.state));
    slots.text("mark", words.mark(backend.state));
    slots.attribute("state", "data-state", backend.state);
    slots.text("why", backend.reason);
  }

  paint() {
    const { backend, slots } = this;
    if (!this.inSight || !backend) {
      return;
    }
    slots.text("since", `, for ${words.span(backend.for_seconds)}`);
    slots.text("address", backend.address === backend.name ? "" : backend.address);
    slots.text("share", words.percent(backend.share));
    slots.text("weight", weight(backend));
    slots.text("rate", words.rate(backend.rate));
    slots.text("p50", words.delay(backend.p50_seconds));
    slots.text("p99", words.delay(backend.p99_seconds));
    slots.text("failed", words.percent(backend.failed_ratio, backend.failed_ratio > 0 ? 1 : 0));
    slots.text("flight", String(backend.in_flight));
    slots.text("available", words.availability(backend.availability_ratio));
    slots.attribute("order", "aria-label", `Change ${backend.name} of pool ${this.pool}…`);
    this.meter.set(backend.share);
    this.spark.draw();
    if (this.outages && this.drawn !== this.outages) {
      this.drawn = this.outages;
      this.timeline.draw(...this.outages);
      slots.text("ledger", words.ledger(this.outages[0], this.success));
    }
  }
}

function weight(backend) {
  const said = backend.backup ? ["backup"] : [];
  if (backend.weight !== backend.configured_weight) {
    said.push(`weight ${backend.weight}, the file says ${backend.configured_weight}`);
  } else if (backend.weight !== 1) {
    said.push(`weight ${backend.weight}`);
  }
  return said.join(", ");
}
