import { ago, bytes, figure } from './format.js';

/** A device's state as a cell. */
export const state = (device) => (device.alive ? { text: 'alive', badge: 'good' } : { text: 'gone', badge: 'bad' });

/** What it can do, in words. */
export const profile = ({ gigaflops_per_second: speed, memory_bytes: memory, uplink_bytes_per_second: uplink }) =>
  `${figure(speed)} GFLOP/s, ${bytes(memory)}, ${bytes(uplink)}/s up`;

/** When it was last heard of. */
export const heard = (device) => ago(device.last_seen);
