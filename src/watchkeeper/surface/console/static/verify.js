// An entry's place in the ledger, proven by the browser itself: RFC 6962 hashes, RFC 9162 2.1.3.2 walk, C2SP signed note.
"use strict";
{
const TRIES_MAX = 10;  // of one proof
const bytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
const same = (one, other) => one.length === other.length && one.every((value, at) => value === other[at]);
const hash = async (prefix, ...parts) => {
  const whole = new Uint8Array(1 + parts.reduce((sum, part) => sum + part.length, 0));
  whole[0] = prefix;
  let at = 1;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
};
async function rootOf(leaf, index, size, proof) {
  let node = leaf, place = index, last = size - 1;
  for (const other of proof) {
    if (last === 0) return null;
    if (place % 2 === 1 || place === last) {
      node = await hash(1, other, node);
      while (place % 2 === 0 && place !== 0) { place = Math.floor(place / 2); last = Math.floor(last / 2); }
    } else node = await hash(1, node, other);
    place = Math.floor(place / 2); last = Math.floor(last / 2);
  }
  return last === 0 ? node : null;
}
async function signed(note, key) {
  const end = note.indexOf("\n\n");
  const text = new TextEncoder().encode(note.slice(0, end + 1));
  const [, name, text64] = key.match(/^([^+]+)\+[0-9a-f]{8}\+(.+)$/);  // base64 may hold a '+' of its own
  const raw = bytes(text64).slice(1);
  const line = note.slice(end + 2).split("\n").find((each) => each.startsWith("\u2014 " + name + " "));
  if (!line) return false;
  const publicKey = await crypto.subtle.importKey("raw", raw, {name: "Ed25519"}, false, ["verify"]);
  return crypto.subtle.verify({name: "Ed25519"}, publicKey, bytes(line.slice(line.lastIndexOf(" ") + 1)).slice(4), text);
}
async function checks(found) {
  const leaf = await hash(0, bytes(found.raw));
  const root = await rootOf(leaf, found.index, found.size, found.proof.map(bytes));
  const [, size, stated] = found.checkpoint.split("\n");
  const rows = [["The entry's bytes hash to its leaf", same(leaf, bytes(found.leaf))],
    [`The proof leads from the leaf to the root of ${found.size} entries`, root !== null && same(root, bytes(found.root))]];
  if (Number(size) === found.size) rows.push(["The checkpoint states that root", root !== null && same(root, bytes(stated))]);
  else rows.push([`The checkpoint is of ${size} entries: reload for a proof in it`, null]);
  try { rows.push(["The checkpoint is signed with the key shown", await signed(found.checkpoint, found.key)]); }
  catch { rows.push(["This browser cannot check Ed25519 signatures", null]); }
  return rows;
}
// The node bounds how often one person asks: that is no missing proof, so it is asked for again when it says.
async function proof(index) {
  for (let tries = 1; ; tries += 1) {
    const answer = await fetch(`/api/v1/ledger/entries/${index}/proof`, {headers: {Accept: "application/json"}});
    if (answer.status !== 429 || tries === TRIES_MAX) return answer;
    const seconds = Number(answer.headers.get("Retry-After")) || 1;
    await new Promise((go) => { setTimeout(go, seconds * 1000); });
  }
}
// Every entry of an incident, one after the other: how many this browser proved, and which it did not.
async function prove(button) {
  const said = document.getElementById("proven"), list = document.getElementById("unproven");
  const entries = button.dataset.entries.split(",");
  let proven = 0, later = 0;
  list.replaceChildren();
  button.disabled = true;
  said.dataset.held = "";  // the page is not drawn anew under a proof, nor under its result: the bar says what is newer
  for (const index of entries) {
    let rows;
    try {
      const answer = await proof(index);
      rows = answer.ok ? await checks(await answer.json()) : [[`The node gave no proof (${answer.status})`, false]];
    } catch { rows = [["The proof could not be read", false]]; }
    const wrong = rows.filter((row) => row[1] === false);
    if (wrong.length) {
      const row = document.createElement("li"), link = document.createElement("a");
      row.className = "s failing"; link.href = `/ledger/${index}`;
      link.textContent = `\u2717 Entry ${index}: ${wrong[0][0]}`;
      row.append(link); list.append(row);
    } else if (rows.every((row) => row[1])) proven += 1; else later += 1;
    said.textContent = `${proven} of ${entries.length} ledger ${entries.length === 1 ? "entry" : "entries"} proven by this browser` + (later ? `; ${later} not in a checkpoint yet` : "");
  }
  button.disabled = false;
}
const button = document.getElementById("prove");
if (button && window.crypto?.subtle) {
  button.hidden = false;
  document.addEventListener("click", (event) => { const pressed = event.target.closest("#prove"); if (pressed) prove(pressed); });
}
const card = document.getElementById("here");
if (card && window.crypto?.subtle) {
  card.hidden = false;
  document.getElementById("verify").addEventListener("click", async () => {
    const list = document.getElementById("checked");
    const rows = await checks(JSON.parse(card.dataset.proof));
    list.replaceChildren(...rows.map(([said, ok]) => {
      const row = document.createElement("li");
      row.className = ok === null ? "s unknown" : ok ? "s good" : "s failing";
      row.textContent = `${ok === null ? "?" : ok ? "\u2713" : "\u2717"} ${said}`;
      return row;
    }));
  });
}
}
