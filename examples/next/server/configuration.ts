// Read when they are needed, never while Next builds: one build runs in every environment.

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must be set: see README.md`);
  return value;
}

export const configuration = {
  /** The API as browsers reach it. */
  get apiUrl() {
    return process.env.API_URL || 'http://localhost:3000';
  },
  /** The relay as this server reaches it. */
  get relayUrl() {
    return process.env.RELAY_URL || 'http://localhost:3001';
  },
  /** The API's: it signs user tokens. */
  get userTokenSecret() {
    return required('JWT_SECRET');
  },
  /** The relay's: it signs service tokens, with which a program may broadcast to every group. */
  get serviceSecret() {
    return required('RELAY_SERVICE_SECRET');
  },
  /** This application's own: it signs the session cookie. */
  get sessionSecret() {
    return required('SESSION_SECRET');
  },
};
