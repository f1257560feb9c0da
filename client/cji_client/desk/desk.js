// The desk works without this script. It sends dropped files at once, keeps a running job's page up to date, and asks
// before records are thrown away.
'use strict';

const drop = document.querySelector('.drop');
if (drop) {
  const input = drop.querySelector('input');
  const send = drop.closest('form').querySelector('button');
  input.addEventListener('change', () => {
    if (!input.files.length) return;
    drop.querySelector('strong').textContent = 'Reading…';
    send.disabled = true;
    drop.closest('form').submit();
  });
  for (const kind of ['dragenter', 'dragover']) drop.addEventListener(kind, () => drop.classList.add('over'));
  for (const kind of ['dragleave', 'drop']) drop.addEventListener(kind, () => drop.classList.remove('over'));
}

const running = document.querySelector('[data-progress]');
if (running) {
  const step = running.querySelector('.step');
  const bar = running.querySelector('progress');
  const look = async () => {
    let known;
    try {
      known = await (await fetch(running.dataset.progress, { cache: 'no-store' })).json();
    } catch {
      step.textContent = 'The desk does not answer. Open it again from its shortcut.';
      return;
    }
    if (known.ended) { location.reload(); return; }
    if (step.textContent !== known.step) step.textContent = known.step;
    if (known.per_cent === null) bar.removeAttribute('value');
    else bar.value = known.per_cent;
    setTimeout(look, 500);
  };
  setTimeout(look, 300);
}

const keys = new Map([...document.querySelectorAll('[data-key]')].map(each => [each.dataset.key, each]));
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, select')) return;
  const act = keys.get(event.key.toLowerCase());
  if (act) act.click();
});

for (const form of document.querySelectorAll('form')) {
  form.addEventListener('submit', () => {
    for (const each of form.querySelectorAll('button')) setTimeout(() => { each.disabled = true; });
  });
}
