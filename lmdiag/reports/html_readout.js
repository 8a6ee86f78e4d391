"use strict";
for (const section of document.querySelectorAll("section")) {
  const island = section.querySelector("script[type='application/json']");
  if (!island) continue;
  const { unit, steps, values } = JSON.parse(island.textContent);
  const bar = document.createElement("output");
  bar.className = "readout";
  bar.hidden = true;
  section.append(bar);
  const plots = [];
  let shown = -1;
  const show = (row) => {
    shown = row;
    bar.hidden = row < 0;
    for (const { line, from, to, width } of plots) {
      const x = row < 0 ? -1 : ((steps[row] - from) / (to - from)) * width;
      line.setAttribute("transform", `translate(${x},0)`);
      line.style.display = x < 0 || x > width ? "none" : "";
    }
    if (row < 0) return;
    const parts = Object.entries(values).filter(([, told]) => told[row]).map(([name, told]) => [name, told[row]]);
    bar.replaceChildren(...[[unit, steps[row].toLocaleString("en")], ...parts].map(([name, told]) => {
      const part = document.createElement("span");
      const value = document.createElement("b");
      value.textContent = told;
      part.append(`${name} `, value);
      return part;
    }));
  };
  const nearest = (step) => {
    let row = steps.findIndex((other) => other >= step);
    if (row < 0) row = steps.length - 1;
    return row > 0 && step - steps[row - 1] < steps[row] - step ? row - 1 : row;
  };
  for (const figure of section.querySelectorAll("figure[data-x]")) {
    const plot = figure.querySelector(".role-frame > g > path.background");
    if (!plot || !steps.length) continue;
    const [from, to] = JSON.parse(figure.dataset.x);
    const { width, height } = plot.getBBox();
    const line = document.createElementNS(plot.namespaceURI, "line");
    line.setAttribute("class", "crosshair");
    line.setAttribute("y2", height);
    line.style.display = "none";
    plot.parentNode.append(line);
    plots.push({ line, from, to, width });
    const at = (event) => {
      const { x } = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
      show(x < -4 || x > width + 4 ? -1 : nearest(from + (x / width) * (to - from)));
    };
    figure.addEventListener("pointermove", at);
    figure.addEventListener("pointerdown", at);
    figure.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(-1));
    figure.tabIndex = 0;
    figure.addEventListener("blur", () => show(-1));
    figure.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      show(Math.min(Math.max(shown + by, 0), steps.length - 1));
    });
  }
}
