// Figures over time: from counters that only grow to rates and percentiles of the last seconds.

/** Reads Prometheus' text format into a map from name to [{labels, value}]. */
function parseMetrics(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    const parts = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!parts) continue;
    const labels = {};
    for (const [, name, value] of (parts[2] || "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value;
    if (!families.has(parts[1])) families.set(parts[1], []);
    families.get(parts[1]).push({ labels, value: Number(parts[3]) });
  }
  return families;
}

/** What one moment's metrics say of each service. */
function readServices(families) {
  const services = new Map();
  const of = (labels) => {
    if (!services.has(labels.service)) services.set(labels.service, { requests: 0, failed: 0, buckets: new Map() });
    return services.get(labels.service);
  };
  for (const { labels, value } of families.get("pointsman_requests_total") || []) {
    of(labels).requests += value;
    if (labels.code >= "500" || labels.code === "none") of(labels).failed += value;
  }
  for (const { labels, value } of families.get("pointsman_request_duration_seconds_bucket") || []) {
    of(labels).buckets.set(labels.le === "+Inf" ? Infinity : Number(labels.le), value);
  }
  return services;
}

/** A percentile from two readings of a cumulative histogram, in milliseconds; null without requests between them. */
function percentile(now, before, share) {
  const edges = [...now.keys()].sort((a, b) => a - b);
  const grown = edges.map((edge) => now.get(edge) - (before.get(edge) || 0));
  const total = grown.at(-1) || 0;
  if (total <= 0) return null;
  const index = grown.findIndex((count) => count >= total * share);
  const low = index > 0 ? edges[index - 1] : 0;
  const high = Number.isFinite(edges[index]) ? edges[index] : low;
  const inside = grown[index] - (index > 0 ? grown[index - 1] : 0);
  const below = total * share - (index > 0 ? grown[index - 1] : 0);
  return (low + (high - low) * (inside > 0 ? below / inside : 1)) * 1000;
}

/** Readings of the last 60 seconds. A counter that fell began anew: the proxy restarted, or the node is another. */
class History {
  constructor() { this.moments = []; }

  add(moment) {
    this.moments.push(moment);
    while (moment.at - this.moments[0].at > 62_000) this.moments.shift();
  }

  /** The reading of so many seconds ago, or the last but one when the page could not look for longer. */
  before(seconds) {
    const now = this.moments.at(-1);
    const then = this.moments.find((moment) => now.at - moment.at <= seconds * 1000 + 300);
    return then === now ? this.moments.at(-2) : then;
  }

  /** The growth of a counter a second, over about so many seconds. */
  rate(read, seconds = 4) {
    const now = this.moments.at(-1);
    return rateBetween(this.before(seconds), now, read);
  }

  /** The same for each pair of neighbours: what a line is drawn from. */
  rates(read) {
    return this.moments.slice(1).map((moment, index) => rateBetween(this.moments[index], moment, read) ?? 0);
  }

  /** A percentile of a service's latency over the last ten seconds. */
  percentile(service, share) {
    const now = this.moments.at(-1);
    const then = this.before(10);
    const [a, b] = [then?.services.get(service), now.services.get(service)];
    return b && then ? percentile(b.buckets, a ? a.buckets : new Map(), share) : null;
  }
}

function rateBetween(then, now, read) {
  if (!then) return null;
  const [a, b] = [read(then), read(now)];
  if (a === undefined || b === undefined) return null;
  return b < a ? 0 : ((b - a) * 1000) / (now.at - then.at);
}

/** 0.23 · 4.7 · 38 · 1,240 · 12.3k */
function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value >= 99_950) return `${(value / 1000).toFixed(0)}k`;
  if (value >= 9_995) return `${(value / 1000).toFixed(1)}k`;
  if (value >= 1000) return `${Math.floor(value / 1000)},${String(Math.round(value % 1000)).padStart(3, "0")}`;
  if (value >= 10 || Number.isInteger(value)) return value.toFixed(0);
  return value >= 1 ? value.toFixed(1) : value.toFixed(2);
}

/** Milliseconds as a person reads them. */
function time(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms >= 100_000) return `${Math.round(ms / 60_000)} min`;
  return ms >= 1000 ? `${(ms / 1000).toFixed(ms >= 10_000 ? 0 : 1)} s` : `${number(ms)} ms`;
}
