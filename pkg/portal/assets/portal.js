// What the pages do beyond HTML. They work without it, but for a link with a token in its fragment.
"use strict";

(() => {
  const base = document.documentElement.dataset.base;

  // A link opens the portal with its token in the fragment, which browsers do not send. It leaves the address at once and
  // goes to the server in the body of a form.
  const signIn = () => {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!token) return;
    history.replaceState(null, "", location.pathname + location.search);
    const form = document.createElement("form");
    form.method = "post";
    form.action = base + "/session";
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = "token";
    field.value = token;
    form.append(field);
    document.body.append(form);
    form.submit();
  };

  // Times are shown in the reader's zone; the exact instant is in the title.
  const localTimes = (root) => {
    for (const t of root.querySelectorAll("time[datetime]")) {
      const at = new Date(t.dateTime);
      if (!isNaN(at)) t.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    }
  };

  const copy = async (button) => {
    const from = document.getElementById(button.dataset.copy);
    const said = button.textContent;
    try {
      await navigator.clipboard.writeText(from.value ?? from.textContent);
      button.textContent = "Copied";
    } catch {
      if (from.select) from.select();
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (button.textContent = said), 2000);
  };

  // Hides the event types that do not have the word in them; those that are ticked stay.
  const filter = (input) => {
    const word = input.value.trim().toLowerCase();
    const list = document.querySelector(input.dataset.filter);
    for (const row of list.querySelectorAll("[data-word]")) {
      row.hidden = !row.dataset.word.toLowerCase().includes(word) && !row.querySelector("input").checked;
    }
    for (const group of list.querySelectorAll("[data-group]")) {
      group.hidden = !group.querySelector("[data-word]:not([hidden])");
    }
  };

  const tickAll = (group) => {
    const boxes = [...group.querySelectorAll("[data-word]:not([hidden]) input")];
    const all = boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = !all;
  };

  // A row for one more header appears when the last one is used.
  const moreHeaders = (input) => {
    const rows = [...document.querySelectorAll("#headers .header")];
    const last = rows[rows.length - 1];
    if (!last || !last.contains(input) || !input.value || rows.length > 49) return;
    const row = last.cloneNode(true);
    for (const field of row.querySelectorAll("input")) {
      if (field.type === "checkbox") {
        field.checked = false;
        field.value = rows.length;
      } else field.value = "";
      if (!field.id) continue;
      const label = row.querySelector(`label[for="${field.id}"]`);
      field.id = field.id.replace(/\d+$/, rows.length);
      if (label) label.htmlFor = field.id;
    }
    last.after(row);
  };

  // What is attempted appears on top of the list while it is looked at. The browser connects again by itself, from where it was.
  const follow = (list) => {
    const rows = list.querySelector("tbody"), said = document.getElementById("live"), most = 500;
    if (!rows || !said) return;
    const source = new EventSource(list.dataset.stream);
    const say = (what) => {
      if (said.textContent !== said.dataset[what]) said.textContent = said.dataset[what];
    };
    source.addEventListener("ready", () => say("on"));
    source.addEventListener("attempt", (event) => {
      const piece = document.createElement("template");
      piece.innerHTML = event.data;
      localTimes(piece.content);
      rows.prepend(piece.content);
      while (rows.rows.length > most) rows.lastElementChild.remove();
    });
    source.addEventListener("error", () => say(source.readyState === EventSource.CLOSED ? "end" : "off"));
    window.addEventListener("pagehide", () => source.close());
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.copy) copy(button);
    if (button && "all" in button.dataset) tickAll(button.closest("[data-group]"));
  });
  document.addEventListener("input", (event) => {
    if (event.target.dataset.filter) filter(event.target);
    if (event.target.name === "header_name") moreHeaders(event.target);
  });
  // Enter in the search of event types must not send the form around it.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.dataset?.filter) event.preventDefault();
  });
  // A link to what is wrong opens the part of the form that hides it.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#f-"]');
    const section = link && document.getElementById(link.hash.slice(1))?.closest("details");
    if (section) section.open = true;
  });
  document.addEventListener("htmx:afterSwap", (event) => localTimes(event.target));
  window.addEventListener("hashchange", signIn);

  signIn();
  localTimes(document);
  for (const list of document.querySelectorAll("[data-stream]")) follow(list);
  document.getElementById("summary")?.focus();
})();
