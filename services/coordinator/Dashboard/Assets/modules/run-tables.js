import { byId, setText } from './dom.js';
import { bytes, count, figure, moment, natural, seconds, share } from './format.js';
import { heard, state } from './devices.js';
import { evaluationClient } from './run-account.js';
import { Table } from './table.js';

const incidentsShown = 200;

/** The tables of a run's page. */
export class RunTables {
  #clients = new Table(byId('clients-table'), 'Clients with their share of the training samples', [
    { title: 'Client' }, { title: 'Device' }, { title: 'Cut', number: true }, { title: 'Samples', number: true }, { title: 'Share', number: true },
    { title: 'Computed', number: true }, { title: 'From cache', number: true }, { title: 'Taken in', number: true }, { title: 'Bytes in', number: true },
    { title: 'Forward time', number: true }, { title: 'Refused', number: true },
  ], 'The run’s clients are not known yet.');

  #devices = new Table(byId('devices-table'), 'Devices that serve the run', [
    { title: 'Device' }, { title: 'State' }, { title: 'Last heard' }, { title: 'Clients', number: true }, { title: 'Cut' }, { title: 'Share', number: true },
    { title: 'Rate', number: true }, { title: 'Still to compute', number: true }, { title: 'Refused', number: true },
    { title: 'Why this cut', wide: true },
  ], 'No device serves the run yet.');

  #incidents = new Table(byId('refused-table'), 'Refused messages and missing samples, the latest first', [
    { title: 'Client' }, { title: 'When' }, { title: 'What' }, { title: 'How many', number: true }, { title: 'Reason', wide: true },
  ], 'None.');

  show(account, detail, devices) {
    const dealt = new Map(detail.clients.map((client) => [client.client_id, client]));
    const training = [...account.clients.values()].reduce((sum, client) => sum + trained(client), 0);
    for (const name of dealt.keys()) {
      account.client(name);
    }

    const clients = [...account.clients.values()].sort((a, b) => natural(a.name, b.name));
    this.#clients.show(clients.map((client) => clientRow(account, client, dealt.get(client.name), training)));
    this.#devices.show(byDevice(clients, dealt).map(([name, served]) =>
      deviceRow(account, name, served, devices.find((device) => device.device === name), dealt, training)));
    this.#incidents.show(account.incidents.slice(-incidentsShown).reverse().map((incident) =>
      [incident.client, moment(incident.time), incident.what, count(incident.count), incident.reason]));
    setText(byId('refused-summary'), account.refusedMessages === 0
      ? 'No message was refused.'
      : `Messages refused: ${count(account.refusedMessages)}. They lie in the dead-letter queue, as far as it has room. Of a client that sends many, the first, second, fourth, eighth, … is told.`);
  }
}

const trained = (client) => (client.name === evaluationClient ? 0 : client.samples ?? 0);

function clientRow(account, client, dealt, training) {
  return [
    client.name,
    dealt?.device ?? 'nobody',
    dealt ? count(dealt.cut) : '–',
    count(client.samples),
    client.name === evaluationClient ? 'held out' : share(client.samples, training),
    count(client.computed),
    count(account.fromCache(client)),
    count(client.ingested),
    bytes(client.ingestedBytes),
    seconds(client.computeSeconds),
    count(client.refused),
  ];
}

function byDevice(clients, dealt) {
  const served = new Map();
  for (const client of clients) {
    const device = dealt.get(client.name)?.device;
    if (device) {
      served.set(device, [...(served.get(device) ?? []), client]);
    }
  }

  return [...served].sort(([a], [b]) => natural(a, b));
}

function deviceRow(account, name, served, device, dealt, training) {
  const sum = (value) => served.reduce((total, client) => total + value(client), 0);
  const computed = sum((client) => client.computed);
  const time = sum((client) => client.computeSeconds);
  const distinct = (value) => [...new Set(served.map((client) => value(dealt.get(client.name))))].sort();
  return [
    name,
    device ? state(device) : { text: 'unknown', badge: 'plain' },
    device ? heard(device) : '–',
    count(served.length),
    distinct((client) => client.cut).join(', '),
    share(sum(trained), training),
    time > 0 ? `${figure(computed / time)} samples/s` : '–',
    lag(account, served),
    count(sum((client) => client.refused)),
    distinct((client) => client.cut_reason).join(' '),
  ];
}

/** Samples that the device's clients hold and that nobody has taken in; unknown where a cache had a part of them, until the run is over. */
function lag(account, served) {
  if (account.end?.status === 'finished') {
    return '0';
  }

  return account.cachedAtFirst === 0
    ? count(served.reduce((total, client) => total + Math.max(0, (client.samples ?? 0) - client.ingested), 0))
    : '–';
}
