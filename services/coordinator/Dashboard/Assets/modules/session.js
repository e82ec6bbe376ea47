import { get } from './api.js';
import { byId, element } from './dom.js';

/** Says in the page's head who is signed in, with a way out; nothing where the coordinator asks nobody for a token. Gives the session. */
export async function showSession() {
  const session = await get('/api/session');
  if (!session.is_anonymous) {
    const out = element('button', { type: 'button' }, 'Sign out');
    out.addEventListener('click', async () => {
      await fetch('/api/session', { method: 'DELETE' });
      location.replace('/sign-in');
    });
    byId('session').replaceChildren(element('span', {}, `${session.name} (${session.role})`), out);
  }

  return session;
}
