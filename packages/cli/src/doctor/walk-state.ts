import type { ErrorCode } from '@groupcast/shared';
import type { Reply } from './ask.ts';
import type { Cage } from './canary.ts';
import type { Outcome } from './hops.ts';
import type { Patient } from './patient.ts';

/** The state of one walk: what earlier hops found out, for later ones. */
export interface Walk {
  readonly patient: Patient;
  /** Whether the API answers at all. */
  apiAnswers: boolean;
  /** Whether `/internal/health` and its like are there: the back end is ours. */
  apiReady: Reply | undefined;
  /** Whether the API says that it is connected to its relay. */
  apiHearsRelay: boolean | undefined;
  /** By how much each clock is ahead of ours, in milliseconds. */
  readonly clocks: Map<string, number>;
  /** Whether an Engine.IO answers at the relay's URL. */
  relayAnswers: boolean;
  /** The address at which browsers find the relay. */
  publicUrl: string;
  /** `/v1/info` of each relay whose internal port answers, by the URL of that port. */
  readonly infos: Map<string, { node: string; version?: string; groupLog?: string }>;
  /** Whether the relay takes a service token, where it was asked. */
  relayTakesService: boolean | undefined;
  /** Whether the relay takes the tokens of users that this machine signs, where it was asked. */
  relayTakesUsers: boolean | undefined;
  /** The code with which the relay puts everybody off for now, such as BROKER_UNAVAILABLE: that says nothing about a token. */
  relayPutsOff: ErrorCode | undefined;
  /** The canaries' group, once clients may be connected. */
  cage: Cage | undefined;
}

export type Probe = (walk: Walk) => Promise<Outcome>;

export function startWalk(patient: Patient): Walk {
  return {
    patient,
    apiAnswers: false,
    apiReady: undefined,
    apiHearsRelay: undefined,
    clocks: new Map(),
    relayAnswers: false,
    publicUrl: patient.publicUrl ?? patient.relayUrl,
    infos: new Map(),
    relayTakesService: undefined,
    relayTakesUsers: undefined,
    relayPutsOff: undefined,
    cage: undefined,
  };
}

/** Says why the relay takes nobody now. */
export const whyPutOff = (code: ErrorCode): string =>
  code === 'BROKER_UNAVAILABLE' ? 'the relay cannot use Redis' : `the relay takes nobody for now (${code})`;

/** Says why there are no canaries. */
export function whyNoCage({ relayAnswers, relayPutsOff, relayTakesService }: Walk): string {
  if (!relayAnswers) return 'not looked at: see relay';
  if (relayPutsOff !== undefined) return `not looked at: ${whyPutOff(relayPutsOff)}`;
  if (relayTakesService) return 'not looked at: see secrets';
  return 'the relay takes no service token that is known here';
}
