/** Asks the relay; `undefined` while there is no connection. Rejects with a `ClientError`. */
export type Ask = (event: string, payload: object) => Promise<Readonly<Record<string, unknown>>> | undefined;
