/** The system that a program works with, and a name that no other program has. */
export interface Surroundings {
  apiUrl: string;
  relayUrl: string;
  relayInternalUrl: string;
  serviceSecret: string;
  userToken: string;
  name: string;
}

export function surroundings(): Surroundings {
  return JSON.parse(process.env['GROUPCAST_MATRIX'] ?? '{}') as Surroundings;
}
