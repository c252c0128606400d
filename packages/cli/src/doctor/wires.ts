import http from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';

/** The connections of one client. A peer that is frozen never ends one, and neither does Engine.IO while it waits for an answer. */
export interface Wires {
  /** Opens every connection of the client. */
  readonly agent: http.Agent;
  /** Ends them all, whatever they wait for. */
  cut(): void;
}

export function createWires(origin: string): Wires {
  const agent = origin.startsWith('https:') ? new https.Agent() : new http.Agent();
  const open = new Set<Duplex>();
  const connect = agent.createConnection.bind(agent);
  // An agent forgets a connection once it is a WebSocket.
  agent.createConnection = (options, callback) => {
    const wire = connect(options, callback);
    if (wire) {
      open.add(wire);
      wire.once('close', () => open.delete(wire));
    }
    return wire;
  };
  return {
    agent,
    cut() {
      for (const wire of open) wire.destroy();
    },
  };
}
