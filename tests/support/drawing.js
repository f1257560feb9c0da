// Faults of a drawing (SVG) with texts, as texts: low contrast, a text outside, on an edge of a box, on a line, on a text.
(async () => {
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const faults = [];
  const texts = [...document.querySelectorAll('text')];
  if (!texts.length) return faults;  // a plot, whose letters are paths
  const light = colour => colour.match(/[\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const box = node => node.getBBox();
  const meet = (a, b, gap = 0) => a.x < b.x + b.width + gap && b.x < a.x + a.width + gap
    && a.y < b.y + b.height + gap && b.y < a.y + a.height + gap;
  const inside = (a, b, gap) => a.x >= b.x + gap && a.y >= b.y + gap
    && a.x + a.width <= b.x + b.width - gap && a.y + a.height <= b.y + b.height - gap;
  const boxes = [...document.querySelectorAll('rect')];
  const points = [...document.querySelectorAll('path')].filter(line => !line.closest('marker')).flatMap(line =>
    Array.from({length: line.getTotalLength() / 4}, (_, i) => line.getPointAtLength(4 * i)));
  const page = document.documentElement.viewBox.baseVal;
  texts.forEach((text, i) => {
    const own = box(text), name = JSON.stringify(text.textContent);
    if (!inside(own, page, 0)) faults.push(`${name} is outside`);
    for (const each of boxes) {
      if (meet(own, box(each)) && !inside(own, box(each), 2)) faults.push(`${name} is on the edge of a box`);
    }
    if (points.some(({x, y}) => inside({x, y, width: 0, height: 0}, own, 0))) faults.push(`${name} is on a line`);
    if (texts.slice(0, i).some(other => meet(own, box(other), -2))) faults.push(`${name} is on another text`);
    const below = boxes.filter(each => inside(own, box(each), 0) && getComputedStyle(each).fill !== 'none').at(-1);
    if (!below) { faults.push(`${name} has nothing behind it`); return; }
    const [ink, ground] = [text, below].map(node => light(getComputedStyle(node).fill));
    const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    if (contrast < 4.5) faults.push(`${name} has contrast ${contrast.toFixed(2)}`);
  });
  return faults;
})
