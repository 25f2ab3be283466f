"use strict";
// How the page talks to the proxy. fetch throughout, also for events: EventSource cannot send a token.

const TOKEN = "pointsman-token";

/** Asks for a path. Throws an Error with `.status` and `.problem` (the body of a problem+json) when refused. */
async function ask(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...(options.headers || {}), ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(path, { cache: "no-store", ...options, headers });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) await signIn(Boolean(token));
  const error = new Error(problem.detail || `${response.status} ${response.statusText}`);
  error.status = response.status;
  error.problem = problem;
  throw error;
}

let signingIn = null;

/** Asks the operator for the token, once however many requests were refused. */
function signIn(wasWrong) {
  signingIn ??= new Promise((resolve) => {
    const dialog = document.getElementById("sign-in");
    document.getElementById("token-wrong").hidden = !wasWrong;
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(TOKEN, document.getElementById("token").value.trim());
      document.getElementById("token").value = "";
      signingIn = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return signingIn;
}

/** Reads server-sent events for ever, going on after the last one seen when the connection breaks. */
async function follow(path, onEvent, onState) {
  let last = 0;
  let wait = 500;
  for (;;) {
    try {
      const response = await ask(`${path}?since=${last}`);
      onState(true);
      wait = 500;
      for await (const block of blocks(response.body)) {
        const event = { id: null, data: "" };
        for (const line of block.split("\n")) {
          if (line.startsWith("id:")) event.id = line.slice(3).trim();
          else if (line.startsWith("data:")) event.data += line.slice(5).trimStart();
        }
        if (event.id) last = event.id;
        if (event.data) onEvent(JSON.parse(event.data));
      }
    } catch { /* the proxy is away, or refused: tried again below */ }
    onState(false);
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, 5000);
  }
}

/** The blocks of an event stream: what stands between empty lines. */
async function* blocks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) yield text.slice(0, end);
  }
}
