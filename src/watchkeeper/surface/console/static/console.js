// What scripts add to pages that read without them: live updates, dialogs, keys, the palette, countdowns.
"use strict";
const $ = (query, from = document) => from.querySelector(query);
const $$ = (query, from = document) => [...from.querySelectorAll(query)];
const body = document.body;

// The viewer's zone: the server writes the times, so it must know. Once.
if (!body.dataset.zone) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  document.cookie = `wk_zone=${zone};path=/;max-age=31536000;samesite=lax`;
  if (zone !== "UTC") location.reload();
}

// What a form answered stands at its page's own address: loading it again asks for the page, and sends nothing twice.
if (body.dataset.at) history.replaceState(null, "", body.dataset.at);

// Toasts: never the only place of a fact.
function toast(text) {
  const box = document.createElement("div");
  box.className = "toast";
  box.textContent = text;
  $("#toasts").append(box);
  let timer = setTimeout(() => box.remove(), 6000);
  box.addEventListener("mouseenter", () => clearTimeout(timer));
  box.addEventListener("mouseleave", () => { timer = setTimeout(() => box.remove(), 2000); });
}
async function copy(text) {
  try { await navigator.clipboard.writeText(text); toast("Copied."); } catch { toast("Not copied: the browser refused."); }
}

// Live: something was committed, so this page is asked for again and only what differs is changed.
const live = $(".live");
let behind = 0, asked = null, asking = false, missed = false;
// Nothing changes under the finger: not while something is pressed, typed, chosen, folded open, marked or pointed at.
let pressed_until = 0;
addEventListener("pointerdown", () => { pressed_until = Infinity; }, true);
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { pressed_until = Date.now() + 600; }, true);
function typed(field) {
  if (field.type === "hidden") return false;
  if (field.matches("select")) return field.selectedIndex !== Math.max(0, [...field.options].findIndex((one) => one.defaultSelected));
  return /^(checkbox|radio)$/.test(field.type) ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
}
function still() {
  const field = document.activeElement;
  return $("dialog[open]") || Date.now() < pressed_until || (field && field.matches("input,textarea,select,button") && field.closest("main")) ||
    $("[data-held]", $("#main")) || $$("input,textarea,select", $("#main")).some(typed) ||
    $$("details[open]", $("#main")).length > 0 || $("[data-still]:hover") !== null || getSelection().toString() !== "";
}
async function refresh(pressed) {
  if (asking) { missed = true; return; }  // what came while an answer was on its way may not be in it
  asking = true;
  missed = false;
  try {
    const answer = await fetch(location.href, {headers: {Accept: "text/html"}, redirect: "manual"});
    if (!answer.ok) { if (answer.type === "opaqueredirect") location.reload(); return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = $("#live", page);
    if (!fresh) return;
    if (!pressed && still()) { if (behind) newer(); return; }  // somebody began while the answer was on its way
    $("#said", fresh)?.remove();
    const log = $(".log"), ended = log && log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    htmx.swap({target: "#live", swap: "outerMorph", text: fresh.outerHTML});
    for (const part of [".side nav", ".side .foot", ".tabs"]) {
      const [old, made] = [$(part), $(part, page)];
      if (old && made && old.innerHTML !== made.innerHTML) old.innerHTML = made.innerHTML;
    }
    const time = $("#as-of", page);
    if (time) { $("#as-of").textContent = time.textContent; $("#as-of").dateTime = time.dateTime; skew(time.dateTime); if ($("#utc")) $("#utc").textContent = $("#utc", page).textContent; }
    behind = 0;
    $(".newer")?.remove();
    if (ended && $(".log")) $(".log").scrollTop = $(".log").scrollHeight;  // whoever reads the end goes on reading it
    dress();
  } finally {
    asking = false;
    if (missed) soon();
  }
}
function changed() {
  behind += 1;
  soon();
}
function soon() {
  clearTimeout(asked);
  asked = setTimeout(() => { if (!still()) refresh(); else if (behind) newer(); }, 400);
}
function newer() {
  let bar = $(".newer");
  if (!bar) {
    bar = document.createElement("div");
    bar.className = "newer";
    bar.innerHTML = '<button class="b go" type="button"></button>';
    bar.firstChild.addEventListener("click", refresh);
    $("#main").prepend(bar);
  }
  bar.firstChild.textContent = `${behind} new: show`;
}
if (window.EventSource) {
  const events = new EventSource("/api/v1/events");
  const say = (state, word) => { live.dataset.live = state; $(".said", live).textContent = word; };
  events.onopen = () => { say("on", "Live"); soon(); };  // what came since the page was drawn was told to nobody
  events.onerror = () => say("off", "As of");
  for (const kind of ["alert", "incident", "decision", "run", "approval", "hold", "freeze", "stop", "note", "proposal", "dead_letter", "reset", "grant", "activation", "breaker", "played"])
    events.addEventListener(kind, changed);
}

// What is printed and looked at between two commits is no event: a page that follows it says how often to ask.
setInterval(() => { if ($("[data-every]") && !document.hidden && !asking && !still()) refresh(); }, 2000);
// How a thing is turns with a look of a probe, and with none: no event says so.
setInterval(() => { if ($("[data-slow]") && !document.hidden && !asking && !still()) refresh(); }, 15000);

// Countdowns step once a second, on the server's clock.
let ahead = 0;
function skew(now) { ahead = Date.parse(now) - Date.now(); }
skew(body.dataset.now);
const spoken = new Set();
setInterval(() => {
  const now = new Date(Date.now() + ahead);
  for (const ring of $$("svg.ring")) {
    const left = Math.max(0, Date.parse(ring.dataset.until) - now), total = Number(ring.dataset.total) || 1;
    const seconds = Math.floor(left / 1000);
    $("text", ring).textContent = seconds < 3600 ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : `${Math.floor(seconds / 3600)} h`;
    $(".arc", ring).setAttribute("stroke-dashoffset", String(157.1 * (1 - Math.min(1, left / total))));
    for (const mark of [300, 60, 0])
      if (seconds === mark && !spoken.has(ring.dataset.until + mark)) {
        spoken.add(ring.dataset.until + mark);
        toast(mark === 0 ? "Lapsed. Nothing was done." : mark === 60 ? "Under a minute to decide." : "5 minutes to decide.");
        if (mark === 0) changed();
      }
  }
}, 1000);

// Dialogs: a page's form, shown above this one. Focus starts on the safe choice.
const dialog = $("#dialog");
async function open(where) {
  const answer = await fetch(where, {headers: {Accept: "text/html"}});
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const form = $("#ask", page);
  if (!answer.ok || !form) { location.href = where; return; }
  const label = $("h1", form);
  if (label) { const title = document.createElement("h2"); title.innerHTML = label.innerHTML; label.replaceWith(title); }
  dialog.replaceChildren(...$$("#ask > *", page));
  dialog.showModal();
  ($("[data-close]", dialog) || $("button", dialog))?.focus();
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (link && !event.metaKey && !event.ctrlKey) { event.preventDefault(); open(link.getAttribute("href")); return; }
  const close = event.target.closest("[data-close]");
  if (close && dialog.open) { event.preventDefault(); dialog.close(); return; }
  const copied = event.target.closest("[data-copy]");
  if (copied) { copy(copied.dataset.copy); return; }
  if (event.target === dialog) dialog.close();
});
// On a phone only the answers are pinned: what else they need (a comment, an emergency) is asked in a sheet above the page.
const phone = matchMedia("(max-width:720px)");
function sheet(form, button) {
  const made = form.cloneNode(true), title = document.createElement("h2"), about = document.createElement("p");
  made.removeAttribute("data-sheet");
  made.className = "form sheet";
  title.id = "sheet-title";
  title.textContent = `${button.textContent.trim()}?`;
  about.className = "quiet";
  about.textContent = form.dataset.sheet;
  const text = $("textarea", made), label = $("label[for=comment]", made);
  text.value = $("textarea", form).value;
  text.id = "sheet-comment";
  text.required = button.dataset.needs === "comment";
  text.placeholder = text.required ? "Why not: it stands on the timeline" : "Comment for the timeline";
  label.htmlFor = text.id;
  const answer = button.cloneNode(true), close = document.createElement("button"), row = $(".row-b", made);
  close.type = "button"; close.className = "b big"; close.dataset.close = ""; close.textContent = "Not yet";
  for (const one of [answer, close]) one.removeAttribute("data-key");
  row.className = "row-b";
  row.replaceChildren(close, answer);
  $(".meta", made)?.remove();
  made.prepend(title, about);
  dialog.setAttribute("aria-labelledby", title.id);
  dialog.replaceChildren(made);
  dialog.showModal();
  (text.required ? text : close).focus();
  dialog.addEventListener("close", () => { dialog.removeAttribute("aria-labelledby"); $("textarea", form).value = text.value; button.focus(); }, {once: true});
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("form[data-sheet] button");
  if (button && phone.matches) { event.preventDefault(); sheet(button.form, button); }
});
document.addEventListener("submit", (event) => {
  for (const button of $$("button", event.target)) setTimeout(() => { button.disabled = true; }, 0);
});

// Palette.
const palette = document.createElement("dialog");
palette.id = "palette";
palette.setAttribute("aria-label", "Search or jump to");
palette.innerHTML = '<input type="text" role="combobox" aria-expanded="true" aria-controls="found" aria-label="Search or jump to" placeholder="Search or jump to" autocomplete="off" spellcheck="false"><ul id="found" role="listbox" aria-label="Found"></ul>';
body.append(palette);
let things = null, chosen = 0, pressed = false;
async function jump() {
  if (palette.open) return;
  palette.showModal();
  $("input", palette).value = "";
  $("input", palette).focus();
  pressed = false;
  things = things || await (await fetch("/palette.json")).json();
  list();
  if (pressed) $$("[role=option]", palette)[0]?.click();
}
function list() {
  const wanted = $("input", palette).value.trim().toLowerCase();
  const found = $("#found");
  found.replaceChildren();
  let count = 0;
  for (const [group, items] of Object.entries(things || {})) {
    const fits = items.filter((one) => wanted.split(/\s+/).every((word) => `${one.label} ${one.kind}`.toLowerCase().includes(word))).slice(0, wanted ? 20 : group === "Ask" ? 5 : 14);
    if (!fits.length) continue;
    const head = document.createElement("li");
    head.className = "g"; head.setAttribute("role", "presentation"); head.textContent = group;
    found.append(head);
    for (const one of fits) {
      const row = document.createElement("li");
      row.setAttribute("role", "option"); row.id = `o${count}`; row.setAttribute("aria-selected", String(count === chosen));
      row.innerHTML = `<svg class="i" aria-hidden="true"><use href="/static/sprite.svg#${one.icon}"></use></svg><span></span><small class="quiet"></small>`;
      $("span", row).textContent = one.label;
      $("small", row).textContent = one.kind;
      row.addEventListener("click", () => go(one));
      row.thing = one;
      found.append(row);
      count += 1;
    }
  }
  $("input", palette).setAttribute("aria-activedescendant", count ? `o${chosen}` : "");
}
function go(one) {
  palette.close();
  if (one.dialog) open(one.dialog); else if (one.copy) copy(one.copy); else location.href = one.href;
}
$("input", palette).addEventListener("input", () => { chosen = 0; list(); });
palette.addEventListener("keydown", (event) => {
  const rows = $$("[role=option]", palette);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    chosen = (chosen + (event.key === "ArrowDown" ? 1 : rows.length - 1)) % Math.max(1, rows.length);
    rows.forEach((row, at) => row.setAttribute("aria-selected", String(at === chosen)));
    rows[chosen]?.scrollIntoView({block: "nearest"});
    $("input", palette).setAttribute("aria-activedescendant", `o${chosen}`);
  } else if (event.key === "Enter") { event.preventDefault(); if (rows[chosen]) go(rows[chosen].thing); else pressed = !things; }
});
palette.addEventListener("click", (event) => { if (event.target === palette) palette.close(); });
$("#find").addEventListener("click", jump);

// Keys. Single letters never fire inside fields and can be turned off; none has an effect without a dialog.
const places = {n: "/", i: "/incidents", a: "/approvals", r: "/runs", d: "/decisions", s: "/services", l: "/ledger", f: "/limits", c: "/limits/calendar", m: "/measures"};
let before = "";
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); jump(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || body.dataset.keys === "off") return;
  if (event.target.closest("input,textarea,select,dialog") || $("dialog[open]")) return;
  const key = event.key;
  if (before === "g" && places[key]) { location.href = places[key]; return; }
  before = key;
  if (key === "/") { event.preventDefault(); jump(); }
  else if (key === "?") location.href = "/settings";
  else if (key === "y") copy(location.href);
  else if (key === "S") open("/stop");
  else if (key === "j" || key === "k") {
    const rows = $$("main tr.link a, main a.row");
    const at = rows.indexOf(document.activeElement);
    rows[Math.max(0, Math.min(rows.length - 1, at + (key === "j" ? 1 : -1)))]?.focus();
  } else if (key === "f") $(".chips a")?.focus();
  else {
    const found = $(`[data-key="${CSS.escape(key)}"]`);
    if (found) { event.preventDefault(); found.matches("button") ? found.focus() : found.click(); }
  }
});

function dress() {
  for (const hidden of $$("[data-copy][hidden], #find[hidden]" + (window.crypto?.subtle ? ", #prove[hidden]" : ""))) hidden.hidden = false;
}
dress();
