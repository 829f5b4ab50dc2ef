// Curves and timelines, drawn as SVG.

import { drawn } from "./nodes.js";
import { many, moment, span } from "./words.js";

/** How many seconds a curve shows. */
export const SAMPLES = 60;

const DAY = 86400;
const WIDTH = 240;
const HEIGHT = 24;

/** A curve of the last minute. */
export class Spark {
  constructor(place) {
    this.samples = [];
    this.path = drawn("path");
    const svg = drawn("svg", {
      class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true",
    });
    svg.append(this.path);
    place.append(svg);
  }

  /** Takes another second's value. */
  add(value) {
    this.samples.push(value ?? 0);
    if (this.samples.length > SAMPLES) {
      this.samples.shift();
    }
  }

  /** Draws it: the newest at the right. */
  draw() {
    const { samples } = this;
    const most = Math.max(...samples, 1e-9);
    const step = WIDTH / (SAMPLES - 1);
    const begin = WIDTH - (samples.length - 1) * step;
    const points = samples.map((value, at) => {
      const x = begin + at * step;
      const y = HEIGHT - 1.5 - (value / most) * (HEIGHT - 3);
      return `${x.toFixed(1)} ${y.toFixed(1)}`;
    });
    this.path.setAttribute("d", points.length > 1 ? `M${points.join("L")}` : "");
  }
}

/** A bar for a share of a whole. */
export class Meter {
  constructor(place) {
    this.part = drawn("rect", { class: "part", width: "0", height: "8" });
    const svg = drawn("svg", {
      class: "meter", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true",
    });
    svg.append(drawn("rect", { class: "all", width: "100", height: "8" }), this.part);
    place.append(svg);
  }

  /** Shows a share. */
  set(share) {
    const width = (Math.min(Math.max(share ?? 0, 0), 1) * 100).toFixed(1);
    if (width !== this.width) {
      this.width = width;
      this.part.setAttribute("width", width);
    }
  }
}

/** The outages of the last 24 hours. */
export class Timeline {
  constructor(place) {
    this.svg = drawn("svg", {
      class: "timeline", viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: "none", role: "img", "aria-label": "not known yet",
    });
    place.append(this.svg);
  }

  /** Draws what an availability of the API says, at a time in seconds since the epoch. */
  draw(availability, now) {
    const begin = now - DAY;
    const place = (at) => ((Math.min(Math.max(at, begin), now) - begin) / DAY) * WIDTH;
    const all = now - availability.uptime_seconds - availability.downtime_seconds;
    // Of what was before the outages that are kept nothing is known but that there were some.
    const known = isCut(availability, now) ? Math.max(all, availability.outages[0].begin) : all;
    const rect = (kind, from, to, top, height, least) => {
      const width = Math.max(place(to) - place(from), least);
      return drawn("rect", { class: kind, x: Math.min(place(from), WIDTH - width).toFixed(2), y: top, height, width: width.toFixed(2) });
    };
    const lately = outagesOfTheDay(availability, now);
    // At least a pixel or two: an outage of a second is one too.
    const marks = lately.map((one) => rect("was-down", one.begin, one.end ?? now, 0, 10, 1.5));
    const track = drawn("rect", { class: "track", width: WIDTH, height: 10 });
    this.svg.replaceChildren(track, rect("was-up", known, now, 4, 2, 0), ...marks);
    this.svg.setAttribute("aria-label", inWords(lately, now, isCut(availability, now)));
  }
}

/** The outages that reach into the last 24 hours. */
export function outagesOfTheDay(availability, now) {
  return availability.outages.filter((one) => (one.end ?? now) > now - DAY);
}

/** Whether there were more outages in the last 24 hours than are kept. */
export function isCut(availability, now) {
  const kept = availability.outages.filter((one) => one.failure).length;
  return availability.failures > kept && availability.outages[0]?.begin > now - DAY;
}

/** One outage in words. */
export function outageText(one) {
  const lasted = one.end == null ? `for ${span(one.seconds)} until now` : `for ${span(one.seconds)}`;
  const failed = one.failed_requests > 0 ? `; ${many(one.failed_requests, "request")} failed meanwhile` : "";
  return `${moment(one.begin)}, ${lasted}: ${one.cause}${failed}`;
}

function inWords(outages, now, cut) {
  if (outages.length === 0) {
    return "no outage in the last 24 hours";
  }
  const down = outages.reduce((sum, one) => sum + Math.min(one.seconds, (one.end ?? now) - (now - DAY)), 0);
  const last = outageText(outages[outages.length - 1]);
  return `${cut ? "at least " : ""}${many(outages.length, "outage")} in the last 24 hours, ${span(down)} down; the last one ${last}`;
}
