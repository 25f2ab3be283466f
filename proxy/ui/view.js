// From values to what stands on the page. Rows are kept and updated in place, so a click or a selection outlives a tick.

/** An element with attributes (`on…` are listeners) and children. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Children by key: made once, updated each time, removed when their key is gone, in the order given. */
function keyed(parent, entries, make) {
  parent.keyed ??= new Map();
  parent.querySelectorAll(":scope > .none").forEach((none) => none.remove());
  for (const [key, row] of parent.keyed) {
    if (!entries.some(([wanted]) => wanted === key)) {
      row.element.remove();
      parent.keyed.delete(key);
    }
  }
  entries.forEach(([key, value], index) => {
    if (!parent.keyed.has(key)) parent.keyed.set(key, make(value));
    const row = parent.keyed.get(key);
    if (parent.children[index] !== row.element) parent.insertBefore(row.element, parent.children[index] || null);
    row.update(value);
  });
}

const STANDINGS = ["up", "degraded", "draining", "down", "checking"];
const SVG = "http://www.w3.org/2000/svg";

/** Colour, shape and word: any one of them is enough. */
function standingBadge() {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  const word = el("span");
  const element = el("span", { class: "standing" }, svg, word);
  return {
    element,
    update(standing) {
      const known = STANDINGS.includes(standing) ? standing : "checking";
      element.className = `standing ${known}`;
      use.setAttribute("href", `#s-${known}`);
      setText(word, standing);
    },
  };
}

function meter(name) {
  const [text, bar] = [el("span"), el("i")];
  return {
    element: el("div", { class: "meter", title: name }, text, bar),
    update(words, part) {
      setText(text, words);
      bar.style.setProperty("--part", `${Math.min(100, Math.max(0, part * 100)).toFixed(1)}%`);
    },
  };
}

/** One row of a service's table. `act(id, "drain" | "undrain")` changes the node. */
function nodeRow(act) {
  const badge = standingBadge();
  const [id, where] = [el("b"), el("small")];
  const flight = meter("Requests under way at the node");
  const rate = meter("Requests a second, over the last seconds");
  const [leaseText, leaseBar] = [el("span"), el("i")];
  const lease = el("span", { class: "lease" }, leaseText, leaseBar);
  const why = el("td", { class: "c-why why", "data-name": "Last failure" });
  const button = el("button", { type: "button" });
  let current = null;
  let longest = 0;
  button.addEventListener("click", async () => {
    button.disabled = true;
    await act(current.id, current.standing === "draining" ? "undrain" : "drain");
    button.disabled = false;
  });
  const element = el("tr", {},
    el("td", { class: "c-standing" }, badge.element),
    el("td", { class: "c-node node" }, id, where),
    el("td", { class: "c-flight num", "data-name": "In flight" }, flight.element),
    el("td", { class: "c-rate num", "data-name": "Requests/s" }, rate.element),
    el("td", { class: "c-lease num", "data-name": "Lease" }, lease),
    why,
    el("td", { class: "c-act" }, button));
  return {
    element,
    update({ node, perSecond, most, fullest, primary }) {
      current = node;
      element.className = node.standing;
      badge.update(node.standing);
      setText(id, node.id);
      const facts = [primary && "primary", node.address, node.ordinal && `ordinal ${node.ordinal}`, node.weight !== 1 && `weight ${node.weight}`,
        node.zone && `zone ${node.zone}`, node.share < 1 && `warming up, ${Math.round(node.share * 100)}%`];
      setText(where, facts.filter(Boolean).join(" · "));
      flight.update(String(node.in_flight), fullest ? node.in_flight / fullest : 0);
      rate.update(number(perSecond), most ? (perSecond || 0) / most : 0);
      longest = Math.max(longest, node.lease_ms || 0);
      const short = node.lease_ms !== undefined && node.lease_ms < longest / 4;
      lease.className = short ? "lease short" : "lease";
      leaseBar.hidden = node.lease_ms === undefined;
      leaseBar.style.setProperty("--part", `${longest ? ((node.lease_ms || 0) / longest) * 100 : 0}%`);
      setText(leaseText, node.lease_ms === undefined ? "in YAML" : time(node.lease_ms));
      setText(why, node.last_failure || "");
      setText(button, node.standing === "draining" ? "Undrain" : "Drain");
      button.setAttribute("aria-label", `${button.textContent} ${node.id}`);
    },
  };
}

/** The line of a service's rate over the last minute. */
function spark() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 60 28");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "Requests a second over the last minute");
  const [area, line] = ["area", "line"].map((name) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    svg.append(path);
    return path;
  });
  return {
    element: svg,
    update(values) {
      const top = Math.max(1e-9, ...values);
      const left = 60 - (values.length - 1);
      const points = values.map((value, index) => `${left + index},${(26 - (value / top) * 24).toFixed(1)}`);
      line.setAttribute("d", points.length > 1 ? `M${points.join("L")}` : "");
      area.setAttribute("d", points.length > 1 ? `M${left},28L${points.join("L")}L60,28Z` : "");
    },
  };
}

function figure(name, unit = "") {
  const value = el("b");
  const element = el("span", { class: "figure" }, value, ` ${unit ? `${unit} ` : ""}${name}`);
  return { element, update: (text, bad) => { setText(value, text); element.classList.toggle("bad", Boolean(bad)); } };
}

/** A long list is cut: those in trouble, then the first of the rest, until somebody asks for all. */
const ROWS = 40;

function cut(nodes) {
  if (nodes.length <= ROWS) return nodes;
  const trouble = nodes.filter((node) => node.standing !== "up");
  return [...trouble, ...nodes.filter((node) => node.standing === "up")].slice(0, ROWS);
}

function serviceCard(name, { act, route }) {
  const [policy, members, body] = [el("span", { class: "chip" }), el("span", { class: "sub" }), el("tbody")];
  const [requests, median, tail, failures] = [figure("req/s"), figure("p50"), figure("p99"), figure("failed")];
  const [line, fleet] = [spark(), el("div", { class: "fleet", "aria-hidden": "true" })];
  const more = el("button", { type: "button", class: "more", onclick: () => { more.all = true; more.hidden = true; } });
  const heads = ["Standing", "Node", "In flight", "Requests/s", "Lease", "Last failure", ""];
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), body);
  const element = el("section", { class: "card service", "aria-label": `Service ${name}` },
    el("div", { class: "head" },
      el("div", { class: "title" }, el("h2", {}, name), policy, members),
      el("div", { class: "figures" }, line.element, requests.element, median.element, tail.element, failures.element)),
    fleet, table, more, routeForm(name, route));
  return {
    element,
    update({ service, figures }) {
      element.classList.toggle("empty", !service.nodes.length);
      setText(policy, service.policy);
      policy.title = "The policy that picks the node";
      const ready = service.nodes.filter((node) => node.standing === "up" || node.standing === "degraded").length;
      const primary = service.primary ? ` · primary ${service.primary}` : " · no primary";
      const office = service.primary === undefined ? "" : `${primary}, epoch ${service.epoch}`;
      setText(members, `${ready} of ${service.nodes.length} nodes serve · membership v${service.version}${office}`);
      requests.update(number(figures.rate));
      median.update(time(figures.p50));
      tail.update(time(figures.p99));
      failures.update(figures.failed === null ? "–" : `${number(figures.failed)}/s`, figures.failed > 0);
      line.update(figures.line);
      fleet.replaceChildren(...service.nodes.map((node) => el("i", { class: node.standing, title: `${node.id}: ${node.standing}` })));
      const most = Math.max(...figures.nodes.values(), 0);
      const fullest = Math.max(...service.nodes.map((node) => node.in_flight), 4);
      const shown = more.all ? service.nodes : cut(service.nodes);
      more.hidden = shown.length === service.nodes.length;
      setText(more, `Show all ${service.nodes.length} nodes`);
      keyed(body, shown.map((node) => [node.id, { node, perSecond: figures.nodes.get(node.id), most, fullest, primary: node.id === service.primary }]), () => nodeRow(act));
      if (!service.nodes.length && !body.children.length) {
        body.append(el("tr", { class: "none" }, el("td", { colspan: "7", class: "none" }, "No node has joined, and none stands in the YAML.")));
      }
    },
  };
}

/** Asks where a key goes now. */
function routeForm(name, route) {
  const [input, answer] = [el("input", { "aria-label": `A key of ${name}`, placeholder: "a key", required: "" }), el("output")];
  const form = el("form", { class: "ask" }, "Where does", input, el("button", { type: "submit" }, "go now?"), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    setText(answer, await route(input.value));
  });
  return form;
}
