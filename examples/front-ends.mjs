// The configuration of each front end, and that of Groupcast: environment variables only.

/** People of the examples. Those of `group-array` have numbers for ids, as in its database. */
const PEOPLE = { alice: 'Alice', bob: 'Bob', carol: 'Carol' };
const NUMBERED = { 1: 'Alice', 2: 'Bob', 3: 'Carol' };
const CHATS = [
  { id: '694801074b3132dfefb58ce0', name: 'Corner shop' },
  { id: '694801074b3132dfefb58ce1', name: 'Book club' },
];
const NUMBERED_CHATS = [
  { id: '1', name: 'Corner shop' },
  { id: '2', name: 'Book club' },
];

/**
 * `env` is what the example sets for Groupcast. `query` goes into the URL of the socket. `hasToken`: the page gets a token, and does
 * not live on the cookie alone.
 */
export const FRONT_ENDS = {
  'conversation-colon': {
    env: {
      RELAY_DIALECT: 'conversation-colon',
      API_DIALECTS: 'conversation-colon',
      AUTH_TOKEN_FROM: 'auth,header,cookie:token',
    },
  },
  'group-array': {
    env: { RELAY_DIALECTS: 'group-array' },
    query: '?dialect=group-array',
    hasToken: true,
    people: NUMBERED,
    chats: NUMBERED_CHATS,
  },
  'underscore-events': {
    env: { RELAY_DIALECTS: 'underscore-events', AUTH_TOKEN_FROM: 'auth,header,cookie:token' },
    query: '?dialect=underscore-events',
  },
  'underscore-message': {
    env: { RELAY_DIALECTS: 'underscore-message', API_DIALECTS: 'underscore-message' },
    query: '?dialect=underscore-message',
    hasToken: true,
  },
  aurora: {
    env: { RELAY_DIALECTS: 'aurora', RELAY_WS_PATH: '/ws' },
    query: '?dialect=aurora',
    hasToken: true,
  },
  'plain-html': { env: {}, hasToken: true },
};

for (const frontEnd of Object.values(FRONT_ENDS)) {
  frontEnd.people ??= PEOPLE;
  frontEnd.chats ??= CHATS;
}
