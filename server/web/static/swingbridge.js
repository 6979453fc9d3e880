// Live updates. Pages are whole without this file; it only fetches news.
"use strict";

// replace puts a new element in the place of the one with its id. Focus stays
// where it was, and the bridge's deck moves instead of jumping.
function replace(next) {
  const old = document.getElementById(next.id);
  if (!old) return false;
  if (old.dataset.html === next.outerHTML || old.outerHTML === next.outerHTML) return true;
  const selection = getSelection();
  if (!selection.isCollapsed && selection.containsNode(old, true)) return true; // somebody copies from it
  const html = next.outerHTML;
  const ways = "a[href], button, input, summary";
  const focus = [...old.querySelectorAll(ways)].indexOf(document.activeElement);
  const deck = old.querySelector(".swing");
  old.replaceWith(next);
  next.dataset.html = html;
  if (focus >= 0) next.querySelectorAll(ways)[focus]?.focus({ preventScroll: true });
  const moved = next.querySelector(".swing");
  if (deck && moved && deck.getAttribute("class") !== moved.getAttribute("class")) {
    const to = moved.getAttribute("class");
    moved.setAttribute("class", deck.getAttribute("class"));
    moved.getBoundingClientRect();
    moved.setAttribute("class", to);
  }
  return true;
}

function parse(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content;
}

// poll takes the page's changing parts from a newer copy of the page.
async function poll(main) {
  let pause = Number(main.dataset.live) * 1000;
  for (;;) {
    await new Promise((wake) => setTimeout(wake, pause));
    if (document.hidden) continue;
    try {
      const answer = await fetch(location.pathname + location.search.replace(/[?&]done=[a-z]+/, ""), { redirect: "error" });
      if (!answer.ok) throw new Error(answer.statusText);
      const news = new DOMParser().parseFromString(await answer.text(), "text/html");
      const parts = [...news.querySelectorAll("[data-part]")];
      if (parts.length !== document.querySelectorAll("[data-part]").length || !parts.every((part) => replace(document.adoptNode(part)))) {
        location.reload(); // an app came or went
        return;
      }
      document.title = news.title;
      pause = Number(news.querySelector("main").dataset.live) * 1000;
    } catch {
      pause = Math.min(pause * 2, 30000);
    }
  }
}

// follow shows a deployment as it goes.
function follow(main) {
  const log = document.getElementById("log");
  const stream = new EventSource(main.dataset.stream);
  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const add = (to, html) => {
    const stay = !atEnd();
    document.getElementById("no-lines")?.remove();
    to.append(parse(html));
    if (!stay) log.scrollTop = log.scrollHeight;
  };
  log.scrollTop = log.scrollHeight;
  stream.addEventListener("part", (event) => {
    const part = parse(event.data).firstElementChild;
    if (part) replace(part);
  });
  stream.addEventListener("section", (event) => add(log, event.data));
  stream.addEventListener("lines", (event) => add(log.querySelector("details:last-of-type ol") ?? log, event.data));
  stream.addEventListener("end", () => stream.close());
}

// reveal opens the section of the line that the address names.
function reveal() {
  const line = /^#L\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  if (!line) return;
  line.closest("details").open = true;
  line.scrollIntoView({ block: "center" });
}

const main = document.getElementById("main");
if (main.dataset.stream) follow(main);
if (Number(main.dataset.live)) poll(main);
addEventListener("hashchange", reveal);
reveal();
