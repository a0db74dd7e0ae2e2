// The case page: it shows what the server says of this visitor, and asks again.
"use strict";

const part = (name) => document.getElementById(name);
const page = part("page");
const most = Number(page.dataset.most), own = page.dataset.own;
const seen = { batch: -1, scans: "", finished: "", failed: "", lines: "" };
let state = {}, misses = 0, ended = false, sending = false, refused = "", timer = 0, slices = null, plane = "";

const chosen = () => document.querySelector("input[name=choice]:checked").value;
const busy = () => state.case && ["waiting", "running"].includes(state.case.state);
const menus = () => [...part("scans").querySelectorAll("select")];

function make(tag, words, text) {
  const node = Object.assign(document.createElement(tag), words);
  if (text !== undefined) node.textContent = text;
  return node;
}

function say(lines) {
  refused = lines.join("\n");
  show();
}

async function ask(path, options) {
  const answer = await fetch(path, { cache: "no-store", ...options });
  if (answer.status === 410 || answer.status === 403) end();
  return answer;
}

async function send(path, options) {
  try {
    const answer = await ask(path, options);
    if (answer.ok) return true;
    const words = await answer.json().catch(() => ({}));
    say(words.lines || ["The server did not take this. Please try again."]);
  } catch {
    say(["The server did not answer. Please try again."]);
  }
  return false;
}

function end() {
  ended = true;
  clearTimeout(timer);
  const link = make("a", { href: "./" }, "open it again");
  const words = make("p", { className: "notice bad", role: "alert" });
  words.append("This page has ended; ", link, ".");
  part("message").replaceChildren(words);
  for (const node of [part("start"), part("files"), ...menus()]) node.disabled = true;
  part("progress").hidden = true;
  part("step").textContent = "";
}

async function look() {
  clearTimeout(timer);
  if (ended) return;
  try {
    const answer = await ask("state");
    if (ended) return;
    if (!answer.ok) throw new Error(answer.status);
    state = await answer.json();
    misses = 0;
    show();
    await finish();
  } catch {
    misses += 1;
    if (misses >= 4) return end();
  }
  const soon = misses || busy() || sending || (state.receiving || []).length;
  timer = setTimeout(look, soon ? 1000 : 10000);
}

function show() {
  if (ended) return;
  part("own").hidden = chosen() !== own;
  if (state.batch !== seen.batch || JSON.stringify(state.scans) !== seen.scans) list();
  const failed = state.case && state.case.state === "failed" ? state.case.lines : [];
  const lines = refused ? refused.split("\n") : failed.length ? failed : state.lines || [];
  if (lines.join("\n") !== seen.lines) {
    seen.lines = lines.join("\n");
    const alert = make("p", { className: "notice bad" });
    alert.setAttribute("role", "alert");
    lines.forEach((line, number) => alert.append(...(number ? [make("br", {})] : []), line));
    part("message").replaceChildren(...(lines.length ? [alert] : []));
  }
  const named = state.scans && state.scans.length && menus().every((menu) => menu.value);
  part("start").disabled = busy() || sending || (chosen() === own && !named);
  part("files").disabled = busy() || sending;
  part("progress").hidden = !busy();
  part("step").textContent = words();
}

function words() {
  const waits = (job) => (job.place ? `number ${job.place} in line` : "beginning");
  if (busy()) {
    const { place, step, steps, words } = state.case;
    part("progress").max = steps;
    part("progress").value = Math.max(0, step - 1);
    if (state.case.state === "waiting" || !step) return `Waiting: ${waits(state.case)} …`;
    return `Step ${step} of ${steps}: ${words} …`;
  }
  if (sending) return "Sending …";
  const [job] = state.receiving || [];
  if (!job) return "";
  return job.state === "waiting" ? `${job.name}: ${waits(job)} …` : `Reading ${job.name} …`;
}

function list() {
  seen.batch = state.batch;
  seen.scans = JSON.stringify(state.scans);
  part("scans").replaceChildren(
    ...(state.scans || []).map((scan) => {
      const label = make("label", {}), menu = make("select", {});
      for (const [text, value] of Object.entries(state.options)) menu.append(make("option", { value: value || "" }, text));
      menu.value = scan.contrast || "";
      menu.addEventListener("change", show);
      label.append(make("span", {}, scan.label), menu);
      return label;
    }),
  );
}

async function finish() {
  if (!state.case || state.case.state !== "done" || seen.finished === state.case.name) return;
  const [findings, pictures] = await Promise.all([ask("findings"), ask("slices")]);
  if (!findings.ok || !pictures.ok) return;
  const keep = make("p", { className: "keep" });
  const link = make("a", { className: "button", href: "sheet", download: "epitome_case.html" }, "Download this sheet");
  keep.append(link, " ", make("span", { className: "small" }, "One HTML file, which works offline and can be printed."));
  const body = make("div", {});
  body.innerHTML = await findings.text(); // rendered by the kit, with all text escaped
  slices = await pictures.json();
  seen.finished = state.case.name;
  part("findings").replaceChildren(keep, body);
  part("planes").replaceChildren(...Object.keys(slices).map((name) => {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => turn(name));
    return button;
  }));
  part("slices").hidden = false;
  turn(Object.keys(slices)[0]);
}

function turn(name) {
  plane = name;
  for (const button of part("planes").children) button.setAttribute("aria-pressed", button.textContent === name);
  part("index").max = slices[name].pictures.length - 1;
  part("index").value = slices[name].first;
  cut();
}

function cut() {
  const number = Number(part("index").value), { pictures, words } = slices[plane];
  slices[plane].first = number;
  part("picture").src = pictures[number];
  part("picture").alt = `Slices of the scan: ${words[number]}`;
  part("position").textContent = words[number];
}

function clear() {
  seen.finished = state.case ? state.case.name : "";
  part("findings").replaceChildren();
  part("slices").hidden = true;
}

async function upload(files) {
  const size = files.reduce((sum, file) => sum + file.size, 0) / 1e6;
  if (!files.length) return;
  if (size > most) {
    return say([`Too large: ${size.toFixed(1)} MB. At most ${most} MB can be sent at once; send fewer scans.`]);
  }
  refused = "";
  sending = true;
  show();
  let taken = await send("scans", { method: "DELETE" });
  for (const file of files) {
    const headers = { "X-File-Name": encodeURIComponent(file.name), "Content-Type": "application/octet-stream" };
    taken = taken && (await send("upload", { method: "POST", body: file, headers }));
  }
  sending = false;
  look();
}

async function start(event) {
  event.preventDefault();
  refused = "";
  clear();
  const asked = { choice: chosen(), contrasts: chosen() === own ? menus().map((menu) => menu.value || null) : [] };
  part("start").disabled = true;
  await send("start", { method: "POST", body: JSON.stringify(asked), headers: { "Content-Type": "application/json" } });
  look();
}

for (const button of document.querySelectorAll("input[name=choice]")) {
  button.addEventListener("change", () => say([]));
}
part("files").addEventListener("click", () => part("input").click());
part("input").addEventListener("change", () => {
  const files = [...part("input").files];
  part("input").value = "";
  upload(files);
});
part("form").addEventListener("submit", start);
part("index").addEventListener("input", cut);
part("picture").addEventListener("wheel", (event) => {
  event.preventDefault();
  part("index").value = Number(part("index").value) + Math.sign(event.deltaY);
  cut();
}, { passive: false });
part("picture").addEventListener("keydown", (event) => {
  const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  part("index").value = Number(part("index").value) + step;
  cut();
});
addEventListener("pagehide", () => ended || navigator.sendBeacon("leave"));
addEventListener("pageshow", (event) => event.persisted && look());
document.addEventListener("visibilitychange", () => document.hidden || look());
look();
