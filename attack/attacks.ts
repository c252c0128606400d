import { apiWithoutToken, apiWithToken } from './attacks/api.ts';
import type { Attack } from './attacks/moves.ts';
import { relayWithToken } from './attacks/relay-with-token.ts';
import { relayWithoutToken } from './attacks/relay-without-token.ts';

export const ATTACKS: readonly Attack[] = [
  ...relayWithoutToken,
  ...relayWithToken,
  ...apiWithoutToken,
  ...apiWithToken,
];
