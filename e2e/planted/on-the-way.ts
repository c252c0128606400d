import { freePort, startRelayProcess, tokenFor, tokenWith, until } from '@groupcast/testing';
import { leadTo, type MessageFault, ofPerson } from './scene.ts';
import { killRedis, OTHER_SECRETS, relaysTogether, setReadOnly, setRedisUser } from './stage.ts';

/** Between the outbox and the relay that takes the message. */
const TO_THE_RELAY: readonly MessageFault[] = [
  {
    name: 'the relay is down',
    async plant({ stage, say }) {
      const port = await freePort();
      const lift = await leadTo(stage, port);
      const env = { RELAY_URL: `http://127.0.0.1:${port}`, RELAY_INTERNAL_URL: '' };
      return { messageId: await say(), env, lift };
    },
    trace: { hop: 'relay-accepted', code: 'RELAY_UNREACHABLE', cause: /does not reach the relay|ECONN/i },
    doctor: { hop: 'relay', code: 'RELAY_UNREACHABLE', cause: /ECONNREFUSED/ },
  },
  {
    name: 'the cable to the relay is out',
    isSilent: true,
    async plant({ stage, say }) {
      const { apiWire } = stage;
      apiWire.freeze();
      const env = { RELAY_URL: `http://127.0.0.1:${apiWire.port}`, RELAY_INTERNAL_URL: '' };
      return { messageId: await say(), env, lift: () => apiWire.thaw() };
    },
    trace: { hop: 'relay-accepted', code: 'RELAY_UNREACHABLE', cause: /does not reach the relay/ },
    doctor: { hop: 'relay', code: 'RELAY_SILENT', cause: /takes a connection and does not answer/ },
  },
  {
    name: 'RELAY_URL leads to the API',
    async plant({ stage, say }) {
      const { api } = stage;
      const lift = await leadTo(stage, api.port);
      return { messageId: await say(), env: { RELAY_URL: api.url }, lift };
    },
    trace: { hop: 'relay-accepted', code: 'RELAY_UNREACHABLE', cause: /does not reach the relay/ },
    doctor: { hop: 'relay', code: 'WRONG_URL', cause: /no relay answers/ },
  },
  {
    name: 'RELAY_SERVICE_SECRET of the relay differs',
    async plant({ stage, say }) {
      const { foreign } = stage;
      const lift = await leadTo(stage, foreign.port);
      const env = { RELAY_URL: foreign.url, RELAY_INTERNAL_URL: foreign.internalUrl, REDIS_URL: '' };
      return { messageId: await say(), env, lift };
    },
    trace: { hop: 'relay-accepted', code: 'RELAY_REFUSED', cause: /SERVICE_TOKEN_INVALID/ },
    doctor: { hop: 'secrets', code: 'SECRET_MISMATCH', cause: /RELAY_SERVICE_SECRET of the relay differs/ },
  },
  {
    name: 'relays of another deployment use the same prefix',
    async plant({ stage, say }) {
      const port = await freePort();
      const env = { ...OTHER_SECRETS, REDIS_URL: stage.redis.url };
      const late = startRelayProcess({ ...env, RELAY_PORT: String(port) }).then(
        () => 'started',
        (error: unknown) => String(error),
      );
      if (!(await late).includes('another deployment')) throw new Error('the foreign relay has started');
      const lift = await leadTo(stage, port);
      const ofRelay = { ...env, RELAY_URL: `http://127.0.0.1:${port}`, RELAY_INTERNAL_URL: '' };
      return { messageId: await say(), env: ofRelay, lift };
    },
    trace: { hop: 'relay-accepted', code: 'RELAY_UNREACHABLE', cause: /does not reach the relay/ },
    doctor: { hop: 'redis', code: 'FOREIGN_DEPLOYMENT', cause: /another deployment use REDIS_PREFIX "gc"/ },
  },
  {
    name: 'a frozen process of the API holds the outbox of the group',
    async plant({ stage: { sql }, groupId, say }) {
      const lease = async (text: string): Promise<unknown> =>
        sql(`update outbox set ${text} where group_id = '${groupId}'`);
      await say();
      await until('the group to be given back', async () => (await sql('select 1 from backlog')).length === 0);
      await lease(
        "lease_owner = 'frozen-1', lease_token = lease_token + 1, lease_until = now() + interval '10 seconds'",
      );
      return { messageId: await say(), lift: async () => lease('lease_until = null') };
    },
    ...ofPerson('LEASED_ELSEWHERE', /frozen-1 holds it until 2/, 'claimed'),
  },
  {
    name: 'the database is read-only',
    async plant({ stage, say }) {
      const back = await leadTo(stage, await freePort());
      const messageId = await say();
      await setReadOnly(stage.postgres, 'on');
      back();
      return { messageId, lift: async () => setReadOnly(stage.postgres, 'off') };
    },
    trace: { hop: 'claimed', code: 'DATABASE_READ_ONLY', cause: /takes no writes/ },
    doctor: { hop: 'database', code: 'DATABASE_READ_ONLY', cause: /takes no writes/ },
  },
];

/** Between relays. */
const BETWEEN_RELAYS: readonly MessageFault[] = [
  {
    name: 'Redis is down',
    async plant({ stage, say, joinedPage }) {
      await joinedPage(stage.two.url);
      const lift = await killRedis(stage);
      return { messageId: await say(), lift };
    },
    trace: { hop: 'relay-accepted', code: 'ATTEMPT_FAILED', cause: /BROKER_UNAVAILABLE/ },
    doctor: { hop: 'redis', code: 'REDIS_UNREACHABLE', cause: /ECONNREFUSED/ },
  },
  {
    name: 'Redis is a replica',
    async plant({ stage, say, joinedPage }) {
      await joinedPage(stage.two.url);
      stage.redis.ask('replicaof', '127.0.0.1', '1');
      return {
        messageId: await say(),
        async lift() {
          stage.redis.ask('replicaof', 'no', 'one');
          await relaysTogether(stage);
        },
      };
    },
    trace: { hop: 'relay-accepted', code: 'ATTEMPT_FAILED', cause: /BROKER_UNAVAILABLE/ },
    doctor: { hop: 'redis', code: 'REDIS_READ_ONLY', cause: /replica/ },
  },
  {
    name: 'the relay of a recipient hears nothing from Redis',
    async plant({ stage, say, joinedPage }) {
      await joinedPage(stage.two.url);
      setRedisUser(stage.redis, 'resetchannels');
      return {
        messageId: await say(),
        where: { relays: [stage.two.url] },
        async lift() {
          setRedisUser(stage.redis, 'allchannels');
          await relaysTogether(stage);
        },
      };
    },
    // It reads what it missed from the log, once in a few seconds.
    trace: { hop: 'node-received', code: 'NODE_UNREACHABLE', cause: /none of the relays that answered/, heals: true },
    doctor: { hop: 'redis', code: 'REDIS_UNREACHABLE', cause: /the relay at .* cannot use Redis/ },
  },
  {
    name: 'the relay of a recipient is frozen',
    isSilent: true,
    async plant({ stage, say, joinedPage }) {
      await joinedPage(stage.two.url);
      stage.two.signal('SIGSTOP');
      return {
        messageId: await say(),
        where: { relays: [stage.two.url] },
        async lift() {
          stage.two.signal('SIGCONT');
          await relaysTogether(stage);
        },
      };
    },
    trace: { hop: 'node-received', code: 'NODE_UNREACHABLE', cause: /none of the relays that answered/ },
    doctor: { hop: 'nodes', code: 'NODE_SILENT', cause: /does not answer/ },
  },
  {
    name: 'the relay of a recipient has another Redis, or none',
    isSilent: true,
    async plant({ stage, say, page }) {
      await page(stage.lone.url);
      return { messageId: await say(), where: { relays: [stage.lone.url] } };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /connected to no relay/ },
    doctor: { hop: 'redis', code: 'NODES_APART', cause: /does not reach the clients of the other/ },
  },
  {
    name: 'the relay of a recipient does not reach the API',
    async plant({ stage, say, page, groupId, userId }) {
      const { two, backWire, api } = stage;
      backWire.leadTo(await freePort());
      backWire.cut();
      const readiness = async (): Promise<string> => (await fetch(`${two.internalUrl}/readyz`)).text();
      const seconds = Math.floor(Date.now() / 1_000);
      // Of a token from before the relay started the API is asked.
      const claims = { sub: userId, groups: [groupId], iat: seconds - 600, exp: seconds + 600 };
      await page(two.url, { auth: { token: await tokenWith(claims) } });
      await until('the relay to say so', async () => (await readiness()).includes('back-end'));
      return {
        messageId: await say(),
        where: { nodes: [stage.one.internalUrl, two.internalUrl] },
        async lift() {
          backWire.leadTo(api.port);
          await until('the relay to reach the API', async () => (await readiness()).includes('"ready"'), 30_000);
        },
      };
    },
    trace: { hop: 'written', code: 'UNDECIDED', cause: /could not be asked yet/ },
    doctor: { hop: 'relay', code: 'RELAY_CUT_OFF', cause: /does not reach its API/ },
  },
  {
    name: 'JWT_SECRET of the relay differs',
    async plant({ stage, say, page, userId, groupId }) {
      const { strange } = stage;
      const lift = await leadTo(stage, strange.port);
      await page(strange.url, { auth: { token: await tokenFor(userId, [groupId]) } });
      const env = { RELAY_URL: strange.url, RELAY_INTERNAL_URL: strange.internalUrl, REDIS_URL: '' };
      return { messageId: await say(), env, lift };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /\(TOKEN_INVALID\)/ },
    doctor: { hop: 'secrets', code: 'SECRET_MISMATCH', cause: /JWT_SECRET .* of the relay differs/ },
  },
];

/** Faults of services, and of the wires between them. */
export const ON_THE_WAY: readonly MessageFault[] = [...TO_THE_RELAY, ...BETWEEN_RELAYS];
