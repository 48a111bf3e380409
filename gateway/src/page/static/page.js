// The list follows the gateway without a reload, and the keyboard keeps its place. Without this script every form still works.
"use strict";

(() => {
  const send = document.getElementById("send");
  const said = document.getElementById("said");
  const list = document.getElementById("studies");
  const button = document.getElementById("transfer");
  const byId = (id) => document.getElementById(id);

  // Keys: "/" goes to the search, Escape out of it.
  document.addEventListener("keydown", (event) => {
    const field = byId("q");
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName) && document.activeElement.type !== "radio" && document.activeElement.type !== "checkbox";
    if (event.key === "/" && field && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      field.focus();
      field.select();
    } else if (event.key === "Escape" && document.activeElement === field) {
      send?.querySelector("input[name=study]:checked, input[name=study]")?.focus();
    }
  });

  // A file is read into the text field that it belongs to.
  for (const picker of document.querySelectorAll("input[type=file][data-into]")) {
    picker.addEventListener("change", async () => {
      const [file] = picker.files;
      if (file) byId(picker.dataset.into).value = await file.text();
    });
  }

  if (!list) return;

  // What was done is shown; what happened by itself is only read out, since the list shows it.
  let fading = 0;
  const say = (text, bad, undo, lasts) => {
    clearTimeout(fading);
    said.textContent = "";
    said.classList.toggle("bad", Boolean(bad));
    // A new text node each time, so that the same words are read out again.
    requestAnimationFrame(() => {
      said.textContent = text;
      if (!undo) return;
      const button = document.createElement("button");
      button.textContent = undo.label;
      button.dataset.wish = "undo";
      button.addEventListener("click", () => post(undo.path, new URLSearchParams(new FormData(byId("acts")))));
      said.append(button);
    });
    // What can be taken back is said as long as it can.
    fading = setTimeout(() => { said.textContent = ""; }, lasts ?? 12_000);
  };
  const tell = (text) => { byId("news").textContent = text; };

  // The button repeats whom it is about and to whom it goes.
  const chosen = () => send.querySelector("input[name=study]:checked");
  const describe = () => {
    if (!button) return;
    const radio = chosen();
    const row = radio?.closest(".study");
    for (const other of send.querySelectorAll(".study.chosen")) if (other !== row) other.classList.remove("chosen");
    row?.classList.add("chosen");
    const doctors = [...send.querySelectorAll("input[name=doctor]:checked")].map((box) => box.dataset.name);
    const patient = row ? [row.dataset.name, row.dataset.id && `ID ${row.dataset.id}`].filter(Boolean).join("  ") : "";
    const whom = byId("whom");
    whom.replaceChildren();
    if (!row) whom.textContent = button.dataset.none;
    else if (!doctors.length) whom.textContent = button.dataset.nobody;
    else {
      const name = document.createElement("bdi");
      name.textContent = patient;
      const to = document.createElement("bdi");
      to.textContent = doctors.join(button.dataset.comma);
      whom.append(name, " → ", to);
    }
    button.classList.toggle("ready", Boolean(row && doctors.length));
  };
  send.addEventListener("change", describe);

  // Forms are sent without leaving the page: focus and place stay.
  const post = async (url, body) => {
    try {
      const answer = await fetch(url, { method: "POST", body, headers: { Accept: "application/json" } });
      if (answer.redirected || answer.status === 401) return location.assign("/sign-in");
      if (!answer.headers.get("content-type")?.startsWith("application/json")) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        return say(page.querySelector(".notice")?.textContent ?? answer.statusText, true);
      }
      const { said: text, bad, undo, for_ms: lasts, links } = await answer.json();
      say(text, bad, undo, lasts);
      if (links) document.dispatchEvent(new Event("links"));
    } catch {
      byId("line").hidden = false;
    }
  };
  send.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!chosen()) return say(button.dataset.none, true);
    if (!send.querySelector("input[name=doctor]:checked")) return say(button.dataset.nobody, true);
    post("/press", new URLSearchParams(new FormData(send)));
  });
  byId("acts").addEventListener("submit", (event) => {
    event.preventDefault();
    const target = event.submitter;
    if (!target) return;
    target.closest("details")?.removeAttribute("open");
    post(target.getAttribute("formaction"), new URLSearchParams(new FormData(event.target)));
  });

  // What has the focus is found again in a row that was made anew: by its id, or by what it does.
  const place = (element) => {
    if (element.id) return `#${CSS.escape(element.id)}`;
    if (element.dataset.wish) return `[data-wish="${element.dataset.wish}"]`;
    return element.tagName === "SUMMARY" ? "summary" : null;
  };
  const make = (html) => {
    const box = document.createElement("template");
    box.innerHTML = html;
    return box.content.firstElementChild;
  };
  const renew = (old, html) => {
    const fresh = make(html);
    if (old.dataset.html === html) return old;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const where = focused && place(focused);
    const checked = old.querySelector("input[name=study]")?.checked;
    if (old.querySelector("details[open]")) fresh.querySelector("details")?.setAttribute("open", "");
    const radio = fresh.querySelector("input[name=study]");
    if (radio) radio.checked = Boolean(checked);
    old.replaceWith(fresh);
    if (focused) ((where && fresh.querySelector(where)) || fresh.querySelector("input, .wishes button, summary") || button || send.querySelector("input"))?.focus({ preventScroll: true });
    const words = (row) => row.querySelector(".words span:nth-of-type(2)")?.textContent ?? "";
    if (words(old) !== words(fresh) && !fresh.querySelector(".due")) tell(`${fresh.dataset.name}: ${words(fresh)}`);
    return fresh;
  };

  // A browser scrolls by whole pixels of the screen: what it leaves is made up for the next time.
  let unscrolled = 0;
  const apply = ({ order, rows }) => {
    const top = list.firstElementChild;
    const anchor = [...list.children].find((row) => row.getBoundingClientRect().bottom > 0);
    const before = anchor?.getBoundingClientRect().top;
    for (const [id, html] of Object.entries(rows)) {
      const old = byId(`s-${id}`);
      const row = old ? renew(old, html) : make(html);
      row.dataset.html = html;
      if (!old) list.append(row);
    }
    const wanted = new Set(order.map((id) => `s-${id}`));
    for (const row of [...list.children]) if (!wanted.has(row.id)) row.remove();
    // Rows are moved only where their order has changed: a moved element loses the focus.
    let next = list.firstElementChild;
    for (const id of order) {
      const row = byId(`s-${id}`);
      if (!row) continue;
      if (row === next) next = next.nextElementSibling;
      else list.insertBefore(row, next);
    }
    byId("none").hidden = list.children.length > 0;
    const further = byId("further");
    further.hidden = order.length < Number(further.dataset.rows);
    further.value = order.at(-1) ?? "";
    if (top && anchor?.isConnected && window.scrollY > 0) {
      const [wanted, from] = [anchor.getBoundingClientRect().top - before + unscrolled, window.scrollY];
      window.scrollBy(0, wanted);
      unscrolled = wanted - (window.scrollY - from);
    }
    describe();
  };

  // What the browser remembers of an earlier visit is not what is chosen now.
  const preselect = () => {
    const radio = send.dataset.selected && byId(`r-${send.dataset.selected}`);
    if (radio) {
      radio.checked = true;
      if (document.activeElement === document.body) radio.focus({ preventScroll: true });
    }
    describe();
  };
  preselect();

  const line = new EventSource(`/live${location.search}`);
  line.addEventListener("rows", (event) => {
    byId("line").hidden = true;
    const news = JSON.parse(event.data);
    rings = news.rings;
    for (const tag of send.querySelectorAll("[data-away]")) {
      tag.textContent = news.away[tag.dataset.away] ?? "";
      tag.hidden = !tag.textContent;
    }
    apply(news);
  });
  line.addEventListener("end", () => {
    line.close();
    location.assign("/sign-in");
  });
  line.onerror = () => { byId("line").hidden = false; };
  line.onopen = () => { byId("line").hidden = true; };

  // What nobody has opened rings until a person here says to have heard it. A browser lets a page sound once somebody has touched it.
  const RING_MS = 4_000;
  let sound = null;
  let rings = false;
  setInterval(() => {
    document.body.classList.toggle("rings", rings);
    if (!rings) return;
    sound ??= new AudioContext();
    if (sound.state !== "running") return sound.resume().catch(() => {});
    for (const [at, hertz] of [[0, 880], [0.3, 660], [0.6, 880]]) {
      const tone = new OscillatorNode(sound, { frequency: hertz });
      const loud = new GainNode(sound, { gain: 0.2 });
      tone.connect(loud).connect(sound.destination);
      tone.start(sound.currentTime + at);
      tone.stop(sound.currentTime + at + 0.25);
    }
  }, RING_MS);

  setInterval(() => {
    for (const due of list.querySelectorAll(".due")) {
      due.textContent = `${Math.max(0, Math.ceil((Number(due.dataset.due) - Date.now()) / 1000))} s`;
    }
  }, 200);
})();
