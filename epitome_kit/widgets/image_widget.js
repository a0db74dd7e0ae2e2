const STEPS = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
const NOTCH = 40; // a mouse sends more in one notch of its wheel, a touchpad less in one event
const PAUSE_MS = 300; // a longer pause ends a scroll of the page
const FRAME_MS = 150; // each picture of a film

function render({ model, el }) {
  const frame = document.createElement("div");
  const image = document.createElement("img");
  frame.append(image);
  frame.tabIndex = 0;
  frame.setAttribute("role", "slider");
  frame.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab leaves the arrow keys to the picture
  frame.style.cssText = "display: inline-block; max-width: 100%; line-height: 0";
  image.style.maxWidth = "100%";
  image.draggable = false;
  el.append(frame);

  let newest, shown;
  async function showPicture() {
    const url = URL.createObjectURL(new Blob([model.get("value")], { type: "image/jpeg" }));
    const next = new Image();
    next.src = newest = url;
    await next.decode().catch(() => {});
    if (newest !== url) return URL.revokeObjectURL(url);
    image.src = url;
    if (shown) URL.revokeObjectURL(shown);
    shown = url;
  }
  function describe() {
    image.alt = `${model.get("label")}: ${model.get("text")}`;
    frame.setAttribute("aria-label", `${model.get("label")}; arrow keys or wheel`);
    frame.setAttribute("aria-valuemin", 0);
    frame.setAttribute("aria-valuemax", model.get("last"));
    frame.setAttribute("aria-valuenow", model.get("index"));
    frame.setAttribute("aria-valuetext", model.get("text"));
    nameSliders();
  }
  function nameSliders() {
    // ipywidgets leaves the handles of sliders without a name for screen readers: they take that of their label
    for (const slider of el.closest(".widget-vbox")?.querySelectorAll(".widget-slider") ?? []) {
      const name = slider.querySelector("label")?.innerText ?? "";
      slider.querySelectorAll(".noUi-handle").forEach((handle) => handle.setAttribute("aria-label", name));
    }
  }
  function goTo(index) {
    model.set("index", Math.max(0, Math.min(model.get("last"), index)));
    model.save_changes();
  }

  let film;
  function play() {
    clearInterval(film);
    const next = () => goTo((model.get("index") + 1) % (model.get("last") + 1));
    if (model.get("playing")) film = setInterval(next, FRAME_MS);
  }

  let elsewhere = -Infinity;
  function scroll(event) {
    if (!frame.contains(event.target)) elsewhere = event.timeStamp;
  }
  let travelled = 0;
  frame.addEventListener("wheel", (event) => {
    if (event.ctrlKey) return;
    if (event.timeStamp - elsewhere < PAUSE_MS) {
      elsewhere = event.timeStamp;
      return;
    }
    event.preventDefault();
    const pixels = event.deltaMode ? event.deltaY * NOTCH : event.deltaY;
    travelled += Math.max(-NOTCH, Math.min(NOTCH, pixels));
    const steps = Math.trunc(travelled / NOTCH);
    travelled -= steps * NOTCH;
    if (steps) goTo(model.get("index") - steps);
  }, { passive: false });
  frame.addEventListener("keydown", (event) => {
    const ends = { Home: 0, End: model.get("last") };
    if (!(event.key in STEPS) && !(event.key in ends)) return;
    event.preventDefault();
    event.stopPropagation();
    goTo(ends[event.key] ?? model.get("index") + STEPS[event.key]);
  });
  frame.addEventListener("click", (event) => {
    const box = image.getBoundingClientRect();
    model.set("clicked", [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]);
    model.save_changes();
  });

  document.addEventListener("wheel", scroll, { passive: true, capture: true });
  model.on("change:value", showPicture);
  model.on("change:playing", play);
  model.on("change:index change:last change:label change:text", describe);
  showPicture();
  describe();
  play();
  const later = setTimeout(nameSliders, 1000); // when the sliders are there, too
  return () => {
    clearInterval(film);
    clearTimeout(later);
    document.removeEventListener("wheel", scroll, { capture: true });
  };
}

export default { render };
