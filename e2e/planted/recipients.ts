import { startBalancer, tokenFor, tokenWith } from '@groupcast/testing';
import { type MessageFault, ofPerson } from './scene.ts';
import { OTHER_SECRETS } from './stage.ts';
import { startHttpProxy } from './wires.ts';

/** Where a recipient is not there, or not in the group. */
export const RECIPIENTS: readonly MessageFault[] = [
  {
    name: 'the recipient has never been there',
    plant: async ({ say }) => ({ messageId: await say() }),
    ...ofPerson('OFFLINE', /connected to no relay/),
  },
  {
    name: 'the recipient has left the page',
    async plant({ stage, say, joinedPage }) {
      (await joinedPage(stage.two.url)).close();
      return { messageId: await say() };
    },
    ...ofPerson('OFFLINE', /disconnected|closed from the other side/),
  },
  {
    name: 'the page does not join',
    async plant({ stage, say, page, userId }) {
      // The relay's dialect brings nobody into a group that did not ask for it.
      await page(stage.one.url, { auth: { token: await tokenFor(userId, []) } });
      return { messageId: await say() };
    },
    ...ofPerson('NOT_JOINED', /not in the group/),
  },
  {
    name: 'the page spells the id of the group in another way',
    async plant({ stage, say, page, groupId, userId }) {
      const auth = { token: await tokenFor(userId, [`room-${groupId}`]) };
      await page(stage.two.url, { auth });
      return { messageId: await say(), where: { groupId } };
    },
    trace: { hop: 'written', code: 'NOT_JOINED', cause: /it is in "room-.*", which is spelled nearly so/ },
    doctor: { hop: 'group-id', code: 'NEAR_MISS', cause: /nobody is in group .*, and 1 users are in "room-/ },
  },
  {
    name: 'the token of the page has expired',
    async plant({ stage, say, page, groupId, userId }) {
      const seconds = Math.floor(Date.now() / 1_000);
      const claims = { sub: userId, groups: [groupId], iat: seconds - 600, exp: seconds - 300 };
      await page(stage.two.url, { auth: { token: await tokenWith(claims) } });
      return { messageId: await say() };
    },
    ...ofPerson('TOKEN_EXPIRED', /token expired/),
  },
  {
    name: 'somebody else has signed the token of the page',
    async plant({ stage, say, page, groupId, userId }) {
      const token = await tokenWith({ sub: userId, groups: [groupId] }, OTHER_SECRETS.JWT_SECRET);
      await page(stage.two.url, { auth: { token } });
      return { messageId: await say() };
    },
    ...ofPerson('OFFLINE', /\(TOKEN_INVALID\)/),
  },
  {
    name: 'the clock of the API, which signs, is an hour ahead',
    async plant({ stage, say, page, groupId, userId }) {
      const seconds = Math.floor(Date.now() / 1_000) + 3_600;
      const claims = { sub: userId, groups: [groupId], iat: seconds, exp: seconds + 600 };
      await page(stage.two.url, { auth: { token: await tokenWith(claims) } });
      const date = (): string => new Date(Date.now() + 3_600_000).toUTCString();
      const ahead = await startHttpProxy(stage.api.url, (headers) => ({ ...headers, date: date() }));
      return { messageId: await say(), env: { API_URL: ahead.url }, lift: ahead.close };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /\(TOKEN_INVALID\).*lies 3\d\d\d s in the future/ },
    doctor: { hop: 'clock', code: 'CLOCK_SKEW', cause: /the clock of the API is .* ahead/ },
  },
  {
    name: 'the origin of the page is refused',
    async plant({ stage, say, page }) {
      const origin = 'https://elsewhere.example';
      await page(stage.two.url, { extraHeaders: { origin } });
      return { messageId: await say(), where: { origin } };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /\(ORIGIN_FORBIDDEN\).*elsewhere\.example/ },
    doctor: { hop: 'cors', code: 'ORIGIN_REFUSED', cause: /refuse pages of https:\/\/elsewhere/ },
  },
  {
    name: 'the page asks for another namespace',
    async plant({ stage, say, page }) {
      await page(`${stage.two.url}/chat`);
      return { messageId: await say() };
    },
    ...ofPerson('OFFLINE', /\(NOT_FOUND\).*namespace/),
  },
  {
    name: 'the page has a client of Socket.IO 2',
    async plant({ stage, say }) {
      await fetch(`${stage.two.url}/socket.io/?EIO=3&transport=polling`);
      return { messageId: await say() };
    },
    ...ofPerson('OFFLINE', /\(UNSUPPORTED_PROTOCOL\)/),
  },
  {
    name: 'a proxy passes no upgrade',
    async plant({ stage, say, page }) {
      const proxy = await startHttpProxy(stage.two.url);
      await page(proxy.url);
      return { messageId: await say(), env: { RELAY_PUBLIC_URL: proxy.url }, lift: proxy.close };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /\(UNSUPPORTED_PROTOCOL\).*plain request/ },
    doctor: { hop: 'upgrade', code: 'NO_UPGRADE', cause: /no WebSocket gets through/ },
  },
  {
    name: 'a balancer is not sticky',
    async plant({ stage: { one, two }, say, page }) {
      let turn = 0;
      const balancer = await startBalancer(() => {
        turn += 1;
        return turn % 2 === 0 ? [one.port, two.port] : [two.port, one.port];
      });
      const publicUrl = `http://127.0.0.1:${balancer.port}`;
      await page(publicUrl, { transports: ['polling'], agent: false as unknown as string });
      return { messageId: await say(), where: { publicUrl }, lift: async () => balancer.close() };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /UNKNOWN_SESSION/ },
    doctor: { hop: 'stickiness', code: 'NOT_STICKY', cause: /Session ID unknown/ },
  },
];
