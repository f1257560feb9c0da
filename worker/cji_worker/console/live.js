
// Takes the page again and again, and puts its parts in place. What came before is marked when no answer comes.
(() => {
  "use strict";
  const EVERY_MS = 2000, ANSWER_MS = 5000;
  const update = async () => {
    let lost = true;
    try {
      const options = { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(ANSWER_MS) };
      const answer = await fetch(location.pathname, options);
      if (answer.ok) {
        const next = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of ["header", "main"]) {
          document.querySelector(part).replaceWith(document.adoptNode(next.querySelector(part)));
        }
        document.title = next.title;
        lost = false;
      }
    } catch {
      // the page says so
    }
    document.body.classList.toggle("lost", lost);
    setTimeout(update, EVERY_MS);
  };
  setTimeout(update, EVERY_MS);
})();
