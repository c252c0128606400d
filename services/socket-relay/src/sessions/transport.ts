/** Whether a connection came through the raw door. */
export function isRaw({ transport }: { transport: unknown }): boolean {
  return (transport as { isRaw?: boolean }).isRaw === true;
}

/** The transport of a connection as monitors show it: `polling`, `websocket`, or `raw` for a WebSocket without Socket.IO. */
export function transportName(conn: { transport: { name: string } }): string {
  return isRaw(conn) ? 'raw' : conn.transport.name;
}
