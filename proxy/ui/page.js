// The page's state and its clock: services and figures each second, events as they come, the rest when it may have changed.

const past = new History();
const events = [];
const byId = (id) => document.getElementById(id);
let refused = null;

async function json(path, options) { return (await ask(path, options)).json(); }

/** Runs what an operator clicked; a refusal is told in the banner, with what to do. */
async function attempt(action) {
  try {
    const done = await action();
    await tick();
    return done;
  } catch (error) {
    banner(`${error.message}. ${error.problem?.next || ""}`, 8000);
    return null;
  }
}

let bannerUntil = 0;

function banner(text, forMs = 0) {
  bannerUntil = text && forMs ? Date.now() + forMs : 0;
  byId("banner").hidden = !text;
  setText(byId("banner"), text || "");
}

function node(service, id, action) {
  const path = `/v1/services/${encodeURIComponent(service)}/nodes/${encodeURIComponent(id)}/${action}`;
  return attempt(() => json(path, { method: "POST" }));
}

async function route(service, key) {
  try {
    const answer = await json(`/v1/services/${encodeURIComponent(service)}/route?key=${encodeURIComponent(key)}`);
    return answer.explanation;
  } catch (error) {
    return error.message;
  }
}

function total(value, name, bad) {
  return el("div", { class: bad ? "total bad" : "total" }, el("b", {}, ...value), el("span", {}, name));
}

function showTotals(services) {
  const nodes = services.flatMap((service) => service.nodes);
  const serving = nodes.filter((n) => n.standing === "up" || n.standing === "degraded").length;
  const sum = (read) => (moment) => services.reduce((all, s) => all + (moment.services.get(s.name)?.[read] || 0), 0);
  const failed = past.rate(sum("failed"));
  const flying = nodes.reduce((all, n) => all + n.in_flight, 0);
  byId("totals").replaceChildren(
    total([number(past.rate(sum("requests")))], "requests a second"),
    total([number(failed)], "failed a second", failed > 0),
    total([number(flying)], "in flight"),
    total([`${serving}`, el("small", {}, ` of ${nodes.length}`)], "nodes serve", serving < nodes.length),
    total([`${services.length}`], services.length === 1 ? "service" : "services"));
}

function figuresOf(service) {
  const counted = (read) => (moment) => moment.services.get(service.name)?.[read];
  return {
    rate: past.rate(counted("requests")),
    failed: past.rate(counted("failed")),
    line: past.rates(counted("requests")),
    p50: past.percentile(service.name, 0.5),
    p99: past.percentile(service.name, 0.99),
    nodes: new Map(service.nodes.map((n) => [n.id, past.rate((moment) => moment.started.get(startedKey(service, n)))])),
  };
}

/** A node's counter begins anew with each of its lives. */
const startedKey = (service, n) => `${service.name}/${n.id}/${n.incarnation}`;

let ticking = false;

async function tick() {
  if (ticking) return;
  ticking = true;
  try {
    const [{ services }, metrics] = await Promise.all([json("/v1/services"), ask("/metrics").then((r) => r.text())]);
    const started = new Map(services.flatMap((s) => s.nodes.map((n) => [startedKey(s, n), n.requests])));
    past.add({ at: performance.now(), services: readServices(parseMetrics(metrics)), started });
    showTotals(services);
    keyed(byId("services"), services.map((service) => [service.name, { service, figures: figuresOf(service) }]),
      ({ service }) => serviceCard(service.name, { act: (id, what) => node(service.name, id, what), route: (key) => route(service.name, key) }));
    document.querySelector("main").classList.remove("stale");
    if (bannerUntil < Date.now()) banner("");
  } catch (error) {
    document.querySelector("main").classList.add("stale");
    if (error.status !== 401) banner(`The proxy does not answer (${error.message}). What you see is from before; trying again.`);
  } finally {
    ticking = false;
  }
}

function showConfig(config) {
  const last = config.last_reload;
  const facts = [["Generation", `${config.generation}`], ["File", config.file], ["Listens on", config.listeners.join(", ") || "nothing"]];
  if (last) facts.push(["Last reload", `${last.kind === "reload-refused" ? "refused" : "done"} at ${clock(last.at_ms)}`]);
  const problems = refused || (last?.kind === "reload-refused" ? [last.message] : []);
  const open = byId("config").querySelector("details")?.open;
  byId("config").replaceChildren(
    el("dl", {}, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", { class: "mono" }, value)])),
    ...problems.map((problem) => el("pre", { class: "problem" }, problem)),
    el("details", open ? { open: "" } : {},
      el("summary", {}, config.yaml_in_force === false ? "The file now (it differs from what is in force)" : "The file"),
      el("pre", {}, config.yaml ?? config.yaml_problem ?? "")));
}

function showPolicies(policies) {
  if (!policies.length) {
    byId("policies").replaceChildren(el("li", { class: "none" }, "No policy is loaded."));
    return;
  }
  byId("policies").replaceChildren(...policies.map((policy) => {
    const faults = Object.entries(policy.faults).filter(([, count]) => count > 0).map(([fault, count]) => `${fault} ${count}`);
    const state = policy.quarantined ? "quarantined" : faults.length ? `faults: ${faults.join(", ")}` : "no faults";
    return el("li", {},
      el("div", { class: "line" },
        el("span", {}, el("b", {}, policy.name), ` ${policy.version}`),
        el("span", { class: policy.quarantined || faults.length ? "bad" : "sub" }, state)),
      el("small", {}, `${policy.source} · sha256 `, el("code", { title: policy.digest }, policy.digest.slice(0, 12)),
        policy.services.length ? ` · used by ${policy.services.join(", ")}` : " · not in use"));
  }));
}

const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });

function mood(kind) {
  if (/down|lost|refused|quarantined|unwritable|torn/.test(kind)) return "bad";
  return /up|joined|reloaded|swapped|undrained|writable|elected/.test(kind) ? "good" : "";
}

let drawing = false;
let changed = true;

/** Keeps what came and draws once a frame: a thousand joins at once are one drawing. */
function heard(event) {
  if ("missed" in event) return;
  const same = (other) => ["kind", "service", "node", "message"].every((name) => other[name] === event[name]);
  event.times = 1 + (events.length && same(events[0]) ? events.shift().times : 0);
  events.unshift(event);
  events.length = Math.min(events.length, 200);
  if (/reload|policy/.test(event.kind)) {
    if (!/refused$/.test(event.kind)) refused = null;
    changed = true;
  }
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    setText(byId("events-count"), `the last ${events.length}`);
    byId("events").replaceChildren(...events.map((e) => el("li", { class: mood(e.kind) },
      el("time", { datetime: new Date(e.at_ms).toISOString() }, clock(e.at_ms)),
      el("span", { class: "kind" }, e.kind, ...(e.times > 1 ? [el("span", { class: "times" }, ` ×${e.times}`)] : [])),
      el("span", { class: "what" }, e.message, ...(e.service ? [" ", el("code", {}, [e.service, e.node].filter(Boolean).join("/"))] : [])))));
  });
}

/** What changes seldom. */
async function slowly() {
  const ready = await fetch("/readyz", { cache: "no-store" }).catch(() => null);
  byId("ready").className = ready?.ok ? "lamp on" : "lamp off";
  setText(byId("ready"), ready?.ok ? "ready" : ready ? (await ready.json()).detail : "no answer");
  await Promise.all([
    json("/v1/config").then(showConfig, () => {}),
    json("/v1/policies").then(({ policies }) => showPolicies(policies), () => {}),
  ]);
}

byId("reload").addEventListener("click", () => attempt(async () => {
  try {
    refused = null;
    await json("/v1/config/reload", { method: "POST" });
  } catch (error) {
    refused = error.problem?.problems || null;
    throw error;
  } finally {
    await slowly();
  }
}));

const THEMES = ["auto", "light", "dark"];
const dark = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
  const theme = localStorage.getItem("pointsman-theme") || "auto";
  document.documentElement.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  setText(byId("theme"), `Theme: ${theme}`);
}

byId("theme").addEventListener("click", () => {
  const now = localStorage.getItem("pointsman-theme") || "auto";
  localStorage.setItem("pointsman-theme", THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
  showTheme();
});
dark.addEventListener("change", showTheme);
showTheme();

/** Each second while somebody looks. */
async function run() {
  for (let count = 0; ; count += 1) {
    if (!document.hidden) {
      await tick();
      if (changed || count % 5 === 0) {
        changed = false;
        await slowly();
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

run();
follow("/v1/events", heard, (on) => {
  byId("live").className = on ? "lamp on" : "lamp off";
  setText(byId("live"), on ? "live" : "not connected");
});
