import pg from 'pg';

const CONNECT_MS = 10_000;

/** A session with PostgreSQL of its own, for what no service does: data of any size, a snapshot that is held, a question after the fact. */
export interface SqlSession {
  /** Throws where the answer takes longer than `timeoutMs`; the server gives up too. */
  query<Row>(text: string, timeoutMs?: number): Promise<Row[]>;
  end(): Promise<void>;
}

export async function openSqlSession(url: string): Promise<SqlSession> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS });
  // A server that is stopped ends its sessions: the next query says so.
  client.on('error', () => undefined);
  await client.connect();
  return {
    async query<Row>(text: string, timeoutMs = 30_000) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => {
          reject(new Error(`waited ${timeoutMs} ms for: ${text.slice(0, 200)}`));
          void client.end();
        }, timeoutMs);
      });
      try {
        const { rows } = await Promise.race([client.query(text), late]);
        return rows as Row[];
      } finally {
        clearTimeout(timer);
      }
    },
    end: async () => client.end(),
  };
}
