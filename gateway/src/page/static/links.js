// Links for outside recipients: asked for as soon as a press for one is taken, shown when it counts, and gone from the screen with the page.
"use strict";

(() => {
  const box = document.getElementById("links");
  if (!box) return;

  const collect = async () => {
    const body = new URLSearchParams(new FormData(document.getElementById("acts")));
    const answer = await fetch(box.dataset.path, { method: "POST", body, headers: { Accept: "application/json" } });
    if (answer.redirected) return location.assign("/sign-in");
    const { html, more } = await answer.json();
    const before = box.children.length;
    box.insertAdjacentHTML("beforeend", html);
    const heading = box.children[before]?.querySelector("h2");
    (heading ?? box.children[before])?.scrollIntoView({ block: "nearest" });
    heading?.focus();
    if (more) return collect();
  };
  document.addEventListener("links", () => {
    // The next study does not go outside because this one did.
    for (const tick of document.querySelectorAll(".outside input:checked")) tick.click();
    collect().catch(fail);
  });
  const fail = () => {
    const lost = document.createElement("p");
    lost.className = "notice bad";
    lost.setAttribute("role", "alert");
    lost.textContent = box.dataset.lost;
    box.append(lost);
  };

  box.addEventListener("click", (event) => {
    if (event.target.matches("[data-told]")) event.target.closest("section").remove();
  });
  // Neither the way back nor a page that the browser keeps shows it again.
  addEventListener("pagehide", () => { for (const shown of box.querySelectorAll("section")) shown.remove(); });
})();
