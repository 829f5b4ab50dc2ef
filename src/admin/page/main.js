// The dashboard: takes a snapshot a second and shows what has changed.

import { follow, read } from "./link.js";
import { Slots } from "./nodes.js";
import { Configuration, Events, showCertificates } from "./notes.js";
import { Order, Reload } from "./orders.js";
import { Herald, Pools } from "./pools.js";
import { Routes } from "./routes.js";
import { span } from "./words.js";

/** Outages are read anew after a change of state, but no more often than this, and now and then in any case. */
const OUTAGES_EVERY_MS = 3000;
const OUTAGES_ANYHOW_MS = 60000;

const order = new Order();
const pools = new Pools((pool, backend) => order.ask(pool, backend, othersUp(pool, backend)));
const routes = new Routes();
const herald = new Herald();
const events = new Events();
const configuration = new Configuration();
for (const [id, event] of [["filter", "input"], ["unwell", "change"]]) {
  document.getElementById(id).addEventListener(event, () => routes.filter(...pools.wanted()));
}
const facts = new Slots(document.getElementById("facts"));
const outages = { wanted: true, at: -Infinity };
let latest;
new Reload();

follow(take, tell);
setInterval(() => showCertificates().catch(() => {}), 3600 * 1000);

function take(snapshot) {
  const began = performance.now();
  if (latest && latest.version !== snapshot.version) {
    // Another program answers now: this page is the old one's.
    location.reload();
    return;
  }
  latest = snapshot;
  facts.text("version", snapshot.version);
  facts.text("uptime", span(snapshot.uptime_seconds));
  facts.text("ready", snapshot.ready ? "yes" : "no, it is stopping");
  facts.text("connections", String(snapshot.connections));
  pools.take(snapshot.pools);
  // A build of the same version that is older does not tell of them.
  routes.take(snapshot.routes ?? [], snapshot.routes_cut ?? false);
  routes.filter(...pools.wanted());
  if (herald.take(snapshot.pools)) {
    outages.wanted = true;
  }
  // Whatever these cannot read now is tried again with the next snapshot.
  Promise.all([readOutages(snapshot.time), events.upTo(snapshot.last_event, snapshot.time - snapshot.uptime_seconds), readConfiguration(snapshot)]).catch(() => {});
  measure(began);
}

async function readConfiguration(snapshot) {
  if (await configuration.follow(snapshot)) {
    await showCertificates();
  }
}

async function readOutages(time) {
  const since = performance.now() - outages.at;
  if (outages.asking || !(outages.wanted ? since > OUTAGES_EVERY_MS : since > OUTAGES_ANYHOW_MS)) {
    return;
  }
  Object.assign(outages, { asking: true, wanted: false, at: performance.now() });
  try {
    const answer = await read("/api/v1/pools");
    pools.takeOutages(answer.pools, time);
    // So many that the stream does not tell of all are not worth their megabytes.
    if (!routes.cut) {
      routes.takeOutages((await read("/api/v1/routes")).routes, time);
    }
  } catch (error) {
    outages.wanted = true;
    throw error;
  } finally {
    outages.asking = false;
  }
}

function othersUp(pool, backend) {
  const all = latest.pools.find((one) => one.name === pool)?.backends ?? [];
  return all.filter((one) => one.name !== backend.name && ["up", "slow_start"].includes(one.state) && one.weight > 0).length;
}

function tell(state, text) {
  const place = document.getElementById("link");
  if (place.textContent !== text) {
    place.textContent = text;
    place.dataset.is = state;
    document.documentElement.classList.toggle("stale", state === "lost");
  }
}

/** How long it took from a snapshot until it was painted: for whoever looks with the browser's tools. One is kept. */
function measure(began) {
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      performance.clearMeasures("snapshot");
      performance.measure("snapshot", { start: began, end: performance.now() });
    };
    channel.port2.postMessage(null);
  });
}
