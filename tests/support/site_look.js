// Faults of the page as it is laid out now, as texts. Evaluated by site_look.py, which gives the width of the window.
(async width => {
  const faults = [];
  const shown = text => JSON.stringify(text.trim().replace(/\s+/g, ' ').slice(0, 50));

  // colours change at once: a transition would be measured halfway
  if (!document.getElementById('still')) {
    const still = document.createElement('style');
    still.id = 'still';
    still.textContent = '* { transition: none !important; animation: none !important }';
    document.head.append(still);
  }
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));

  // nothing is wider than the window but what scrolls in a box of its own
  if (document.documentElement.scrollWidth > width) faults.push(`is ${document.documentElement.scrollWidth} px wide`);
  const boxed = node => {
    for (let box = node.parentElement; box; box = box.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) return true;
    return false;
  };
  for (const node of document.querySelectorAll('article *')) {
    const box = node.getBoundingClientRect();
    if (box.width > 1 && box.height > 1 && (box.right > width + 1 || box.left < -1) && !boxed(node))
      faults.push(`is cut at the edge: ${shown(node.textContent || node.outerHTML)}`);
  }

  // pictures are there, and large enough to be read
  for (const picture of document.images) {
    if (!picture.complete) await picture.decode().catch(() => 0);
    const name = picture.getAttribute('src');
    if (!picture.naturalWidth) faults.push(`lacks the picture ${name}`);
    else if (picture.getBoundingClientRect().width < 0.8 * picture.naturalWidth) faults.push(`shrinks ${name}`);
  }

  // WCAG 2.2, 1.4.3: contrast of 4.5, or 3 for large text
  const parsed = new Map();
  const colour = text => {
    if (!parsed.has(text)) {
      const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g).map(Number);
      parsed.set(text, [red, green, blue, alpha]);
    }
    return parsed.get(text);
  };
  const over = (top, below) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * below[i]).concat(1);
  const light = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const papers = new Map();
  const paper = node => {
    if (!node) return [255, 255, 255, 1];
    if (!papers.has(node)) {
      const own = colour(getComputedStyle(node).backgroundColor);
      papers.set(node, own[3] === 1 ? own : over(own, paper(node.parentElement)));
    }
    return papers.get(node);
  };
  const seen = new Map();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = walk.nextNode());) {
    const node = text.parentElement;
    if (!text.data.trim() || !node.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const style = getComputedStyle(node);
    const below = paper(node);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const key = [style.color, below, least].join();
    if (seen.has(key)) continue;
    const [ink, ground] = [light(over(colour(style.color), below)), light(below)];
    seen.set(key, (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05));
    if (seen.get(key) < least) faults.push(`has contrast ${seen.get(key).toFixed(2)}: ${shown(text.data)}`);
  }
  if (!seen.size) faults.push('shows no text');
  return faults;
})
