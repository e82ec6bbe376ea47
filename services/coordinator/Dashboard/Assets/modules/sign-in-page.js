import { byId, setText } from './dom.js';

/** Where the reader wanted to go; only a page of this site. */
function next() {
  const wanted = new URLSearchParams(location.search).get('next') ?? '/';
  return wanted === '/' || /^\/runs\/[^/\\?#]+$/.test(wanted) ? wanted : '/';
}

function refuse(reason) {
  setText(byId('refused'), reason);
  byId('refused').hidden = false;
  byId('token').setAttribute('aria-invalid', 'true');
  byId('token').focus();
}

byId('sign-in').addEventListener('submit', async (submitted) => {
  submitted.preventDefault();
  try {
    const response = await fetch('/api/session', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token: byId('token').value }),
    });
    if (response.ok) {
      location.replace(next());
      return;
    }

    const body = await response.json().catch(() => null);
    refuse(body?.errors?.join(' ') ?? `The coordinator answered ${response.status}.`);
  } catch (error) {
    refuse(`The coordinator does not answer. ${error.message}`);
  }
});
