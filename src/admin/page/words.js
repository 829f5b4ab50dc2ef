// Numbers and states in words.

const STATES = {
  up: ["●", "up"],
  slow_start: ["▲", "slow start"],
  paused: ["‖", "paused"],
  ejected: ["◆", "ejected"],
  down: ["✕", "down"],
  drain: ["◐", "drain"],
  maintenance: ["■", "maintenance"],
  unknown: ["○", "not known yet"],
};

const NONE = "–";

/** The mark of a state: another shape for each. */
export function mark(state) {
  return (STATES[state] ?? STATES.unknown)[0];
}

/** The word for a state. One that this page does not know is shown as it is. */
export function word(state) {
  return STATES[state]?.[1] ?? state;
}

/** So many a second. */
export function rate(value) {
  if (value == null) {
    return NONE;
  }
  const digits = value === 0 || value >= 100 ? 0 : 1;
  // What is not nothing is not shown as nothing.
  const shown = value > 0 ? Math.max(value, 0.1) : value;
  return `${shown.toLocaleString("en-GB", { maximumFractionDigits: digits, minimumFractionDigits: digits })}/s`;
}

/** A time that somebody waits. */
export function delay(seconds) {
  if (seconds == null) {
    return NONE;
  }
  if (seconds < 0.01) {
    return `${(seconds * 1e3).toFixed(2)} ms`;
  }
  return seconds < 1 ? `${(seconds * 1e3).toFixed(seconds < 0.1 ? 1 : 0)} ms` : `${seconds.toFixed(2)} s`;
}

/** A share of a whole. */
export function percent(share, digits = 0) {
  return share == null ? NONE : `${(share * 100).toFixed(digits)} %`;
}

/** Availability: never rounded up to 100 where something is missing. */
export function availability(share) {
  if (share == null) {
    return NONE;
  }
  if (share >= 1) {
    return "100 %";
  }
  const digits = share > 0.9999 ? 4 : share > 0.99 ? 3 : 1;
  const parts = 10 ** (digits + 2);
  return `${((Math.floor(share * parts) / parts) * 100).toFixed(digits)} %`;
}

/** Failures and their means, and what requests saw; empty where all was well. `record` has what it counts since the beginning. */
export function ledger(record, success) {
  const said = [];
  if (record.failures > 0) {
    const means = [["MTBF", record.mtbf_seconds], ["MTTR", record.mttr_seconds]].filter(([, mean]) => mean != null);
    said.push([many(record.failures, "failure"), ...means.map(([name, mean]) => `${name} ${span(mean)}`)].join(", "));
  }
  if (success != null && success < 1) {
    said.push(`${availability(success)} of requests succeeded`);
  }
  return said.join("; ");
}

/** What is left of an error budget, never rounded up; less than nothing where it is overdrawn. */
export function left(burn) {
  return `${Math.floor(burn.budget_remaining_ratio * 100)} %`;
}

/** How fast it is spent: of late, and in longer times. */
export function burnRates(burn) {
  return [burn.burn_rate_5m, burn.burn_rate_1h, burn.burn_rate_6h].map((one) => one.toFixed(1));
}

/** How long something has been so, in its two largest units. */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => whole >= size);
  if (first < 0) {
    return "0 s";
  }
  const [name, size] = units[first];
  const text = `${Math.floor(whole / size)} ${name}`;
  const below = units[first + 1];
  const rest = below ? Math.floor((whole % size) / below[1]) : 0;
  return rest > 0 && first < 3 ? `${text} ${rest} ${below[0]}` : text;
}

/** A time of the day, with the date where it is not today's. */
export function moment(seconds) {
  const at = new Date(seconds * 1000);
  const time = at.toLocaleTimeString("en-GB");
  return at.toDateString() === new Date().toDateString() ? time : `${day(seconds)} ${time}`;
}

/** A date. */
export function day(seconds) {
  const at = new Date(seconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** One or several of something. */
export function many(count, one, more = `${one}s`) {
  return `${count} ${count === 1 ? one : more}`;
}
